"""The frozen networks whose outputs a file must keep. See ``stack.py`` and ``registry.py``."""
