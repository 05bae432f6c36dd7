"""The sizes of the page's pictures, and whether the page can be one file."""

from dataclasses import dataclass

from seesame.perception.stack import Stack
from seesame.video.clip import Clip

IN_BASE64 = 4 / 3
"""Characters a byte."""


@dataclass(frozen=True)
class PreviewSettings:
    """The bounds of the page's pictures.

    Attributes:
        most_characters: of all pictures and masks in a page that is one file; with the rest of the
            page this stays below the 25 MB that mail and chat programs take.
        differences_share: share of what the masks leave that the pictures of pixel difference get;
            the pictures of frames get the rest.
        mask_density: bytes that a pixel of a class map takes, at most as a rule.
        widths: of the pictures, tried from the largest; the clip's own width is the upper bound.
        least_density: bytes a pixel below which a preview is too coarse to be of use.
        difference_width: of the pictures of pixel difference, which are smooth.
    """

    most_characters: int = 23_000_000
    differences_share: float = 0.15
    mask_density: float = 0.07
    widths: tuple[int, ...] = (640, 560, 480, 400, 320)
    least_density: float = 0.045
    difference_width: int = 240


SETTINGS = PreviewSettings()


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
    largest = fitted(clip, SETTINGS.widths[0])
    folder = Plan(largest, fitted(clip, SETTINGS.difference_width), None, None, False)
    if one_file is False:
        return folder
    height, width = stack.input_size
    masks = clip.num_frames // 2 * (1 + files) * height * width * SETTINGS.mask_density * IN_BASE64
    left = (SETTINGS.most_characters - masks) / IN_BASE64
    differences = SETTINGS.differences_share * left / files
    pictures = (1 - SETTINGS.differences_share) * left / (1 + files)
    for size in (fitted(clip, width) for width in SETTINGS.widths):
        if pictures / clip.num_frames >= SETTINGS.least_density * size[0] * size[1]:
            small = fitted(clip, min(SETTINGS.difference_width, size[1]))
            return Plan(size, small, int(pictures), int(differences), True)
    return folder if one_file is None else None


def fitted(clip: Clip, width: int) -> tuple[int, int]:
    """Return ``(height, width)`` of the clip made at most so wide."""
    width = min(width, clip.width)
    return max(1, round(clip.height * width / clip.width)), width
