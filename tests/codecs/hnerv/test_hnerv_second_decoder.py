"""Symbols and frames again, written in Python and NumPy from docs/format.md alone."""

import dataclasses
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from second_decoder import RangeDecoder, share, symmetric

from seesame.bitstream.container import Container, Section
from seesame.codecs.hnerv.codec import HnervCodec
from seesame.codecs.hnerv.decode import unpack
from seesame.neural.corrections.sidecar import Corrections, pack_sidecar

Floats = NDArray[np.float64]
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "hnerv"


def gelu(v: Floats) -> Floats:
    return v * (0.5 + 0.5 * np.vectorize(math.erf)(v / math.sqrt(2)))


def convolution(x: Floats, weight: Floats, bias: Floats) -> Floats:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    height, width = x.shape[1:]
    out = np.zeros((len(weight), height, width)) + bias[:, None, None]
    for a in range(3):
        for b in range(3):
            seen = padded[:, a : a + height, b : b + width]
            out += np.einsum("oc,chw->ohw", weight[:, :, a, b], seen)
    return out


def shuffle(x: Floats) -> Floats:
    out = np.zeros((len(x) // 4, 2 * x.shape[1], 2 * x.shape[2]))
    for c in range(len(x)):
        out[c // 4, c % 4 // 2 :: 2, c % 2 :: 2] = x[c]
    return out


def bilinear(n_out: int, n_in: int) -> Floats:
    matrix = np.zeros((n_out, n_in))
    for i in range(n_out):
        p = min(max((i + 0.5) * n_in / n_out - 0.5, 0), n_in - 1)
        low = math.floor(p)
        matrix[i, low] += 1 - (p - low)
        matrix[i, min(low + 1, n_in - 1)] += p - low
    return matrix


def enlargement(n: int, m: int) -> Floats:
    if n == m:
        return np.eye(n)
    if n < 2 * m:
        up, down = bilinear(n, m), bilinear(m, n)
        return up + np.linalg.pinv(down) @ (np.eye(m) - down @ up)
    owner = {}
    for j in range(m):
        p = min(max((j + 0.5) * n / m - 0.5, 0), n - 1)
        owner |= {math.floor(p): j, min(math.floor(p) + 1, n - 1): j}
    owned = sorted(owner)
    matrix = np.zeros((n, m))
    matrix[: owned[0], owner[owned[0]]] = 1
    matrix[owned[-1] :, owner[owned[-1]]] = 1
    for low, high in pairwise(owned):
        for row in range(low, high):
            t = (row - low) / (high - low)
            matrix[row, owner[low]] += 1 - t
            matrix[row, owner[high]] += t
    return matrix


def sampled(frame: Floats, shift: int, zoom: int) -> Floats:
    """The last axis of a frame at the page's positions."""
    side = frame.shape[-1]
    out = np.zeros_like(frame)
    for x in range(side):
        p = 4096 * x + 256 * shift + (2 * x - (side - 1)) * zoom
        p = min(max(p, 0), 4096 * (side - 1))
        low, t = p // 4096, p % 4096 / 4096
        after = frame[..., min(low + 1, side - 1)]
        out[..., x] = frame[..., low] + (after - frame[..., low]) * t
    return out


def corrected(pair: Floats, numbers: NDArray[np.int8]) -> Floats:
    """Both frames ``(2, 3, h, w)`` by their seven numbers."""
    frames = []
    for frame, (right, down, zoom, gain, grey, red, blue) in zip(
        pair, numbers.tolist(), strict=True
    ):
        rows = sampled(frame, right, zoom)
        v = sampled(rows.swapaxes(1, 2), down, zoom).swapaxes(1, 2)
        v = v + (v - 127.5) * gain / 256
        frames.append(v + np.array([grey + red, grey, grey + blue])[:, None, None] / 4)
    return np.stack(frames)


def natural(coder: RangeDecoder) -> int:
    n = coder.uniform(1, 17)[0]
    return n if n < 2 else 2 ** (n - 1) + coder.uniform(1, 2 ** (n - 1))[0]


def read_list(coder: RangeDecoder, n: int) -> list[int]:
    f = natural(coder)
    middle = f // 2 if f % 2 == 0 else -(f + 1) // 2
    if n == 1:
        return [middle]
    m = coder.uniform(1, 16)[0]
    if m == 0:
        return [middle] * n
    limit = 2**m - 1
    counts = symmetric(4 * coder.uniform(1, 64)[0], limit, laplace=False)
    return [middle + coder.symbol(counts) - limit for _ in range(n)]


def table(s: int, limit: int, f: int, period: int, u: list[int]) -> list[int]:
    if f in (0, 3):
        w = symmetric(s, limit, laplace=f == 3)
    else:
        parts = [
            symmetric(min(255, max(0, s + i * 2 * f)), limit, laplace=False) for i in range(-2, 3)
        ]
        w = [a + 4 * b + 6 * c + 4 * d + e for a, b, c, d, e in zip(*parts, strict=True)]
    if period:
        for k in range(-limit, limit + 1):
            w[k + limit] *= u[min(k % period, period - k % period)]
    return share(w, limit)


def read_array(coder: RangeDecoder, axes: tuple[int, int, int]) -> list[int]:
    n = math.prod(axes)
    m = coder.uniform(1, 16)[0]
    if m == 0:
        return [0] * n
    limit = 2**m - 1
    base = coder.uniform(1, 256)[0]
    flags = [1 < length < n and coder.uniform(1, 2)[0] for length in axes]
    f = coder.uniform(1, 4)[0]
    period, u = 0, [0]
    if coder.uniform(1, 2)[0]:
        period = coder.uniform(1, 7)[0] + 2
        u = [w + 1 for w in coder.uniform(period // 2 + 1, 256)]
    v = coder.uniform(1, 8)[0]
    offsets = [
        read_list(coder, length) if flag else [0] * length
        for flag, length in zip(flags, axes, strict=True)
    ]
    scales = [
        min(255, max(0, base + x + y + z))
        for x in offsets[0]
        for y in offsets[1]
        for z in offsets[2]
    ]
    out = [0] * n
    for s in sorted(set(scales)):
        places = [i for i in range(n) if scales[i] == s]
        counts = table(s, limit, f, period, u)
        if v:
            symbols = coder.learned(len(places), counts, 2 * v + 2)
        else:
            symbols = [coder.symbol(counts) for _ in places]
        for place, symbol in zip(places, symbols, strict=True):
            out[place] = symbol - limit
    return out


def test_the_format_page_gives_the_same_symbols() -> None:
    """Layout 2: the tensors and latents of the golden file, which has every kind of array."""
    container = Container.from_bytes((GOLDEN / "layout2.ssm").read_bytes())
    assert container.sections[Section.MODEL][:2] == b"\0\2"
    decoder, latents = unpack(container)
    coder = RangeDecoder(container.sections[Section.WEIGHTS])
    widths = [5, 4, 4, 4, 4, 6]
    shapes = [("stem.weight", 5, (5, 4, 3)), ("stem.bias", 1, (5, 4, 1))]
    for i in range(5):
        out = 4 * widths[i + 1]
        shapes.append((f"stages.{i}.weight", out, (out, widths[i], 9)))
        shapes.append((f"stages.{i}.bias", 1, (1, out, 1)))
    state = dict(decoder.named_parameters())
    for name, rows, axes in shapes:
        exponents = np.array(read_list(coder, rows))
        symbols = np.array(read_array(coder, axes)).reshape(rows, -1)
        values = (symbols * 2.0 ** (exponents / 8)[:, None]).ravel()
        np.testing.assert_allclose(state[name].numpy().ravel(), values, rtol=1e-6)
        assert symbols.std() > 1
    coder = RangeDecoder(container.sections[Section.LATENTS])
    exponents, first, second, start = (read_list(coder, 3) for _ in range(4))
    rest = np.array(read_array(coder, (3, 3, 1))).reshape(3, 3)
    for k in range(3):
        x = [0, 0]
        for r in [start[k], *rest[k].tolist()]:
            x.append(r + math.floor((first[k] * x[-1] + second[k] * x[-2] + 8) / 16))
        np.testing.assert_allclose(
            latents.numpy()[:, k], np.array(x[2:]) * 2 ** (exponents[k] / 8), rtol=1e-6
        )


@pytest.mark.parametrize("size", [(80, 100), (40, 50), (65, 131), (47, 75), (333, 99)])
def test_the_format_page_gives_the_same_frames(size: tuple[int, int]) -> None:
    height, width = size
    golden = Container.from_bytes((GOLDEN / "small.ssm").read_bytes())
    numbers = np.random.default_rng(height).integers(-20, 21, (-(-golden.num_frames // 2), 2, 7))
    corrections = Corrections((numbers * (numbers % 3 > 0)).astype(np.int8))
    sections = {**golden.sections, Section.SIDECAR: pack_sidecar(corrections)}
    container = dataclasses.replace(golden, height=height, width=width, sections=sections)
    decoder, latents = unpack(container)
    tensors = {k: v.numpy().astype(np.float64) for k, v in decoder.named_parameters()}
    rows, columns = enlargement(height, 40), enlargement(width, 50)
    frames = []
    for latent, own in zip(latents.numpy().astype(np.float64), corrections.values, strict=True):
        x = gelu(tensors["stem.weight"] @ latent + tensors["stem.bias"]).reshape(-1, 2, 2)
        for i in range(5):
            x = shuffle(convolution(x, tensors[f"stages.{i}.weight"], tensors[f"stages.{i}.bias"]))
            if i < 4:
                x = gelu(x)
        pair = (64 * x[:, :40, :50] + 127.5).reshape(2, 3, 40, 50)
        pair = corrected(pair, own).clip(0, 255)
        frames.extend((rows @ pair @ columns.T).clip(0, 255).transpose(0, 2, 3, 1))
    wanted = np.stack(frames[: golden.num_frames])
    found = np.concatenate(list(HnervCodec().decode(container).batches(4)))
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 0.56
    assert wanted.std() > 5
