"""Writing clips to files, with the timestamps and the other tracks of their source."""
