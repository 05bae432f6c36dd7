"""Real frames through the codecs, from disk, and the shipped nets on real labels."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id, get_codec
from seesame.context import EncodeContext
from seesame.metric.evaluator import evaluate
from seesame.perception.lite.stack import LiteStack
from seesame.perception.registry import load_stack
from seesame.video.clip import ArrayClip
from seesame.video.reading.reader import open_clip
from seesame.video.resize import to_float

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def beginning(shared: Path) -> ArrayClip:
    """The first 24 frames of ``highway``, with their share of its bytes."""
    clip = open_clip(shared / "data/clips/highway.mp4")
    frames = next(iter(clip.batches(24)))
    return ArrayClip(frames, clip.fps, clip.source_bytes * 24 // clip.num_frames)


@pytest.mark.parametrize(
    ("codec", "settings"),
    [("svtav1", {"crf": 50, "preset": 8}), ("hnerv", {"steps": 60}), ("vp9", {"crf": 40})],
)
def test_a_real_clip_from_disk(
    beginning: ArrayClip, tmp_path: Path, codec: str, settings: dict[str, Any]
) -> None:
    stack = load_stack("lite")
    path = tmp_path / "a.ssm"
    written = get_codec(codec).encode(beginning, settings, EncodeContext(stack)).write(path)
    container = Container.read(path)
    decode = codec_by_id(container.codec_id).decode
    first, second = decode(container), decode(Container.read(path))
    for left, right in itertools.zip_longest(first.batches(16), second.batches(7 + 9)):
        assert np.array_equal(left, right)
    found = evaluate(beginning, decode(container), stack, path.stat().st_size)
    assert written == path.stat().st_size == found.compressed_bytes
    assert 0 < found.score.seg < 0.2
    assert 0 < found.score.pose < 5
    assert found.score.rate < 0.2


def test_the_shipped_nets_find_the_road(shared: Path) -> None:
    """Class by class on labelled frames of the last quarter, which training never read."""
    stack = LiteStack.load()
    labels = sorted((shared / "data/labels/highway").glob("*.png"))[-28::4]
    wanted = {int(path.stem): path for path in labels}
    confusion = np.zeros((5, 5), np.int64)
    number = 0
    for batch in open_clip(shared / "data/clips/highway.mp4").batches(16):
        for frame in batch:
            if number in wanted:
                with torch.inference_mode():
                    seen = stack.segment(to_float(frame[None])).argmax(1)[0].numpy()
                label = Image.open(wanted[number]).resize((256, 192), Image.Resampling.NEAREST)
                np.add.at(confusion, (np.asarray(label), seen), 1)
            number += 1
    both = np.diag(confusion)[:4]
    union = (confusion.sum(0) + confusion.sum(1))[:4] - both
    assert (both / union).mean() > 0.7
