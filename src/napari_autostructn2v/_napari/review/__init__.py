"""The review as layers: strokes, their mirror images and their undo."""
