"""Perception: the frozen nets whose outputs must hold. See ``stack.py`` and ``registry.py``."""
