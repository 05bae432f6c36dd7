"""Training of shared renderers: the masks, the loss and the loop."""
