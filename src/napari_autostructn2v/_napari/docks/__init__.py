"""The three docks."""
