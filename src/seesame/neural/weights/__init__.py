"""Trained tensors as symbols and bytes, in both directions."""
