"""Many stacks, one after the other: a list of work, and a folder that is watched."""
