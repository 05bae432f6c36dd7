"""The pictures of a frame on the page: small copies, packed masks, pixel differences."""

import io
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seesame.video.clip import Frames


@dataclass(frozen=True)
class PictureSettings:
    """The settings of WebP.

    Attributes:
        most_quality: of 100, where bytes do not matter.
        least_quality: of 100, below which the quality never goes.
        start_quality: of 100, of the first picture where bytes are bounded.
        effort: 0..6; more takes twice the time for a few bytes.
    """

    most_quality: float = 82.0
    least_quality: float = 6.0
    start_quality: float = 60.0
    effort: int = 2


SETTINGS = PictureSettings()


class Pictures:
    """The encoder of a row of pictures as WebP, whose quality is steered so that all of them fit.

    Args:
        count: how many there will be.
        budget: bytes for all of them; None for the best quality.
    """

    def __init__(self, count: int, budget: int | None) -> None:
        self.quality = SETTINGS.most_quality if budget is None else SETTINGS.start_quality
        self._left, self._budget = count, budget

    def encoded(self, picture: Image.Image) -> bytes:
        """Return the next picture as a WebP file."""
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=round(self.quality), method=SETTINGS.effort)
        data = file.getvalue()
        if self._budget is not None:
            self._steer(len(data))
        return data

    def _steer(self, size: int) -> None:
        """Lower the quality at once when bytes run short, raise it slowly when some are left."""
        assert self._budget is not None
        target = max(self._budget / max(self._left, 1), 1.0)
        self._left -= 1
        self._budget -= size
        if size > target:
            lower = self.quality - min(16.0, 12 * (size / target - 1))
            self.quality = max(SETTINGS.least_quality, lower)
        elif size < 0.9 * target:
            self.quality = min(SETTINGS.most_quality, self.quality + 1.0)


def shrunk(frame: Frames, size: tuple[int, int]) -> Image.Image:
    """Return a frame ``uint8 (H, W, 3)`` at ``(height, width)``, by averages over its pixels."""
    picture = Image.fromarray(frame)
    height, width = size
    if picture.size == (width, height):
        return picture
    return picture.resize((width, height), Image.Resampling.BOX)


def difference(source: Frames, decoded: Frames, size: tuple[int, int]) -> Image.Image:
    """Return how far two frames ``uint8 (H, W, 3)`` differ, as a grey ``(height, width)`` picture.

    A pixel is ``255 sqrt(d / 255)``, where ``d`` is the mean absolute difference of the channels
    over the source's pixels that it covers: the root keeps small differences apart.
    """
    error = np.abs(np.subtract(source, decoded, dtype=np.int16))
    total = (error[..., 0] + error[..., 1] + error[..., 2]).astype(np.float32)
    height, width = size
    small = Image.fromarray(total).resize((width, height), Image.Resampling.BOX)
    root = np.sqrt(np.asarray(small) * np.float32(255.0 / 3))
    return Image.fromarray(np.rint(root).clip(0, 255).astype(np.uint8))


def packed_mask(classes: NDArray[np.integer]) -> bytes:
    """Return classes ``(h, w)`` for the page: rows XORed with the one above, in zlib.

    Below 256 a class is a byte, else two, little-endian; the caller says which by the dtype,
    ``uint8`` or any wider one.
    """
    kind = np.dtype("u1") if classes.dtype.itemsize == 1 else np.dtype("<u2")
    rows = np.ascontiguousarray(classes.astype(kind))
    rows[1:] ^= rows[:-1].copy()
    return zlib.compress(rows.tobytes(), 9)
