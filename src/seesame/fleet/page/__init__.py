"""The page about all clips of a target."""
