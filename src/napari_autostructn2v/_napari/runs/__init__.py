"""Runs in the window: kept, saved, listed, taken up again."""
