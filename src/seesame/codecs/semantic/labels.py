"""The masks of a semantic file as labels: read and written without running any network."""

import colorsys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seesame.bitstream.container import Container
from seesame.codecs.semantic.codec import SemanticCodec
from seesame.codecs.semantic.decode import Masks, renderer_of
from seesame.codecs.semantic.sections import MAX_CLASSES, read_head
from seesame.errors import UserError
from seesame.files import PICTURE_FOLDER, replacing
from seesame.video.clip import Frames
from seesame.video.writing.writer import write_clip

Mask = NDArray[np.uint8]
VIDEOS = (".mkv", ".mp4")
_CHOSEN = ("000000", "e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7")
"""Colours that people with any colour vision tell apart (Okabe and Ito, "Color Universal Design",
2008); further ones follow by the golden angle."""


def palette() -> Mask:
    """Return the colour of every class that a file may have, ``uint8 (30, 3)``."""
    colours = [tuple(bytes.fromhex(one)) for one in _CHOSEN]
    for index in range(len(colours), MAX_CLASSES):
        rgb = colorsys.hsv_to_rgb(index * 0.381966 % 1, 0.75, 0.95 - 0.4 * (index % 3) / 2)
        colours.append(tuple(round(255 * value) for value in rgb))
    return np.array(colours, dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Labels:
    """The masks of a file, exactly as they were coded.

    Args:
        masks: in the order of the frames; decoded as they are asked for.
        frames: the number of the frame that each mask is of.
        classes: names of the classes, by index.
        size: ``(height, width)`` of a mask.
        fps: masks a second.
        changed: share of the pixels that differ from what the stack saw in the source.
    """

    masks: Masks
    frames: range
    classes: tuple[str, ...]
    size: tuple[int, int]
    fps: Fraction
    changed: float

    def __len__(self) -> int:
        """Return how many masks there are."""
        return self.masks.count

    def __iter__(self) -> Iterator[Mask]:
        """Yield the masks, ``uint8 (h, w)``. Raises DamagedError where one does not decode."""
        return (self.masks[number] for number in range(len(self)))


def read_labels(container: Container, name: str = "the file") -> Labels:
    """Return the masks of a semantic file.

    Raises:
        DamagedError: the file is damaged.
        UserError: the renderer that it names, which knows what masks look like, is not installed.
    """
    SemanticCodec().check(container)
    head = read_head(container, name)
    shared = renderer_of(container, head, name)
    masks = Masks(container, head, shared.prior, name)
    step = 1 if head.every_frame else 2
    first = 0 if head.every_frame else min(1, container.num_frames - 1)
    return Labels(
        masks=masks,
        frames=range(first, first + step * masks.count, step),
        classes=shared.classes,
        size=head.size,
        fps=container.fps / step,
        changed=head.changed / (masks.count * head.size[0] * head.size[1]),
    )


def _write_npz(labels: Labels, out: BinaryIO) -> None:
    """Write what ``np.savez_compressed`` would, but one mask after the other."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("masks.npy", "w", force_zip64=True) as member:
            shape = (len(labels), *labels.size)
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            for mask in labels:
                member.write(mask.tobytes())
        for name, values in (("frames", labels.frames), ("classes", labels.classes)):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.array(values), allow_pickle=False)


def write_labels(labels: Labels, path: Path, overwrite: bool = False) -> None:
    """Write masks by a path's suffix: whole, or not at all.

    Without suffix it becomes a folder of PNG pictures with a palette, named by the frames; ``.npz``
    holds ``masks uint8 (T, h, w)``, ``frames (T,)`` and ``classes``; ``.mkv`` and ``.mp4`` are
    lossless videos in the colours of :func:`palette`.

    Raises:
        UserError: another suffix, or the output exists or cannot be written.
        DamagedError: a mask does not decode.
    """
    suffix = path.suffix.lower()
    if suffix in VIDEOS:
        height, width = labels.size
        colours = palette()
        batches: Iterator[Frames] = (colours[mask][None] for mask in labels)
        write_clip(path, batches, fps=labels.fps, width=width, height=height, overwrite=overwrite)
    elif suffix == ".npz":
        with replacing(path, overwrite) as temporary, temporary.open("wb") as out:
            _write_npz(labels, out)
    elif not suffix:
        colours = palette()
        with replacing(path, overwrite, holds=PICTURE_FOLDER) as temporary:
            temporary.mkdir()
            for frame, mask in zip(labels.frames, labels, strict=True):
                picture = Image.fromarray(mask, "P")
                picture.putpalette(colours.tobytes())
                picture.save(temporary / f"{frame:06d}.png")
    else:
        raise UserError(
            f"{path}: cannot write {suffix}; use .npz, .mkv, .mp4, or no suffix for a folder of PNG"
        )
