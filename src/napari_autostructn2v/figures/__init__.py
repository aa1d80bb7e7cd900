"""Pictures: the report of a run, a comparison, a profile."""
