"""What the noise of a stack has in common: spectrum, peaks, notch, kernel, verdict, recovery."""
