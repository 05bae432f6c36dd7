"""seesame: make driving video small while perception networks keep giving the same outputs."""

__version__ = "0.1.0"
