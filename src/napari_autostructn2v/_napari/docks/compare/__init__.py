"""The dock that holds two layers against one another."""
