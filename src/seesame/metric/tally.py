"""The distortions of a clip, gathered batch by batch: some twenty bytes a pair."""

from array import array

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seesame.errors import UserError
from seesame.metric.confusion import confusion
from seesame.metric.distortion import pose_distortion, seg_distortion
from seesame.metric.outputs import Outputs
from seesame.perception.stack import Stack


class Row:
    """Float32 values in a row that grows; many small tensors would break up the heap."""

    def __init__(self) -> None:
        self._values = array("f")

    def __len__(self) -> int:
        return len(self._values)

    def append(self, values: Tensor) -> None:
        """Add all values of a float32 tensor."""
        self._values.frombytes(values.float().cpu().contiguous().numpy().tobytes())

    def numpy(self) -> NDArray[np.float32]:
        """Return the values, ``(N,)``."""
        return np.array(self._values, np.float32)

    def rows(self, count: int) -> NDArray[np.float32]:
        """Return the values as ``count`` rows of equal length, which may be 0."""
        return self.numpy().reshape(count, len(self) // count)


class Tally:
    """The distortions of all batches, and the lost pixels of each class.

    Args:
        stack: the frozen networks.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.judged = stack.judged if stack.has_pose else 0
        self.seg, self.pose, self.first = Row(), Row(), Row()
        self.lost = np.zeros(len(stack.classes), np.int64)
        self.pixels = np.zeros(len(stack.classes), np.int64)

    def add(self, source: Outputs, decoded: Outputs) -> None:
        """Take the outputs of one batch.

        Raises:
            UserError: the class maps are of two sizes, or have a class that the stack does not
                name.
        """
        if source.classes.shape != decoded.classes.shape:
            raise UserError(
                f"stack {self.stack.name} gives classes at the size of the frames that it reads, "
                "so that it cannot compare files of two sizes; compress at the source's size"
            )
        if len(source.classes):
            self.seg.append(seg_distortion(source.classes, decoded.classes))
            self.pose.append(pose_distortion(source.poses, decoded.poses, self.judged))
            self._count(source.classes, decoded.classes)
        if source.first_classes is not None and decoded.first_classes is not None:
            self.first.append(seg_distortion(source.first_classes, decoded.first_classes))
            self._count(source.first_classes, decoded.first_classes)

    def _count(self, source: Tensor, decoded: Tensor) -> None:
        counts = confusion(source, decoded, len(self.pixels))
        pixels = counts.sum(1)
        self.pixels += pixels
        self.lost += pixels - counts.diagonal()
