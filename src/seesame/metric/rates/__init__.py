"""Files of one source as points in size and quality: fronts, curves and BD-rates."""
