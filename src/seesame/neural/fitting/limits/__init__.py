"""The parts of a training that limits on a file's figures need."""
