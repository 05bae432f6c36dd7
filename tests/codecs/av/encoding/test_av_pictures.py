"""Pictures that a search keeps between encodes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from seesame.codecs.registry import get_codec
from seesame.context import EncodeContext, EncodeMemory
from seesame.errors import DamagedError
from seesame.video.clip import ArrayClip, Frames


class Counted(ArrayClip):
    """A clip that counts how often it is read."""

    reads = 0

    def batches(self, batch_size: int) -> Iterator[Frames]:
        self.reads += 1
        return super().batches(batch_size)


@pytest.fixture
def clip() -> Counted:
    rows, columns = np.mgrid[0:96, 0:128]
    waves = [127 + 90 * np.sin((rows + 3 * t) / 9 + columns / 13) for t in range(7)]
    frames = np.stack([np.stack([w, w[::-1], w[:, ::-1]], -1) for w in waves]).astype(np.uint8)
    return Counted(frames, source_bytes=100_000)


def data(clip: Counted, codec: str, settings: dict[str, Any], context: EncodeContext) -> bytes:
    return get_codec(codec).encode(clip, settings, context).to_bytes()


@pytest.mark.parametrize("codec", ["x264", "svtav1", "vp9", "x265"])
def test_kept_pictures_make_the_same_bytes(codec: str, clip: Counted) -> None:
    context = EncodeContext(memory=EncodeMemory())
    plain = {"scale": 0.75, "down": "area", "blur": 0.5}
    for crf in (20, 35, 50):
        settings = plain | {"crf": crf}
        again = data(clip, codec, settings, EncodeContext())
        assert data(clip, codec, settings, context) == again
    assert clip.reads == 3 + 1


def test_whatever_changes_the_pictures_makes_them_anew(clip: Counted) -> None:
    context = EncodeContext(memory=EncodeMemory())
    for number, change in enumerate(
        (
            {},
            {"scale": 0.5},
            {"down": "bilinear"},
            {"blur": 1.0},
            {"chroma": 0.5},
            {"presharpen": 0.5},
            {"depth": 10},
        )
    ):
        for crf in (30, 40):
            settings = {"crf": crf, "preset": 12, "scale": 0.75, **change}
            again = data(clip, "svtav1", settings, EncodeContext())
            assert data(clip, "svtav1", settings, context) == again
        assert clip.reads == 3 * (number + 1)  # two of them without the context


def test_the_oldest_are_given_up() -> None:
    kept = EncodeMemory(most=10)
    kept.keep("a", 4, [])
    kept.keep("b", 4, [])
    assert kept.recall("a", list) == []
    kept.keep("c", 4, [])
    assert kept.recall("b", list) is None
    assert kept.recall("a", list) == kept.recall("c", list) == []
    kept.keep("d", 11, [])
    assert kept.recall("d", list) is None
    assert kept.recall("a", list) == kept.recall("c", list) == []


def test_a_clip_that_ends_early_is_not_kept(clip: Counted) -> None:
    context = EncodeContext(memory=EncodeMemory())
    clip.num_frames = 9
    for _ in range(2):
        with pytest.raises(DamagedError, match="promises 9 frames, but gave 7"):
            data(clip, "x264", {"crf": 30}, context)
    assert clip.reads == 2
