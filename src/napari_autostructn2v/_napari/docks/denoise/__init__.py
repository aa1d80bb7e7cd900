"""The dock that leads from the data to the result."""
