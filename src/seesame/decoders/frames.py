"""The frames and facts that a decoder returns, under torchcodec's names."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def _text(one: Any) -> str:
    """Return a batch or frame in words, with the shape of its data instead of the pixels."""
    values = {field.name: getattr(one, field.name) for field in fields(one)}
    values["data"] = f"{one.data.dtype} {tuple(one.data.shape)}"
    return f"{type(one).__name__}({', '.join(f'{name}={v}' for name, v in values.items())})"


@dataclass(eq=False)
class Frame:
    """One frame; it can be unpacked into its three fields.

    Args:
        data: ``uint8 (3, H, W)``, or ``(H, W, 3)`` in the order NHWC.
        pts_seconds: when it is shown first.
        duration_seconds: until the next one is shown.
    """

    data: "Tensor"
    pts_seconds: float
    duration_seconds: float

    def __iter__(self) -> Iterator["Tensor | float"]:
        return iter((self.data, self.pts_seconds, self.duration_seconds))

    __repr__ = _text


@dataclass(eq=False)
class FrameBatch:
    """Some frames; ``len``, iteration and indexing give batches of one frame or some of them.

    Args:
        data: ``uint8 (N, 3, H, W)``, or ``(N, H, W, 3)`` in the order NHWC.
        pts_seconds: when each is shown first, ``float64 (N,)``, on the CPU.
        duration_seconds: how long, the same.
    """

    data: "Tensor"
    pts_seconds: "Tensor"
    duration_seconds: "Tensor"

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: Any) -> "FrameBatch":
        return FrameBatch(self.data[key], self.pts_seconds[key], self.duration_seconds[key])

    def __iter__(self) -> Iterator["FrameBatch"]:
        return (self[number] for number in range(len(self)))

    __repr__ = _text


@dataclass(frozen=True)
class VideoStreamMetadata:
    """Facts about a video, under torchcodec's names.

    Args:
        width: pixels a row.
        height: rows a frame.
        num_frames: exact count of frames.
        average_fps: ``num_frames / duration_seconds``.
        duration_seconds: from the first frame's beginning to the last one's end.
        begin_stream_seconds: when the first frame is shown.
        end_stream_seconds: when the last one ends.
        bit_rate: bits a second, of the whole file.
        codec: seesame's codec of an .ssm file, FFmpeg's name for the codec of a video file where
            its packets are indexed; else None.
        nbytes: size of the file.
    """

    width: int
    height: int
    num_frames: int
    average_fps: float
    duration_seconds: float
    begin_stream_seconds: float
    end_stream_seconds: float
    bit_rate: float
    codec: str | None
    nbytes: int
