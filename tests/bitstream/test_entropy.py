"""Entropy coding: round trips, cost, speed, damage, and streams that must decode for ever."""

import json
import time
from pathlib import Path
from typing import Any

import constriction
import numpy as np
import pytest
import second_decoder
from hypothesis import given
from hypothesis import strategies as st
from second_decoder import RangeDecoder

from seesame.bitstream import entropy
from seesame.bitstream.entropy import (
    MAX_LIMIT,
    TOTAL,
    SymbolDecoder,
    SymbolEncoder,
    cost_bits,
    gaussian_counts,
    laplace_counts,
    scale_for,
    sigma,
)
from seesame.errors import DamagedError

GOLDEN = Path(__file__).parents[1] / "golden" / "bitstream"

Call = tuple[str, list[int], tuple[Any, ...]]
"""Method, symbols, further arguments."""


def encode(calls: list[Call]) -> bytes:
    encoder = SymbolEncoder()
    for method, symbols, arguments in calls:
        getattr(encoder, method)(np.array(symbols, np.int32), *arguments)
    return encoder.to_bytes()


def decode(data: bytes, calls: list[Call]) -> list[list[int]]:
    decoder = SymbolDecoder(data, "drive.ssm")
    out = [getattr(decoder, m)(len(symbols), *a).tolist() for m, symbols, a in calls]
    decoder.finish()
    return out


@st.composite
def some_calls(draw: st.DrawFn) -> list[Call]:
    calls: list[Call] = []
    for _ in range(draw(st.integers(0, 5))):
        method = draw(st.sampled_from(["gaussian", "laplace", "uniform", "adaptive"]))
        if method in ("gaussian", "laplace"):
            limit = draw(st.sampled_from([0, 1, 7, 127, 500]))
            symbols = draw(st.lists(st.integers(-limit, limit), max_size=60))
            calls.append((method, symbols, (draw(st.integers(0, 255)), limit)))
        else:
            sizes = [1, 2, 3, 255, 4096, 4097, 65536]
            size = draw(st.sampled_from([*sizes, 100_003, 1 << 24][: 7 if method[0] == "a" else 9]))
            symbols = draw(st.lists(st.integers(0, size - 1), max_size=60))
            calls.append((method, symbols, (size,)))
    return calls


@given(some_calls())
def test_round_trip(calls: list[Call]) -> None:
    assert decode(encode(calls), calls) == [symbols for _, symbols, _ in calls]


@pytest.mark.parametrize("scale", [0, 20, 40, 70, 255])
def test_constriction_uses_exactly_our_counts(scale: int) -> None:
    """After one symbol the coder's state is its start and count, times a known factor."""
    unit = (2**64 - 1) >> 24
    for counts in (gaussian_counts(scale, 60), laplace_counts(scale, 60)):
        starts = np.concatenate([[0], np.cumsum(counts)])
        for symbol in range(len(counts)):
            encoder = constriction.stream.queue.RangeEncoder()
            encoder.encode(np.array([symbol], np.int32), entropy._model(counts))
            settled, (lower, size) = encoder.pos()
            words = encoder.get_compressed()
            if settled == 0:
                assert (lower, size) == (unit * int(starts[symbol]), unit * int(counts[symbol]))
            else:  # a rare symbol moved the state on by one word
                assert size == unit * int(counts[symbol]) << 32
                assert (int(words[0]) << 32) <= unit * int(starts[symbol + 1])


@pytest.mark.parametrize("scale", [16, 30, 48, 72])
@pytest.mark.parametrize("method", ["gaussian", "laplace"])
def test_overhead(scale: int, method: str) -> None:
    """10,000 symbols take at most 0.1 % and 8 bytes over the ideal cost of their table."""
    rng = np.random.default_rng(scale)
    counts = (gaussian_counts if method == "gaussian" else laplace_counts)(scale, 255)
    symbols = rng.choice(len(counts), 10_000, p=counts / TOTAL) - 255
    ideal = cost_bits(symbols, counts, 255) / 8
    size = len(encode([(method, symbols.tolist(), (scale, 255))]))
    assert ideal - 1 <= size <= ideal * 1.001 + 8


def test_adaptive_learns() -> None:
    """Within 1 % and 300 bytes of the empirical entropy, which no table was sent for."""
    rng = np.random.default_rng(1)
    symbols = np.minimum(rng.geometric(0.2, 30_000), 63)
    times = np.bincount(symbols)
    times = times[times > 0]
    entropy_bytes = float((times * np.log2(times.sum() / times)).sum()) / 8
    assert len(encode([("adaptive", symbols.tolist(), (64,))])) < entropy_bytes * 1.01 + 300


