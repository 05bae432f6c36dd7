"""Reading clips from files: containers, streams, damage, access by frame number."""
