"""From trained tensors to symbols and bytes, and back."""
