"""First frames: the network that draws them, and the codes and residuals that it is given."""
