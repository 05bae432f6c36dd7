"""seesame: compress driving video until the perception stack still sees the same."""

from importlib.metadata import version

__version__ = version("seesame")
