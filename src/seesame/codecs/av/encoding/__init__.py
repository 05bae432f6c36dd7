"""The encoders of the av family."""
