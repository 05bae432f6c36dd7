"""The masks: their coding without loss, its prior, and the choice of cheaper ones."""
