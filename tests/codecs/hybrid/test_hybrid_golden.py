"""A file that every later version must decode to the same symbols, and to the same picture."""

import hashlib
from pathlib import Path

import numpy as np

from seesame.bitstream.container import Container
from seesame.codecs.hybrid.codec import HybridCodec
from seesame.codecs.hybrid.design import Design
from seesame.codecs.hybrid.sections import unpack_symbols
from seesame.neural.corrections.sidecar import read_sidecar

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "hybrid" / "small.ssm"
CODES = "03f9e053dd443952"
SYMBOLS = "22672dea073ce12c"
EXPONENTS = "8f4f7ddc3abf1a70"
SIDECAR = "64fe9640e2a4ccb4"
MEANS = [
    119.66,
    143.57,
    136.0,
    123.12,
    141.02,
    136.25,
    122.05,
    139.35,
    135.03,
    124.6,
    136.2,
    135.74,
    127.87,
    135.36,
    136.79,
    129.63,
    132.17,
    136.59,
    130.87,
    130.41,
    135.46,
    132.2,
    128.4,
    135.79,
    133.97,
    127.11,
    134.99,
]
SAMPLES = [
    167,
    190,
    36,
    61,
    100,
    236,
    24,
    100,
    36,
    122,
    193,
    160,
    59,
    219,
    152,
    36,
    79,
    188,
    112,
    120,
    33,
    214,
    165,
    210,
    5,
    220,
    212,
    110,
    58,
    79,
    219,
    155,
    126,
    188,
    123,
    161,
    69,
    215,
    187,
    210,
    35,
    15,
    224,
    178,
    202,
    115,
    117,
    120,
]


def digest(*arrays: np.ndarray) -> str:
    """Of integers, whatever their type."""
    joined = b"".join(a.astype("<i4").tobytes() for a in arrays)
    return hashlib.sha256(joined).hexdigest()[:16]


def test_symbols_stay_the_same() -> None:
    container = Container.read(GOLDEN)
    found = unpack_symbols(container)
    assert found is not None
    assert found.design == Design((32, 64), 3, 8, 4)
    assert digest(found.codes.symbols, found.codes.exponents) == CODES
    weights = found.weights
    assert digest(*(r.symbols for r in weights.values())) == SYMBOLS
    assert digest(*(r.exponents for r in weights.values())) == EXPONENTS
    corrections = read_sidecar(container)
    assert corrections is not None
    assert digest(corrections.values) == SIDECAR


def test_the_picture_stays_the_same() -> None:
    frames = np.concatenate(list(HybridCodec().decode(Container.read(GOLDEN)).batches(4)))
    assert frames.shape == (9, 61, 127, 3)
    means = frames.mean(axis=(1, 2)).ravel()
    np.testing.assert_allclose(means, MEANS, atol=0.5)
    np.testing.assert_allclose(frames[4, 7::16, 9::32].ravel(), SAMPLES, atol=2)
