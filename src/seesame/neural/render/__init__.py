"""A network's pictures as a clip of the source's size."""
