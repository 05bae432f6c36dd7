"""A clip whose every frame can be told from its colour, and a page of it."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from tiny_stack import TinyStack

from seesame.metric import evaluate
from seesame.report.observe import observe
from seesame.report.page import Shown, write_page
from seesame.report.plan import plan
from seesame.report.subject import Subject
from seesame.report.tracks import Tracks
from seesame.video.clip import ArrayClip, Frames

FRAMES, HEIGHT, WIDTH = 76, 48, 64
"""More than two chunks of pictures, and of masks more than one."""
COLOURS = [(40 + 23 * i % 180, 40 + 67 * i % 180, 40 + 101 * i % 180) for i in range(FRAMES)]
WRONG_PAIR = 22
"""Where the file's right half is black."""


def source_frames() -> Frames:
    """Each frame of one colour."""
    frames = np.empty((FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    frames[:] = np.array(COLOURS, dtype=np.uint8)[:, None, None]
    return frames


def file_frames(shade: int = 0) -> Frames:
    """The source, darker by ``shade``, and wrong in one pair."""
    frames = source_frames() - np.uint8(shade)
    frames[2 * WRONG_PAIR : 2 * WRONG_PAIR + 2, :, WIDTH // 2 :] = 0
    return frames


def write(
    place: Path, names: Sequence[str], one_file: bool = True, source_name: str = "marked.mp4"
) -> list[Shown]:
    """Write a page of files with these names, the first ten levels darker, and so on."""
    stack = TinyStack()
    source = ArrayClip(source_frames(), Fraction(20), 40_000)
    layout = plan(source, len(names), stack, one_file)
    assert layout is not None
    if not one_file:
        place.mkdir()
    tracks = Tracks(None if one_file else place)
    shown = []
    for number, name in enumerate(names, start=1):
        clip = ArrayClip(file_frames(10 * number), Fraction(20), 1000 * number)
        parts = (("stream", 900 * number), ("container", 100 * number))
        notes, settings = {"note": name}, {"crf": 40, "name": name, "half": "\ud800"}
        subject = Subject(name, clip, 1000 * number, "x264", parts, notes, settings)
        seen = observe(source, source, subject, number, stack, layout, tracks)
        other = evaluate(source, clip, stack, 1000 * number)
        shown.append(Shown(seen, (other,)))
    write_page(place, source, source_name, stack, shown, layout, tracks)
    return shown
