import numpy as np
import pytest

from seesame.codecs.semantic.masks.coder import Masks, encode_masks
from seesame.codecs.semantic.masks.edits import EditSettings, cheaper_masks, total_cost


def flicker(count: int = 8, seed: int = 0) -> Masks:
    """Masks of two areas whose border jumps to and fro by a pixel, with specks."""
    random = np.random.default_rng(seed)
    masks = np.zeros((count, 32, 48), np.uint8)
    for mask in masks:
        edge = 16 + (random.random(48) < 0.2)
        mask[np.arange(32)[:, None] >= edge] = 1
        mask[random.integers(0, 32, 3), random.integers(0, 48, 3)] = 2
    return masks


@pytest.mark.parametrize("value", [0.01, 1, 4, 50])
def test_chosen_masks_are_never_worse(value: float) -> None:
    masks = flicker()
    chosen = cheaper_masks(masks, 3, value)
    assert chosen.shape == masks.shape
    assert chosen.dtype == np.uint8
    true, found = (total_cost(m, masks, 3, value) for m in (masks, chosen))
    assert found <= true + 1e-6
    if value >= 4:
        assert found < 0.9 * true
        assert len(encode_masks(chosen, 3)) < len(encode_masks(masks, 3))
    if value == 0.01:
        np.testing.assert_array_equal(chosen, masks)


def test_dear_pixels_stay_true() -> None:
    masks = flicker()
    cost = np.ones(masks.shape, np.float32)
    cost[:, :, :24] = 1e6
    chosen = cheaper_masks(masks, 3, 10, cost=cost)
    wrong = chosen != masks
    assert wrong[:, :, 24:].any()
    assert not wrong[:, :, :24].any()
    before, after = (total_cost(m, masks, 3, 10, cost=cost) for m in (masks, chosen))
    assert after < before


def test_groups_are_chosen_apart_and_judged_together() -> None:
    masks = flicker(9)
    settings = EditSettings(rounds=2, group=4)
    chosen = cheaper_masks(masks, 3, 10, settings=settings)
    assert (chosen[5:] != masks[5:]).any()
    assert total_cost(chosen, masks, 3, 10) < total_cost(masks, masks, 3, 10)


def test_the_same_masks_are_chosen_again() -> None:
    masks = flicker(4, seed=2)
    np.testing.assert_array_equal(cheaper_masks(masks, 3, 5), cheaper_masks(masks, 3, 5))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="a byte is worth"):
        cheaper_masks(flicker(2), 3, 0)
    with pytest.raises(ValueError, match="costs are of the masks' shape"):
        cheaper_masks(flicker(2), 3, 1, cost=np.ones((1, 2, 2), np.float32))
