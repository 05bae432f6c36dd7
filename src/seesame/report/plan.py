"""The sizes of the page's pictures, and whether the page can be one file."""

from dataclasses import dataclass

from seesame.perception.stack import Stack
from seesame.video.clip import Clip

MOST_CHARACTERS = 23_000_000
"""Bytes of all pictures and masks in a page that is one file."""
DIFFERENCES_SHARE = 0.15
"""Share of the bytes for the masks; the pictures get the rest."""
MASK_DENSITY = 0.07
"""Bytes a pixel of the net's output, at most as a rule."""
WIDTHS = (640, 560, 480, 400, 320)
"""Widths of the pictures, largest first; the clip's own width comes first where it is less."""
LEAST_DENSITY = 0.045
"""Bytes a pixel that a usable preview needs."""
DIFFERENCE_WIDTH = 240
IN_BASE64 = 4 / 3
"""Characters a byte."""


@dataclass(frozen=True)
class Plan:
    """Sizes of the previews, and the bytes that all items of one track may take.

    Args:
        picture: ``(height, width)`` of the preview pictures.
        difference: ``(height, width)`` of the pictures of pixel difference.
        picture_bytes: of a track of pictures; None for as many as it takes.
        difference_bytes: of a track of differences; None likewise.
        one_file: whether the page is one file; else a folder.
    """

    picture: tuple[int, int]
    difference: tuple[int, int]
    picture_bytes: int | None
    difference_bytes: int | None
    one_file: bool


def plan(clip: Clip, files: int, stack: Stack, one_file: bool | None = None) -> Plan | None:
    """Return the largest previews that fit.

    Args:
        clip: the source.
        files: how many files are compared with it.
        stack: whose masks are shown.
        one_file: True for one file, False for a folder; None to take a folder where one file
            would not do.

    Returns:
        None where one file is asked for, but the clip is too long for it.
    """
    folder = Plan(fitted(clip, WIDTHS[0]), fitted(clip, DIFFERENCE_WIDTH), None, None, False)
    if one_file is False:
        return folder
    height, width = stack.input_size
    masks = clip.num_frames // 2 * (1 + files) * height * width * MASK_DENSITY * IN_BASE64
    left = (MOST_CHARACTERS - masks) / IN_BASE64
    differences = DIFFERENCES_SHARE * left / files
    pictures = (1 - DIFFERENCES_SHARE) * left / (1 + files)
    for size in (fitted(clip, width) for width in WIDTHS):
        if pictures / clip.num_frames >= LEAST_DENSITY * size[0] * size[1]:
            small = fitted(clip, min(DIFFERENCE_WIDTH, size[1]))
            return Plan(size, small, int(pictures), int(differences), True)
    return folder if one_file is None else None


def fitted(clip: Clip, width: int) -> tuple[int, int]:
    """Return ``(height, width)`` of the clip made at most so wide."""
    width = min(width, clip.width)
    return max(1, round(clip.height * width / clip.width)), width
