"""Corrections of the source bring back the classes that an encode lost."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from tiny_stack import TinyStack
from torch import Tensor

from seesame.codecs.av.encoding.closed_loop import Correction
from seesame.errors import DamagedError, MissingStackError
from seesame.perception.registry import load_stack
from seesame.scene import SceneClip, SceneConfig
from seesame.video.clip import Frames
from seesame.video.resize import resize, to_float

SIZE = 96, 160


@pytest.fixture(scope="module")
def source() -> Frames:
    clip = SceneClip(SceneConfig(width=320, height=192, seed=3), 8)
    return np.concatenate(list(clip.batches(8)))


def spoilt(small: Tensor) -> Frames:
    """What a poor encoder would make of pictures: few grey levels of large blocks."""
    coarse = resize(resize(small, (24, 40), "area"), SIZE, "bicubic")
    return ((coarse / 24).round() * 24).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def lost(frames: Tensor, source: Tensor) -> float:
    stack = load_stack("lite")
    with torch.no_grad():
        before, after = (stack.segment(x).argmax(1) for x in (source, frames))
    return float((before != after).float().mean())


def test_an_encode_of_corrected_pictures_loses_less(source: Frames) -> None:
    frames = to_float(source)
    small = resize(frames, SIZE, "bicubic")
    first = spoilt(small)
    correct = Correction(load_stack("lite"), "cpu", [first])
    corrected = correct(frames, small)
    assert corrected.shape == small.shape
    assert 0 < float((corrected - small).abs().max()) < 10
    before, after = (lost(to_float(x), frames) for x in (first, spoilt(corrected)))
    assert before > 0.02
    assert after < 0.9 * before


def test_pictures_come_out_the_same_in_parts(source: Frames) -> None:
    frames = to_float(source)
    small = resize(frames, SIZE, "bicubic")
    first = spoilt(small)

    def parts(count: int) -> Iterator[Tensor]:
        starts = range(0, len(first), count)
        correct = Correction(load_stack("lite"), "cpu", [first[i : i + count] for i in starts])
        for i in starts:
            yield correct(frames[i : i + count], small[i : i + count])

    assert torch.equal(torch.cat(list(parts(4))), torch.cat(list(parts(8))))


def test_classes_with_a_limit_weigh_more(source: Frames) -> None:
    frames = to_float(source)
    small = resize(frames, SIZE, "bicubic")
    first = spoilt(small)
    stack = load_stack("lite")
    plain = Correction(stack, "cpu", [first])(frames, small)
    lanes = Correction(stack, "cpu", [first], [1])(frames, small)
    assert not torch.equal(plain, lanes)


def test_another_encode_is_refused(source: Frames) -> None:
    frames = to_float(source)
    small = resize(frames, SIZE, "bicubic")
    for decoded in ([], [spoilt(small)[:4]], [spoilt(small)[:, :90]]):
        with pytest.raises(DamagedError, match="does not fit"):
            Correction(load_stack("lite"), "cpu", decoded)(frames, small)


def test_a_stack_without_gradients_is_refused() -> None:
    stack = TinyStack()
    stack.differentiable = False
    with pytest.raises(MissingStackError, match="no gradients"):
        Correction(stack, "cpu", [])
