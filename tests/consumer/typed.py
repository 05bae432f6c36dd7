"""A program that uses seesame, for type checkers: they must find nothing in it. It is never run."""

from pathlib import Path
from typing import assert_type

import seesame


def smallest(path: Path) -> Path:
    """Compress a clip, look at the figures, and save the file."""
    stack = seesame.load_stack("lite")
    clip = seesame.open_clip(path)
    result = seesame.compress(clip, stack, codec="hybrid", preset="draft", max_seg=0.01)
    assert_type(result, seesame.Compressed)
    assert_type(result.nbytes, int)
    assert_type(result.score, seesame.Score)
    assert_type(result.score.total, float)
    assert_type(result.missed, dict[str, float])
    try:
        result.check_limits()
    except seesame.LimitsNotMetError as error:
        print(error)
    return result.save("drive.ssm", overwrite=True)


def frames(path: Path) -> int:
    """Read a file's frames, and score it."""
    video = seesame.open(path, dimension_order="NHWC")
    assert_type(video, seesame.VideoDecoder)
    for batch in video.batches(16):
        print(batch.shape, batch.dtype)
    print(seesame.score(path, video, seesame.load_stack("lite"), nbytes=1).seg)
    assert_type(seesame.__version__, str)
    return len(video)
