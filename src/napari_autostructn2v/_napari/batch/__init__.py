"""The queue: stacks to be denoised with one trained model."""
