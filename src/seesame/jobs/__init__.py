"""One clip's work: encode, write, read back, judge."""
