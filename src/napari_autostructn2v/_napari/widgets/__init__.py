"""Small parts of widgets."""
