"""The challenge's metric spelled out, from files to score, with nothing of seesame's in it.

What an entrant's own script would do: decode both clips frame by frame, run both nets on both in
batches of 16 pairs, each net resizing its own input. Tests compare seesame with it, and the
scoring benchmark times it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT_SIZE = (384, 512)


def plane(frame: av.VideoFrame, index: int) -> Tensor:
    """One plane of a decoded frame as float32, without the padding of its rows."""
    data = frame.planes[index]
    rows = np.frombuffer(data, np.uint8).reshape(data.height, data.line_size)
    return torch.from_numpy(rows[:, : data.width].copy()).float()


def to_rgb(frame: av.VideoFrame) -> Tensor:
    """8-bit limited-range BT.601 4:2:0 to RGB, ``uint8 (H, W, 3)``, chroma bilinear."""
    assert frame.format.name == "yuv420p"
    y, u, v = (plane(frame, i) for i in range(3))
    u, v = (
        F.interpolate(c[None, None], size=y.shape, mode="bilinear", align_corners=False)[0, 0]
        for c in (u, v)
    )
    y = (y - 16) * (255 / 219)
    u = (u - 128) * (255 / 224)
    v = (v - 128) * (255 / 224)
    red = y + 1.402 * v
    green = y - 0.344136 * u - 0.714136 * v
    blue = y + 1.772 * u
    return torch.stack([red, green, blue], dim=-1).clamp(0, 255).round().to(torch.uint8)


def frames(path: Path, size: tuple[int, int]) -> Iterator[Tensor]:
    """The frames of a video file, or of a ``.raw`` of ``(height, width)``."""
    if path.suffix == ".raw":
        height, width = size
        pixels = np.fromfile(path, np.uint8).reshape(-1, height, width, 3)
        yield from torch.from_numpy(pixels)
    else:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield to_rgb(frame)


def batches(path: Path, size: tuple[int, int], pairs: int) -> Iterator[Tensor]:
    """Batches ``uint8 (B, 2, H, W, 3)``; a trailing odd frame is left out."""
    held: list[Tensor] = []
    for frame in frames(path, size):
        held.append(frame)
        if len(held) == 2 * pairs:
            yield torch.stack(held).unflatten(0, (pairs, 2))
            held = []
    if len(held) > 1:
        whole = len(held) // 2
        yield torch.stack(held[: 2 * whole]).unflatten(0, (whole, 2))


def yuv6(rgb: Tensor) -> Tensor:
    """The pose net's packing: ``(B, 3, H, W)`` to ``(B, 6, H/2, W/2)``."""
    out = torch.empty(rgb.shape[0], 6, rgb.shape[2] // 2, rgb.shape[3] // 2)
    for i, (r, g, b) in enumerate(rgb):
        y = (0.299 * r + 0.587 * g + 0.114 * b).clamp(0, 255)
        u = ((b - y) / 1.772 + 128).clamp(0, 255)
        v = ((r - y) / 1.402 + 128).clamp(0, 255)
        out[i, 0], out[i, 1] = y[0::2, 0::2], y[1::2, 0::2]
        out[i, 2], out[i, 3] = y[0::2, 1::2], y[1::2, 1::2]
        for channel, c in ((4, u), (5, v)):
            total = c[0::2, 0::2] + c[1::2, 0::2] + c[0::2, 1::2] + c[1::2, 1::2]
            out[i, channel] = total * 0.25
    return out


def run_nets(pairs: Tensor, segment: nn.Module, pose: nn.Module) -> tuple[Tensor, Tensor]:
    """Arg-max classes of the second frames and the judged pose values of ``(B, 2, H, W, 3)``."""
    rgb = pairs.permute(0, 1, 4, 2, 3).float()
    classes = segment(F.interpolate(rgb[:, 1], size=INPUT_SIZE, mode="bilinear")).argmax(1)
    small = F.interpolate(rgb.flatten(0, 1), size=INPUT_SIZE, mode="bilinear")
    planes = yuv6(small).reshape(len(pairs), 12, INPUT_SIZE[0] // 2, INPUT_SIZE[1] // 2)
    return classes, pose(planes)[:, :6]


@dataclass(frozen=True)
class Literal:
    """Both distortions of every pair, and the score."""

    seg: list[float]
    pose: list[float]
    score: float


def literal_score(
    source: Path,
    decoded: Path,
    nets: tuple[nn.Module, nn.Module],
    compressed_bytes: int,
    size: tuple[int, int] = (874, 1164),
    pairs: int = 16,
) -> Literal:
    """Score a decoded file against its source; ``size`` is ``(height, width)`` of a ``.raw``."""
    seg, pose = [], []
    with torch.inference_mode():
        both = zip(batches(source, size, pairs), batches(decoded, size, pairs), strict=True)
        for theirs, ours in both:
            (classes, values), (other_classes, other_values) = (
                run_nets(batch, *nets) for batch in (theirs, ours)
            )
            for i in range(len(theirs)):
                seg.append((classes[i] != other_classes[i]).float().mean().item())
                pose.append(((values[i] - other_values[i]) ** 2).mean().item())
    rate = compressed_bytes / source.stat().st_size
    score = 100 * sum(seg) / len(seg) + 25 * rate + (10 * sum(pose) / len(pose)) ** 0.5
    return Literal(seg, pose, score)
