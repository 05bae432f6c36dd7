"""Reading and writing clips, colour and resizing."""
