"""The classical codecs, through PyAV."""
