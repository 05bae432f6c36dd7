"""Training a network for one clip against a stack."""
