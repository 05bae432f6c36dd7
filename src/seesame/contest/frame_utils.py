"""The challenge's root module ``frame_utils``, for the scripts of submissions.

``contest evaluate`` lays this file where the challenge's repository has a module of the same name.
The names, arguments and values are those that public submissions rely on; the code behind them is
seesame's own, which gives the same pixels. The challenge's reader for NVIDIA GPUs
(``DaliVideoDataset``) is left out: a decoder that needs it cannot run here.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from seesame.video import colour

seq_len = 2
"""Frames of a sample: a pair."""
camera_size = (1164, 874)
"""``(width, height)`` of the challenge's video."""
camera_fl = 910.0
"""The camera's focal length, in pixels."""
segnet_model_input_size = (512, 384)
"""``(width, height)`` to which the segmentation net resizes a frame."""


def yuv420_to_rgb(frame: av.VideoFrame) -> Tensor:
    """Convert a decoded 8-bit 4:2:0 frame to RGB, ``uint8 (H, W, 3)``.

    As in the challenge, the frame is taken as BT.601 of limited range whatever its tags say.

    Raises:
        ValueError: the frame is not planar 8-bit 4:2:0.
    """
    if frame.format.name not in ("yuv420p", "yuvj420p"):
        raise ValueError(f"yuv420_to_rgb needs a yuv420p frame, not {frame.format.name}")
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        planes.append(rows[:, : plane.width])
    return torch.from_numpy(colour.yuv420_to_rgb(*planes))


@torch.no_grad()
def rgb_to_yuv6(rgb_chw: Tensor) -> Tensor:
    """Pack RGB ``(..., 3, H, W)`` in 0..255 into the pose net's planes ``(..., 6, H/2, W/2)``.

    As in the challenge, no gradient passes.
    """
    return colour.rgb_to_yuv6(rgb_chw)


def frame_count(path: str) -> int:
    """Return the number of coded pictures in a video file, without decoding them."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        return stream.frames or sum(packet.size > 0 for packet in container.demux(stream))


class VideoDataset(IterableDataset[tuple[str, int, Tensor]]):
    """Videos as batches of pairs: ``(path, number from 1, uint8 (B, 2, H, W, 3))``.

    A last frame without a partner is left out, and every video starts a new batch.

    Args:
        file_names: the videos' names.
        data_dir: the folder that they are in.
        batch_size: pairs in a batch.
        device: kept for the caller; batches are on the CPU.
        format: a suffix that replaces the one of every name.
        num_threads: kept for the caller.
        seed: kept for the caller.
        prefetch_queue_depth: kept for the caller.
    """

    def __init__(
        self,
        file_names: Sequence[str],
        data_dir: Path,
        batch_size: int,
        device: torch.device,
        format: str | None = None,
        num_threads: int = 2,
        seed: int = 123,
        prefetch_queue_depth: int = 4,
    ) -> None:
        super().__init__()
        if format is not None:
            suffix = f".{format.lstrip('.')}"
            file_names = [str(Path(name).with_suffix(suffix)) for name in file_names]
        self.all_file_names = list(file_names)
        self.data_dir, self.batch_size, self.device = Path(data_dir), batch_size, device
        self.num_threads, self.seed = num_threads, seed
        self.prefetch_queue_depth = prefetch_queue_depth
        self.rank = int(os.environ.get("RANK", "0"))
        self.world_size = int(os.environ.get("WORLD_SIZE", "1"))
        self.file_names = self.all_file_names[self.rank :: self.world_size]
        self.paths = [str(self.data_dir / name) for name in self.file_names]

    def prepare_data(self) -> None:
        """Raise FileNotFoundError where a video is missing."""
        for path in self.paths:
            if not Path(path).exists():
                raise FileNotFoundError(path)

    def frames(self, path: str) -> Iterator[Tensor]:
        """Yield the frames of one video, ``uint8 (H, W, 3)``."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[tuple[str, int, Tensor]]:
        """Yield every video's batches in order."""
        for path in self.paths:
            number, pending = 0, list[Tensor]()
            for frame in self.frames(path):
                pending.append(frame)
                if len(pending) == seq_len * self.batch_size:
                    number += 1
                    yield path, number, _paired(pending)
                    pending = []
            if len(pending) >= seq_len:
                yield path, number + 1, _paired(pending)


class AVVideoDataset(VideoDataset):
    """Video files, decoded on the CPU."""

    def frames(self, path: str) -> Iterator[Tensor]:
        """Yield the frames of one video file."""
        with _opened(path) as container:
            for frame in container.decode(container.streams.video[0]):
                yield yuv420_to_rgb(frame)


class TensorVideoDataset(VideoDataset):
    """Raw videos as ``inflate.sh`` writes them: ``NAME.raw`` of :data:`camera_size` frames."""

    def __init__(
        self,
        file_names: Sequence[str],
        data_dir: Path,
        batch_size: int,
        device: torch.device,
        num_threads: int = 2,
        seed: int = 123,
        prefetch_queue_depth: int = 4,
    ) -> None:
        rest = (num_threads, seed, prefetch_queue_depth)
        super().__init__(file_names, data_dir, batch_size, device, "raw", *rest)

    def frames(self, path: str) -> Iterator[Tensor]:
        """Yield the frames of one raw video."""
        width, height = camera_size
        count = Path(path).stat().st_size // (height * width * 3)
        pixels = np.memmap(path, np.uint8, "r", shape=(count, height, width, 3))
        for frame in pixels:
            yield torch.from_numpy(np.array(frame))


def _opened(path: str) -> "av.container.InputContainer":
    return av.open(path, format="hevc" if path.endswith(".hevc") else None)


def _paired(frames: list[Tensor]) -> Tensor:
    """Stack frames to pairs ``(B, 2, H, W, 3)``, without a last single one."""
    whole = torch.stack(frames[: len(frames) // seq_len * seq_len])
    return whole.reshape(-1, seq_len, *whole.shape[1:])
