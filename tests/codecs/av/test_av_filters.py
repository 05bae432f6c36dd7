import numpy as np
import pytest
import torch

from seesame.codecs.av.filters import blur, fade_colour, presharpen, sharpen


def noise(height: int = 20, width: int = 30) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255


def test_off_changes_nothing() -> None:
    x = noise()
    for same in (blur(x, 0.0), fade_colour(x, 1.0), presharpen(x, 0.0), sharpen(x, 0.0, 9)):
        assert same is x


def test_filters_leave_their_input_and_flat_pictures_alone() -> None:
    x, flat = noise(), torch.full((1, 3, 8, 8), 90.0)
    before = x.clone()
    for f in (
        lambda y: blur(y, 1.5),
        lambda y: fade_colour(y, 0.3),
        lambda y: presharpen(y, 2.0),
        lambda y: sharpen(y, 0.5, 7),
    ):
        f(x)
        torch.testing.assert_close(f(flat), flat)
    assert torch.equal(x, before)


def test_a_blurred_point_is_a_gaussian() -> None:
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    found = blur(point, 2.0)[0, 0]
    steps = np.arange(-20, 21)
    bell = np.exp(-(steps**2) / 8) * (np.abs(steps) <= 6)
    np.testing.assert_allclose(found, np.outer(bell, bell) / bell.sum() ** 2, atol=1e-7)


def test_edges_are_repeated_even_where_the_kernel_is_larger_than_the_picture() -> None:
    x = noise(2, 3)
    found = blur(x, 4.0)
    assert found.shape == x.shape
    assert x.min() <= found.min() <= found.max() <= x.max()


def test_the_unsharp_mask_is_as_documented() -> None:
    x = noise().double()
    steps = np.arange(-3, 4)
    bell = np.exp(-((steps / (7 / 6)) ** 2) / 2)
    bell /= bell.sum()
    wide = np.pad(x.numpy(), ((0, 0), (0, 0), (3, 3), (3, 3)), mode="edge")
    rows = sum(w * wide[..., i : i + 20, :] for i, w in enumerate(bell))
    soft = sum(w * rows[..., i : i + 30] for i, w in enumerate(bell))
    np.testing.assert_allclose(
        sharpen(x, 0.45, 7), x.numpy() + 0.45 * (x.numpy() - soft), atol=1e-9
    )


@pytest.mark.parametrize("size", [3, 15])
def test_a_picture_does_not_depend_on_its_batch(size: int) -> None:
    x = noise()
    both = sharpen(x, 0.8, size)
    assert torch.equal(both, torch.cat([sharpen(one[None], 0.8, size) for one in x]))


def test_colour_fades_to_grey_of_the_same_luma() -> None:
    x = noise()
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    grey = fade_colour(x, 0.0)
    torch.testing.assert_close(grey[:, 0], grey[:, 2])
    half = fade_colour(x, 0.5)
    torch.testing.assert_close((half * weights).sum(1), (x * weights).sum(1))
    torch.testing.assert_close(half, (x + grey) / 2)