def test_adaptive_follows_a_change() -> None:
    """Halving forgets: a source that turns into its opposite is learnt again.

    Without halving these symbols would take 25,000 bytes.
    """
    symbols = [0] * 100_000 + [1] * 100_000
    assert len(encode([("adaptive", symbols, (2,))])) < 17_000


def test_uniform_costs_what_it_must() -> None:
    rng = np.random.default_rng(2)
    for size in (2, 10, 4096, 4097, 70_000, 1 << 24):
        symbols = rng.integers(0, size, 4000).tolist()
        size_bytes = len(encode([("uniform", symbols, (size,))]))
        assert size_bytes <= 4000 * np.log2(size) / 8 * 1.001 + 8


def test_no_symbols_no_bytes() -> None:
    assert encode([]) == b""
    assert encode([("gaussian", [], (40, 10)), ("uniform", [0] * 99, (1,))]) == b""
    assert len(encode([("gaussian", [0], (0, 10))])) <= 1


def test_scale_for_is_the_cheapest() -> None:
    rng = np.random.default_rng(3)
    for width, limit in ((0.1, 3), (0.7, 8), (3, 30), (20, 127), (300, 1500)):
        symbols = np.clip(np.rint(rng.normal(0, width, 400)), -limit, limit).astype(np.int32)
        symbols[0] = limit  # an outlier makes the search harder
        for laplace, table in ((False, gaussian_counts), (True, laplace_counts)):
            costs = [cost_bits(symbols, table(i, limit), limit) for i in range(256)]
            chosen = scale_for(symbols, limit, laplace)
            assert costs[chosen] == pytest.approx(min(costs), abs=1e-6)
    symbols = np.rint(rng.normal(0, sigma(60), 5000)).astype(np.int32)
    assert abs(scale_for(symbols) - 60) <= 1


def test_scale_for_edges() -> None:
    assert scale_for([]) == 0
    assert scale_for([0, 0]) == 0
    with pytest.raises(ValueError, match="limit"):
        scale_for([5], limit=4)


def test_speed() -> None:
    """500 calls of 300 symbols each way; the bound is ten times what an idle core takes."""
    rng = np.random.default_rng(4)
    parts = [np.rint(rng.normal(0, 2 + i % 9, 300)).astype(np.int32) for i in range(500)]
    scales = [scale_for(part, 127) for part in parts]
    start = time.process_time()
    encoder = SymbolEncoder()
    for part, scale in zip(parts, scales, strict=True):
        encoder.gaussian(part, scale, 127)
    decoder = SymbolDecoder(encoder.to_bytes())
    for part, scale in zip(parts, scales, strict=True):
        assert (decoder.gaussian(300, scale, 127) == part).all()
    assert time.process_time() - start < 0.3
    start = time.process_time()
    symbols = rng.integers(0, 256, 100_000).tolist()
    calls: list[Call] = [("adaptive", symbols, (256,))]
    assert decode(encode(calls), calls) == [symbols]
    assert time.process_time() - start < 3


@pytest.mark.parametrize("strength", [0, 6, 20])
def test_learned_symbols_by_the_format_page(strength: int) -> None:
    """The second decoder reads them too, past the place where weights are halved."""
    symbols = np.random.default_rng(11).choice([0, 2, 6], 20_000 if strength == 0 else 500)
    table = gaussian_counts(45, 3)
    encoder = SymbolEncoder()
    encoder.learned(symbols, table, strength)
    data = encoder.to_bytes()
    decoder = SymbolDecoder(data)
    assert (decoder.learned(len(symbols), table, strength) == symbols).all()
    decoder.finish()
    second = RangeDecoder(data)
    assert second.learned(len(symbols), table.tolist(), strength) == symbols.tolist()


def test_a_good_start_saves_learning() -> None:
    symbols = np.rint(np.random.default_rng(12).normal(0, 9, 1000)).astype(np.int64) + 127
    encoder = SymbolEncoder()
    encoder.learned(symbols, gaussian_counts(57, 127), 10)
    assert len(encoder.to_bytes()) < 0.95 * len(encode([("adaptive", symbols.tolist(), (255,))]))


def test_a_large_call_is_decoded_in_pieces() -> None:
    symbols = np.random.default_rng(5).integers(-3, 4, 200_000).tolist()
    calls: list[Call] = [("gaussian", symbols, (44, 3))]
    assert decode(encode(calls), calls) == [symbols]


def test_any_shape_and_integer_type() -> None:
    symbols = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
    encoder = SymbolEncoder()
    encoder.gaussian(symbols.T, np.uint8(50), np.int64(10))
    decoder = SymbolDecoder(encoder.to_bytes())
    assert decoder.gaussian(12, 50, 10).tolist() == symbols.T.ravel().tolist()


