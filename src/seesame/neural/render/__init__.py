"""From a network's pictures to a clip at the source's size."""
