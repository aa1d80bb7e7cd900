"""Layers and where they stand: images, results, outlines, the camera."""
