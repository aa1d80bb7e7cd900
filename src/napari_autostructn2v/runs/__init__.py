"""A run and its folder: what was asked, what is done, and how it is gone on with."""
