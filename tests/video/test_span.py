import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seesame.video.clip import ArrayClip
from seesame.video.span import Span, rebatched


def numbered(num_frames: int) -> ArrayClip:
    frames = np.arange(num_frames, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    return ArrayClip(frames, source_bytes=100)


@given(st.integers(1, 30), st.integers(1, 9), st.data())
def test_a_span_is_its_frames(num_frames: int, size: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, num_frames - 1))
    count = data.draw(st.integers(1, num_frames - start))
    span = Span(numbered(num_frames), start, count)
    batches = list(span.batches(size))
    assert np.concatenate(batches)[:, 0, 0, 0].tolist() == list(range(start, start + count))
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert len(batches[-1]) <= size
    assert span.num_frames == count


def test_its_share_of_the_source() -> None:
    clip = numbered(10)
    assert Span(clip, 2, 5).source_bytes == 50
    assert Span(clip, 0, 10, 7).source_bytes == 7
    assert Span(ArrayClip(clip.frames, source_bytes=1), 0, 1).source_bytes == 1


@pytest.mark.parametrize(("start", "count"), [(-1, 2), (0, 0), (8, 3)])
def test_frames_that_are_not_there(start: int, count: int) -> None:
    with pytest.raises(ValueError, match="of 10"):
        Span(numbered(10), start, count)


def test_frames_after_it_are_not_asked_for() -> None:
    class Short(ArrayClip):
        def batches(self, batch_size: int):  # type: ignore[no-untyped-def]
            yield self.frames[:4]
            raise AssertionError("read on")

    span = Span(Short(numbered(10).frames), 1, 3)
    assert len(np.concatenate(list(span.batches(2)))) == 3


@given(st.lists(st.integers(1, 7), max_size=9), st.integers(1, 8))
def test_batches_of_one_size(lengths: list[int], size: int) -> None:
    frames = numbered(max(1, sum(lengths))).frames[: sum(lengths)]
    parts = np.split(frames, np.cumsum(lengths)[:-1]) if lengths else []
    batches = list(rebatched(parts, size))
    assert [len(b) for b in batches] == [
        min(size, len(frames) - first) for first in range(0, len(frames), size)
    ]
    if batches:
        assert np.array_equal(np.concatenate(batches), frames)
