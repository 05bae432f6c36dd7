"""Regions of a picture with a quantiser of their own, as encoders are told of them.

FFmpeg's filter ``addroi`` puts regions beside a frame's pixels, from where libx264 and libx265 take
an offset for the quantiser of each block.
"""

import itertools
from collections.abc import Iterator

import av
import numpy as np
from av.filter.context import FilterContext
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

QUANTISERS = 51
"""The steps of the quantiser that an offset of 1 stands for."""

Region = tuple[int, int, int, int, int]
"""Column, row, width and height in blocks, and the offset."""


def regions(offsets: NDArray[np.int64]) -> list[Region]:
    """Return rectangles of equal offset that cover all blocks whose offset is not 0.

    Args:
        offsets: ``(rows, columns)``.
    """
    done: list[Region] = []
    above: list[Region] = []
    for row, values in enumerate(offsets):
        here: list[Region] = []
        for column, width, offset in _runs(values):
            taller = [r for r in above if (r[0], r[2], r[4]) == (column, width, offset)]
            first, height = (taller[0][1], taller[0][3]) if taller else (row, 0)
            here.append((column, first, width, height + 1, offset))
        grown = {(r[0], r[1]) for r in here}
        done += [r for r in above if (r[0], r[1]) not in grown]
        above = here
    return sorted(done + above)


def _runs(values: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Yield start, length and value of each run of equal values other than 0."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1), len(values)]
    for start, end in itertools.pairwise(edges):
        if values[start]:
            yield int(start), int(end - start), int(values[start])


def with_regions(picture: VideoFrame, offsets: NDArray[np.int64], block: int) -> VideoFrame:
    """Return a picture with regions as side data; the pixels are the same.

    Args:
        picture: with its time stamp.
        offsets: ``(rows, columns)``, what is added to the quantiser of each block.
        block: side of the blocks, in pixels.
    """
    found = regions(offsets)
    if not found:
        return picture
    graph = av.filter.Graph()
    last: FilterContext = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base,
    )
    for column, row, width, height, offset in found:
        place = f"x={column * block}:y={row * block}:w={width * block}:h={height * block}"
        region = graph.add("addroi", f"{place}:qoffset={offset}/{QUANTISERS}")
        last.link_to(region)
        last = region
    last.link_to(graph.add("buffersink"))
    graph.configure()
    graph.push(picture)
    shown = graph.pull()
    assert isinstance(shown, VideoFrame)
    shown.pict_type = PictureType.NONE  # the encoder chooses
    return shown
