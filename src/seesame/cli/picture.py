"""The demo's picture: source and decoded frames, their classes, and where these differ."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seesame.errors import DamagedError
from seesame.report.palette import DIFFERS, PALETTE

if TYPE_CHECKING:
    from seesame.jobs.demo import Row
    from seesame.jobs.workbench import Workbench
    from seesame.perception.stack import Stack
    from seesame.video.clip import Clip, Frames

SHADE = 0.35
"""Brightness of the frame behind the marked differences, 0..1."""


def frame_at(clip: "Clip", index: int) -> "Frames":
    """Return frame ``index``, ``uint8 (H, W, 3)``, read from the start in small batches."""
    seen = 0
    for frames in clip.batches(8):
        if index < seen + len(frames):
            frame: Frames = frames[index - seen]
            return frame
        seen += len(frames)
    raise DamagedError(f"frame {index} is missing: the clip has {seen}")


def classes_of(frame: "Frames", stack: "Stack", device: str) -> NDArray[np.int64]:
    """Return the arg-max classes ``(h, w)`` of one frame ``uint8 (H, W, 3)``."""
    import torch

    rgb = torch.from_numpy(np.ascontiguousarray(frame)).to(device).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        found: NDArray[np.int64] = stack.segment(rgb).argmax(dim=1)[0].cpu().numpy()
    return found


def differences(frame: "Frames", differs: NDArray[np.bool_]) -> "Frames":
    """Return the frame in dim grey, with the pixels that changed class in yellow."""
    height, width = frame.shape[:2]
    rows = np.arange(height) * differs.shape[0] // height
    columns = np.arange(width) * differs.shape[1] // width
    shaded = (frame.mean(axis=2, keepdims=True) * SHADE).astype(np.uint8)
    grey: Frames = shaded.repeat(3, axis=2)
    grey[differs[rows][:, columns]] = DIFFERS
    return grey


def draw_rows(path: Path, bench: "Workbench", rows: "list[Row]") -> None:
    """Draw a frame a quarter into the clip, and the same of every row's file, into a PNG."""
    from matplotlib.figure import Figure

    from seesame.decoders import decode_file
    from seesame.jobs.roundtrip import describe

    assert bench.stack is not None
    assert bench.path is not None
    source, stack, device = bench.clip, bench.stack, bench.device
    index = source.num_frames // 4 * 2 + 1
    frame = frame_at(source, index)
    seen = classes_of(frame, stack, device)
    aspect = source.height / source.width
    size = (13.5, (1 + len(rows)) * (4.4 * aspect + 0.42) + 0.5)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    title = f"{bench.path.name}, {describe(source)}; frame {index}, stack {stack.name}"
    figure.suptitle(title, fontsize=12)
    (first, *others) = figure.subplots(1 + len(rows), 3, squeeze=False)
    _show(first[0], frame, "source")
    _show_classes(first[1], seen, aspect)
    _legend(first[2], stack.classes)
    for axes, row in zip(others, rows, strict=True):
        decoded = frame_at(decode_file(row.path, device), index)
        again = classes_of(decoded, stack, device)
        differs = seen != again
        score = row.outcome.score
        figures = f"{row.outcome.bytes:,} bytes · seg {score.seg:.2%} · score {score.total:.3f}"
        _show(axes[0], decoded, f"{row.label}\n{figures}")
        _show_classes(axes[1], again, aspect)
        marked = differences(frame, differs)
        _show(axes[2], marked, f"differs here: {differs.mean():.2%} of pixels")
    figure.savefig(path, format="png")


def _show(axis: Any, image: "Frames", title: str, **style: Any) -> None:
    axis.imshow(image, **{"interpolation": "antialiased"} | style)
    axis.set_title(title, fontsize=10)
    axis.axis("off")


def _show_classes(axis: Any, classes: NDArray[np.int64], aspect: float) -> None:
    colours = PALETTE[classes % len(PALETTE)]
    shape = aspect * classes.shape[1] / classes.shape[0]
    style = {"interpolation": "nearest", "aspect": shape}
    _show(axis, colours, "classes that the stack finds", **style)


def _legend(axis: Any, classes: tuple[str, ...]) -> None:
    from matplotlib.patches import Patch

    names = [*classes[: len(PALETTE)], "differs from the source"]
    colours = [*PALETTE[: len(names) - 1], DIFFERS]
    patches = [Patch(color=c / 255.0, label=n) for n, c in zip(names, colours, strict=True)]
    axis.legend(handles=patches, loc="center", frameon=False, fontsize=11)
    axis.axis("off")
