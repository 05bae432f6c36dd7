"""A folder of pictures as a clip."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from seesame.errors import DamagedError, UserError
from seesame.video.clip import Frames

PICTURES = (".png", ".jpg", ".jpeg")


class PictureClip:
    """The PNG and JPEG files of one folder, in natural order (2 before 10), one frame each.

    Args:
        folder: where they are; other files and sub-folders are passed over.
        fps: frames a second.

    Raises:
        UserError: no pictures, or pictures of different sizes.
        DamagedError: a picture that cannot be read.
    """

    def __init__(self, folder: Path, fps: Fraction) -> None:
        self.path = folder
        self.fps = fps
        self.pictures = sorted(
            (p for p in folder.iterdir() if _is_picture(p)), key=lambda p: _natural(p.name)
        )
        if not self.pictures:
            raise UserError(f"{folder}: no pictures (.png, .jpg) in this folder")
        first = self.pictures[0]
        self.width, self.height = _upright_size(first)
        for picture in self.pictures[1:]:
            width, height = _upright_size(picture)
            if (width, height) != (self.width, self.height):
                raise UserError(
                    f"{picture}: {width}x{height}, but {first.name} is {self.width}x{self.height}; "
                    "all pictures of a clip must have one size"
                )
        self.num_frames = len(self.pictures)
        self.source_bytes = sum(p.stat().st_size for p in self.pictures)

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order."""
        return self.batches_from(0, batch_size)

    def entry(self, number: int) -> int:
        """Return the number itself: every picture is read by itself."""
        return number

    def batches_from(self, start: int, batch_size: int) -> Iterator[Frames]:
        """Yield the frames from a number on."""
        for first in range(start, self.num_frames, batch_size):
            yield np.stack([self._read(p) for p in self.pictures[first : first + batch_size]])

    def _read(self, picture: Path) -> Frames:
        rgb = read_picture(picture)
        if rgb.shape != (self.height, self.width, 3):
            raise DamagedError(f"{picture}: changed its size while the clip was read")
        return rgb


def read_picture(path: Path) -> Frames:
    """Return a picture as upright RGB ``uint8 (H, W, 3)``; alpha is dropped, 16-bit grey rounded.

    Raises:
        DamagedError: it cannot be read.
    """
    with _reading(path), Image.open(path) as image:
        turned = ImageOps.exif_transpose(image)
        if turned.mode.startswith("I"):
            deep = np.asarray(turned, dtype=np.float32) * np.float32(255.0 / 65535.0)
            grey = np.rint(deep.clip(0.0, 255.0)).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=-1)
        return np.array(turned.convert("RGB"))


def _upright_size(path: Path) -> tuple[int, int]:
    """Return width and height after the EXIF orientation, from the header alone."""
    with _reading(path), Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) >= 5
        return (image.height, image.width) if turned else (image.width, image.height)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Pillow reports damage as nearly any exception."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found") from error
    except PermissionError as error:
        raise UserError(f"{path}: not readable (permission denied)") from error
    except MemoryError:
        raise
    except Exception as error:
        raise DamagedError(f"{path}: damaged picture ({error or type(error).__name__})") from error


def _is_picture(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in PICTURES and not hidden and path.is_file()


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which numbers inside a name count as numbers."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", name)
    key = [(0, int(digits), "") if digits else (1, 0, text.lower()) for digits, text in parts]
    return [*key, (2, 0, name)]
