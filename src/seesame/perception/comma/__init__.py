"""The challenge's own nets."""
