"""Blind-spot training and prediction: one network, one loop for both stages and both modes."""
