"""What a file claims is checked here before memory is taken."""
