"""The parts that trained codecs share, by stage: fitting, weights, corrections, render."""
