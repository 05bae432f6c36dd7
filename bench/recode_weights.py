"""Bytes of int8 weights: our coding of one tensor against general compressors and plain counts.

    python bench/recode_weights.py [STATE ...] [--synthetic]

Each ``STATE`` is one of

- a ``.safetensors`` file: its int8 tensors;
- an ``.onnx`` file of a network with float weights: they are rounded to int8 first, one step a
  tensor, as the public entries do it;
- an hnerv ``.ssm`` file: its quantised tensors.

Without any, or with ``--synthetic``: Gaussian, Laplace and comb-shaped tensors with fixed seeds.
A row a tensor, and one a file with the sums, where the general compressors also get all tensors as
one stream, which helps them. The ``bench`` extra brings the compressors, ``onnx`` reads networks.
Results are appended to ``bench/results/recode_weights.jsonl``.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import brotli
import numpy as np
import zstandard
from numpy.typing import NDArray
from safetensors.numpy import load_file

from common import Results
from seesame.bitstream.container import Container, Section
from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder
from seesame.codecs.hnerv.model import unpack_architecture
from seesame.codecs.hnerv.representation import row_shapes, tensor_axes
from seesame.neural.weights.arrays import Coding, decode_array, encode_array
from seesame.neural.weights.choose_coding import fit
from seesame.neural.weights.unpack import unpack_weights

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
            yield name, as_axes(tensor.astype(np.int64))


def network(path: Path) -> Named:
    """The float weights of an ONNX file, rounded to int8 with one step a tensor."""
    import onnx

    for stored in onnx.load(path).graph.initializer:
        tensor = onnx.numpy_helper.to_array(stored)
        largest = float(np.abs(tensor).max()) if tensor.size else 0.0
        if tensor.dtype == np.float32 and largest > 0:
            yield (
                stored.name,
                as_axes(np.round(127 * (tensor.astype(np.float64) / largest)).astype(np.int64)),
            )


def as_axes(tensor: Ints) -> Ints:
    """Any tensor as output channel, input channel, tap."""
    if tensor.ndim < 2:
        return tensor.reshape(1, -1, 1)
    return tensor.reshape(*tensor.shape[:2], -1)


def of_file(path: Path) -> Named:
    """The quantised tensors of an hnerv file that fit in int8."""
    sections = Container.from_bytes(path.read_bytes()).sections
    architecture, layout = unpack_architecture(sections[Section.MODEL], str(path))
    axes = tensor_axes(architecture)
    shapes = row_shapes(architecture)
    tensors = unpack_weights(sections[Section.WEIGHTS], shapes, axes, str(path), layout)
    for name, rows in tensors.items():
        if np.abs(rows.symbols).max() < 128:
            yield name, rows.symbols.reshape(axes[name])


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


READERS: dict[str, Callable[[Path], Named]] = {
    ".safetensors": state_dict,
    ".onnx": network,
    ".ssm": of_file,
}


def general(data: bytes) -> dict[str, int]:
    """Bytes after the general compressors, at their best."""
    return {
        "brotli": len(brotli.compress(data, quality=11, lgwin=24)),
        "zstd": len(zstandard.ZstdCompressor(level=22).compress(data)),
    }


def compare(source: str, tensors: Named, results: Results) -> None:
    """Every tensor of a source through every coder, then their sums."""
    sums, whole, count = Counter[str](), b"", 0
    for name, symbols in tensors:
        raw = symbols.astype(np.int8).tobytes()
        size, coding = ours(symbols)
        sizes = {
            "seesame": size,
            "adaptive": adaptive(symbols),
            "entropy": round(entropy(symbols), 1),
            **general(raw),
        }
        row = {"source": source, "tensor": name, "shape": list(symbols.shape)}
        results.add(row | sizes | {"coding": described(coding)})
        sums.update(sizes)
        whole, count = whole + raw, count + 1
    if not count:
        raise SystemExit(f"{source}: no int8 tensors in it")
    streams = {f"{name}_one_stream": size for name, size in general(whole).items()}
    total = {"source": source, "summary": True, "tensors": count, "weights": len(whole)}
    rounded = {name: round(size, 1) for name, size in sums.items()}
    results.add(total | rounded | streams)


def main() -> None:
    """Every source in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("states", type=Path, nargs="*", help="safetensors, ONNX or hnerv files")
    parser.add_argument("--synthetic", action="store_true", help="the synthetic tensors as well")
    args = parser.parse_args()
    for path in args.states:
        if path.suffix not in READERS or not path.is_file():
            parser.error(f"{path} is not a .safetensors, .onnx or .ssm file")
    results = Results("recode_weights", append=True)
    if args.synthetic or not args.states:
        compare("synthetic", synthetic(), results)
    for path in args.states:
        compare(path.name, READERS[path.suffix](path), results)


if __name__ == "__main__":
    main()
