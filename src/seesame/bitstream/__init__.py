"""The ``.ssm`` bitstream: container and entropy coding; knows nothing of video."""
