"""Bytes of int8 weights: our coding of one tensor against general compressors and plain counts.

    python bench/recode_weights.py [STATE.safetensors] [--ssm FILE.ssm ...]

Without a state dict, synthetic Gaussian, Laplace and comb-shaped tensors with fixed seeds. With
``--ssm``, the quantised tensors of hnerv files as well. Needs the ``bench`` extra.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import brotli
import numpy as np
import zstandard
from numpy.typing import NDArray
from safetensors.numpy import load_file

from common import Results
from seesame.bitstream.container import Container, Section
from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder
from seesame.codecs.hnerv.arrays import Coding, decode_array, encode_array
from seesame.codecs.hnerv.fit import fit
from seesame.codecs.hnerv.pack import unpack_architecture, unpack_weights
from seesame.codecs.hnerv.representation import row_shapes, tensor_axes

Ints = NDArray[np.int64]
Named = Iterator[tuple[str, Ints]]


def synthetic() -> Named:
    """int8 tensors ``(out, in, 9)`` of three sizes: two plain shapes and combs of period 2 to 4.

    A comb has nine of ten values on a multiple of its period, the others anywhere near.
    """
    for size in ((16, 8, 9), (64, 32, 9), (128, 128, 9)):
        for shape in ("gaussian", "laplace"):
            for period in (1, 2, 3, 4):
                rng = np.random.default_rng([period, len(shape), *size])
                values = (
                    rng.normal(0, 20, size) if shape == "gaussian" else rng.laplace(0, 14, size)
                )
                symbols = period * np.round(values / period)
                if period > 1:
                    symbols += (rng.random(size) < 0.1) * rng.integers(-1, 2, size)
                kind = shape if period == 1 else f"{shape} comb {period}"
                yield kind, symbols.clip(-127, 127).astype(np.int64)


def state_dict(path: Path) -> Named:
    """The int8 tensors of a safetensors file, as output channel, input channel, tap."""
    for name, tensor in load_file(path).items():
        if tensor.dtype == np.int8 and tensor.size:
            wide = tensor.astype(np.int64)
            yield (
                name,
                wide.reshape(len(wide), wide.shape[1], -1)
                if wide.ndim > 1
                else wide[None, :, None],
            )


def of_file(path: Path) -> Named:
    """The quantised tensors of an hnerv file that fit in int8."""
    sections = Container.from_bytes(path.read_bytes()).sections
    architecture, layout = unpack_architecture(sections[Section.MODEL], str(path))
    axes = tensor_axes(architecture)
    shapes = row_shapes(architecture)
    tensors = unpack_weights(sections[Section.WEIGHTS], shapes, axes, str(path), layout)
    for name, rows in tensors.items():
        if np.abs(rows.symbols).max() < 128:
            yield f"{path.stem} {name}", rows.symbols.reshape(axes[name])


def ours(symbols: Ints) -> tuple[int, Coding]:
    """Bytes in our coding, decoded again to make sure, and the coding that was chosen."""
    coding = fit(symbols)
    encoder = SymbolEncoder()
    encode_array(encoder, symbols, coding)
    data = encoder.to_bytes()
    decoder = SymbolDecoder(data)
    if not np.array_equal(decode_array(decoder, symbols.shape, "tensor"), symbols):
        raise SystemExit("a tensor did not come back from its bytes")
    decoder.finish()
    return len(data), coding


def adaptive(symbols: Ints) -> int:
    """Bytes with frequencies of the 256 values counted on the way."""
    encoder = SymbolEncoder()
    encoder.adaptive(symbols + 128, 256)
    return len(encoder.to_bytes())


def entropy(symbols: Ints) -> float:
    """Empirical entropy in bytes, the frequencies for nothing."""
    _, counts = np.unique(symbols, return_counts=True)
    return float(counts @ np.log2(symbols.size / counts)) / 8


def described(coding: Coding) -> str:
    """What was chosen, in words."""
    words = [("gaussian", "mixture 1", "mixture 2", "laplace")[coding.shape]]
    named = zip("ABC", coding.offsets, strict=True)
    words += [f"scales of {axis}" for axis, offsets in named if offsets is not None]
    if coding.period > 1:
        words.append(f"period {coding.period}")
    if coding.strength is not None:
        words.append(f"learns from 2^{coding.strength}")
    return ", ".join(words)


def main() -> None:
    """Every tensor through every coder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("state", type=Path, nargs="?", help="safetensors file with int8 tensors")
    parser.add_argument("--ssm", type=Path, nargs="*", default=[], help="hnerv files")
    args = parser.parse_args()
    results = Results("recode_weights")
    sources = [state_dict(args.state) if args.state else synthetic()]
    sources += [of_file(path) for path in args.ssm]
    for source in sources:
        for name, symbols in source:
            raw = symbols.astype(np.int8).tobytes()
            size, coding = ours(symbols)
            results.add(
                {
                    "tensor": name,
                    "shape": list(symbols.shape),
                    "seesame": size,
                    "adaptive": adaptive(symbols),
                    "entropy": round(entropy(symbols), 1),
                    "brotli": len(brotli.compress(raw, quality=11)),
                    "zstd": len(zstandard.ZstdCompressor(level=22).compress(raw)),
                    "coding": described(coding),
                }
            )


if __name__ == "__main__":
    main()
