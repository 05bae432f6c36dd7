import numpy as np
import pytest
import torch
from fake_stack import FakeStack

from seesame.neural.render.geometry import enlarge, enlarge_matrix, render_size
from seesame.video.clip import ArrayClip
from seesame.video.resize import resize

STACK = (192, 256)
SIZES = [(540, 960), (360, 640), (874, 1164), (256, 128), (311, 517), (448, 597), (97, 255)]


def rendered(source: tuple[int, int], stack: tuple[int, int] = STACK) -> tuple[int, int]:
    clip = ArrayClip(np.broadcast_to(np.zeros(3, np.uint8), (1, *source, 3)))
    return render_size(clip, FakeStack(stack))


def smooth(size: tuple[int, int]) -> torch.Tensor:
    """Whole numbers with edges as steep as a decoder may draw."""
    noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    return (noise * 255).round()


@pytest.mark.parametrize("source", SIZES)
def test_the_stack_sees_what_was_rendered(source: tuple[int, int]) -> None:
    picture = smooth(rendered(source))
    large = enlarge(picture, source)
    assert large.shape[-2:] == source
    back = resize(large, tuple(picture.shape[-2:]), "bilinear")
    assert (back - picture).abs().max() < 0.02


@pytest.mark.parametrize(
    ("source", "stack"),
    [
        ((540, 960), STACK),
        ((384, 512), STACK),
        ((448, 597), STACK),
        ((874, 1164), (384, 512)),
        ((960, 1280), (320, 256)),
        ((301, 777), (100, 111)),
    ],
)
def test_rounding_to_bytes_loses_nothing(source: tuple[int, int], stack: tuple[int, int]) -> None:
    """Where the source has two pixels or more for each of the stack's, whole numbers survive."""
    picture = smooth(rendered(source, stack))
    stored = enlarge(picture, source).clamp(0, 255).round()
    back = resize(stored, stack, "bilinear")
    assert (back - picture).abs().max() < 0.01


def test_between_one_and_two_the_rounding_stays_small() -> None:
    calm = resize(smooth((12, 16)), STACK, "bilinear").clamp(20, 235)
    stored = enlarge(calm, (360, 400)).clamp(0, 255).round()
    assert (resize(stored, STACK, "bilinear") - calm).abs().max() < 1.5


def test_a_side_smaller_than_the_stack_is_rendered_as_it_is() -> None:
    assert rendered((128, 960)) == (128, 256)
    picture = smooth((128, 200))
    assert torch.equal(enlarge(picture, (128, 200)), picture)


@pytest.mark.parametrize(("source", "side"), [(540, 192), (300, 192), (1164, 512), (17, 5)])
def test_rows_sum_to_one(source: int, side: int) -> None:
    """A flat picture stays flat."""
    matrix = enlarge_matrix(source, side)
    assert matrix.shape == (source, side)
    torch.testing.assert_close(matrix.sum(1), torch.ones(source), atol=1e-4, rtol=0)


def test_two_or_more_pixels_a_sample_never_overshoot() -> None:
    matrix = enlarge_matrix(874, 384)
    assert matrix.min() >= 0
    assert matrix.max() <= 1
