"""The ``hnerv`` codec: a small network that is overfitted to one clip and shipped as the file."""
