import math

import numpy as np
import pytest
import torch

from seesame.metric.fidelity import (
    C1,
    C2,
    LEAST_SIDE,
    SIDE,
    SIGMA,
    _ssim,
    luma,
    ms_ssim,
    psnr,
    squared_errors,
)


def picture(seed: int, *size: int) -> torch.Tensor:
    """Smooth noise, ``(1, 1, H, W)`` in 0..255."""
    noise = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, 3, 1, 1) * 255


def test_squared_errors_are_exact() -> None:
    source = np.zeros((2, 4, 6, 3), dtype=np.uint8)
    decoded = source.copy()
    decoded[0] = 5
    decoded[1, 0, 0, 0] = 255
    assert squared_errors(source, decoded) == [25.0, 255**2 / (4 * 6 * 3)]
    assert squared_errors(decoded, source) == squared_errors(source, decoded)


def test_psnr() -> None:
    assert psnr(25.0) == pytest.approx(34.1514, abs=1e-4)
    assert psnr(255.0**2) == 0
    assert psnr(0.0) == math.inf


def test_luma_is_bt601() -> None:
    frames = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]]], dtype=np.uint8)
    assert luma(frames).flatten().tolist() == pytest.approx([76.245, 149.685, 29.07, 9.0], abs=1e-3)


def test_ssim_is_that_of_explicit_windows() -> None:
    x, y = picture(1, 15, 13), picture(2, 15, 13)
    offsets = np.arange(SIDE) - SIDE // 2
    line = np.exp(-(offsets**2) / (2 * SIGMA**2))
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for row in range(15 - SIDE + 1):
        for column in range(13 - SIDE + 1):
            place = np.s_[0, 0, row : row + SIDE, column : column + SIDE]
            a, b = x[place].double().numpy(), y[place].double().numpy()
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            both = (window * (a - ma) * (b - mb)).sum()
            structure = (2 * both + C2) / (va + vb + C2)
            values.append(((2 * ma * mb + C1) / (ma**2 + mb**2 + C1) * structure, structure))
    whole, structure = _ssim(x, y)
    wanted = np.mean(values, axis=0)
    assert float(whole) == pytest.approx(wanted[0], abs=1e-4)
    assert float(structure) == pytest.approx(wanted[1], abs=1e-4)


def test_equal_pictures_have_one() -> None:
    x = picture(1, LEAST_SIDE, LEAST_SIDE + 7)
    assert float(ms_ssim(x, x)) == pytest.approx(1.0, abs=1e-5)


def test_brightness_counts_at_the_coarsest_scale_only() -> None:
    x = torch.full((1, 1, LEAST_SIDE, LEAST_SIDE), 100.0)
    luminance = (2 * 100 * 160 + C1) / (100**2 + 160**2 + C1)
    assert float(ms_ssim(x, x + 60)) == pytest.approx(luminance**0.1333, abs=1e-4)


def test_more_noise_is_less_alike() -> None:
    x, noise = picture(1, 180, 200), picture(2, 180, 200) - 128
    found = [float(ms_ssim(x, x + amount * noise)) for amount in (0.0, 0.1, 0.3, 1.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1] + 0.1
    assert all(0 <= value <= 1 + 1e-5 for value in found)
    assert float(ms_ssim(x, 255 - x)) == 0  # structure turned over, cut off at 0
    two = ms_ssim(torch.cat([x, x]), torch.cat([x, x + noise]))
    assert two.tolist() == pytest.approx([found[0], found[-1]], abs=1e-5)


def test_small_pictures_have_none() -> None:
    x = picture(1, LEAST_SIDE - 1, 300)
    assert ms_ssim(x, x) is None
