"""The quality and the frame size with which a file keeps limits in the fewest bytes."""
