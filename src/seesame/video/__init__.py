"""Reading and writing clips, colour, resizing, and the synthetic scene."""
