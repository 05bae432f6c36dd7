"""The work on one clip, in a worker."""
