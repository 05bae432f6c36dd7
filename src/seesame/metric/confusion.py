"""Confusion counts of class maps: the pixels of each source class by the file's class."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.errors import UserError


def confusion(source: Tensor, decoded: Tensor, count: int) -> NDArray[np.int64]:
    """Return the pixels by source class (row) and file class (column), ``(count, count)``.

    Args:
        source: integer classes of any shape.
        decoded: those of the file, of the same shape.
        count: how many classes have a name.

    Raises:
        UserError: a map has a class beyond those.
    """
    if not source.numel():
        return np.zeros((count, count), np.int64)
    if max(int(source.max()), int(decoded.max())) >= count:
        raise UserError(f"the stack names {count} classes, but its net gives more")
    joint = torch.bincount((source.long() * count + decoded).flatten(), minlength=count * count)
    return joint.view(count, count).cpu().numpy()