def test_encoder_refuses() -> None:
    encoder = SymbolEncoder()
    for call in (
        lambda: encoder.gaussian([5], 40, 4),
        lambda: encoder.gaussian([-5], 40, 4),
        lambda: encoder.gaussian([0], 256, 4),
        lambda: encoder.laplace([0], 40, MAX_LIMIT + 1),
        lambda: encoder.uniform([4], 4),
        lambda: encoder.uniform([0], (1 << 24) + 1),
        lambda: encoder.adaptive([-1], 4),
        lambda: encoder.adaptive([0], (1 << 16) + 1),
        lambda: encoder.gaussian(np.array([1.0]), 40, 4),
        lambda: encoder.counts([0], np.array([1, 2])),
        lambda: encoder.learned([7], gaussian_counts(45, 3), 4),
    ):
        with pytest.raises(ValueError, match=r"symbols|range|alphabet|counts"):
            call()
    assert encoder.to_bytes() == b""


# --- damage ------------------------------------------------------------------------------------


@given(st.binary(max_size=40), some_calls())
def test_random_bytes_never_raise_anything_else(data: bytes, calls: list[Call]) -> None:
    try:
        out = decode(data, calls)
    except DamagedError:
        return
    again = [(m, symbols, a) for (m, _, a), symbols in zip(calls, out, strict=True)]
    assert encode(again) == data


def test_truncation_and_tails_are_found() -> None:
    rng = np.random.default_rng(6)
    calls: list[Call] = [("gaussian", rng.integers(-9, 10, 200).tolist(), (60, 9))]
    data = encode(calls)
    for size in range(len(data) - 4):
        with pytest.raises(DamagedError):
            decode(data[:size], calls)
    for tail in (b"\0", b"\x01", b"tail" * 9):
        with pytest.raises(DamagedError, match="do not end where"):
            decode(data + tail, calls)


def test_impossible_data() -> None:
    with pytest.raises(DamagedError, match=r"drive\.ssm: .*no range coder's output"):
        SymbolDecoder(b"\xff" * 40, "drive.ssm").gaussian(3, 40, 9)


def test_a_symbol_out_of_range_is_refused() -> None:
    encoder = SymbolEncoder()
    encoder.uniform([8191], 8192)  # the same two digits as with 8191 symbols
    with pytest.raises(DamagedError, match="out of range"):
        SymbolDecoder(encoder.to_bytes()).uniform(1, 8191)


def test_absurd_arguments_of_the_decoder_are_damage() -> None:
    decoder = SymbolDecoder(b"abcd")
    for call in (
        lambda: decoder.gaussian(10**15, 40, 9),
        lambda: decoder.gaussian(-1, 40, 9),
        lambda: decoder.gaussian(1, 256, 9),
        lambda: decoder.laplace(1, 40, 1 << 20),
        lambda: decoder.uniform(1, 0),
        lambda: decoder.adaptive(1, 1 << 17),
        lambda: decoder.counts(1, np.array([3, 4])),
        lambda: decoder.learned(1, np.array([3, 4]), 4),
        lambda: decoder.learned(1, gaussian_counts(45, 3), 21),
    ):
        with pytest.raises(DamagedError):
            call()
    with pytest.raises(DamagedError, match="too early"):
        SymbolDecoder(b"abcd").uniform(100_000_000, 4096)  # stops at the first piece


# --- goldens -----------------------------------------------------------------------------------


def goldens() -> list[dict[str, Any]]:
    return list(json.loads((GOLDEN / "symbols.json").read_text())["streams"])


@pytest.mark.parametrize("golden", goldens(), ids=lambda golden: golden["name"])
def test_golden_streams_decode_for_ever(golden: dict[str, Any]) -> None:
    calls = [(c["method"], c["symbols"], tuple(c["arguments"])) for c in golden["calls"]]
    data = bytes.fromhex(golden["bytes"])
    assert decode(data, calls) == [symbols for _, symbols, _ in calls]
    assert encode(calls) == data


@pytest.mark.parametrize("golden", goldens(), ids=lambda golden: golden["name"])
def test_the_second_decoder_agrees(golden: dict[str, Any]) -> None:
    decoder = second_decoder.RangeDecoder(bytes.fromhex(golden["bytes"]))
    for call in golden["calls"]:
        count, arguments = len(call["symbols"]), call["arguments"]
        if call["method"] in ("gaussian", "laplace"):
            scale, limit = arguments
            counts = second_decoder.symmetric(scale, limit, call["method"] == "laplace")
            out = [decoder.symbol(counts) - limit for _ in range(count)]
        else:
            out = getattr(decoder, call["method"])(count, *arguments)
        assert out == call["symbols"]
