"""Which frames of a clip a judge is shown, and how many are read at once."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from seesame.errors import DamagedError, UserError
from seesame.metric.judges import BATCH, observations
from seesame.perception.judge import Judge
from seesame.video.clip import ArrayClip, Frames


class Shades(Judge):
    """A judge that sees the shade of each frame."""

    name = "shades"
    fingerprint = "1"
    quality = "none"

    def __init__(self, frames: int, step: int) -> None:
        self.frames, self.step = frames, step

    def observe(self, frames: Frames) -> Any:
        return frames[:, 0, 0, 0].tolist()


class Numbered(ArrayClip):
    """A clip whose frames have their number as shade, and which notes how many are asked for."""

    def __init__(self, count: int) -> None:
        frames = np.zeros((count, 2, 2, 3), np.uint8)
        frames[:] = np.arange(count, dtype=np.uint8)[:, None, None, None]
        super().__init__(frames, 20, 1000)
        self.asked: list[int] = []

    def batches(self, batch_size: int) -> Iterator[Frames]:
        self.asked.append(batch_size)
        yield from super().batches(batch_size)


@pytest.mark.parametrize(("frames", "step"), [(1, 1), (1, 4), (2, 2), (2, 5), (3, 17), (1, 1000)])
def test_looks_are_step_apart_and_few_frames_are_read_at_once(frames: int, step: int) -> None:
    clip = Numbered(100)
    seen = observations(Shades(frames, step), clip)
    starts = range(0, 100 - frames + 1, step)
    assert seen == [list(range(start, start + frames)) for start in starts]
    assert max(clip.asked) <= BATCH


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="a step of 1 for 2 frames"):
        observations(Shades(2, 1), Numbered(4))
    with pytest.raises(UserError, match="looks at 3 frames"):
        observations(Shades(3, 3), Numbered(2))
    clip = Numbered(4)
    clip.num_frames = 5
    with pytest.raises(DamagedError, match="promises 5 frames, but gave 4"):
        observations(Shades(1, 1), clip)
