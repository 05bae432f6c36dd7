import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packing import SMALL, golden_parts, rows, same

from seesame.bitstream.container import Container, Section
from seesame.bitstream.entropy import SymbolEncoder
from seesame.bitstream.varint import pack_varint
from seesame.codecs.hnerv.architecture import Architecture, pack_architecture, unpack_architecture
from seesame.codecs.hnerv.decode import unpack
from seesame.errors import DamagedError
from seesame.neural.weights.arrays import LARGEST, STRENGTHS, Coding, encode_array, encode_list
from seesame.neural.weights.pack import pack_stream, pack_weights
from seesame.neural.weights.predict import missed
from seesame.neural.weights.rows import MAX_EXPONENT, Rows
from seesame.neural.weights.tensors import TensorSpec
from seesame.neural.weights.unpack import unpack_stream, unpack_weights

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "hnerv"


def specs_of(tensors: dict[str, Rows]) -> dict[str, TensorSpec]:
    shapes = {name: t.symbols.shape for name, t in tensors.items()}
    return {name: TensorSpec(shape, shape[0], (*shape, 1)) for name, shape in shapes.items()}


@settings(max_examples=30, deadline=None)
@given(st.lists(rows(), min_size=1, max_size=4))
def test_weights_come_back(tensors: list[Rows]) -> None:
    named = {str(i): t for i, t in enumerate(tensors)}
    specs = specs_of(named)
    found = unpack_weights(pack_weights(named, specs), specs, "w")
    assert list(found) == list(named)
    for name, tensor in named.items():
        same(found[name], tensor)


@settings(max_examples=30, deadline=None)
@given(rows())
def test_latents_come_back(latents: Rows) -> None:
    same(unpack_stream(pack_stream(latents), latents.symbols.shape, "l"), latents)


def test_the_largest_latents_come_back() -> None:
    symbols = LARGEST * np.array([[1, -1, 1, 1, -1], [-1, 1, 0, 1, 1], [1, 1, 1, 1, 1]])
    latents = Rows(symbols, np.array([MAX_EXPONENT, -MAX_EXPONENT, 0]))
    same(unpack_stream(pack_stream(latents), symbols.shape, "l"), latents)


def test_slow_latents_are_predicted() -> None:
    walk = np.random.default_rng(0).integers(-2, 3, (4, 300)).cumsum(axis=1) + 50
    noise = np.random.default_rng(1).integers(-50, 50, (4, 300))
    exponents = np.zeros(4, np.int64)
    slow, wild = pack_stream(Rows(walk, exponents)), pack_stream(Rows(noise, exponents))
    # log2(5) and log2(100) bits a step at best.
    assert len(slow) < 4 * 300 * 2.55 / 8
    assert len(wild) < 4 * 300 * 7.1 / 8
    mixed = Rows(np.concatenate([walk, noise]), np.zeros(8, np.int64))
    same(unpack_stream(pack_stream(mixed), (8, 300), "l"), mixed)
    # A swing follows from two symbols before, hardly from one.
    swing = np.round(300 * np.sin(np.arange(300) / 3 + np.arange(4)[:, None])).astype(np.int64)
    swinging = pack_stream(Rows(swing, exponents))
    assert len(swinging) < 4 * 300 * 6.5 / 8
    same(unpack_stream(swinging, (4, 300), "l"), Rows(swing, exponents))
    same(unpack_stream(pack_stream(Rows(swing, exponents)), (4, 300), "l"), Rows(swing, exponents))


def test_predictions_are_rounded_down() -> None:
    rest = missed(np.array([[5, 7, -4]]), np.array([[15, -3]]))
    # (15*5 + 8) >> 4 = 5; (15*7 - 3*5 + 8) >> 4 = 6.
    assert rest.tolist() == [[5, 2, -10]]
    assert missed(np.array([[-1, 0]]), np.array([[9, 0]])).tolist() == [[-1, 1]]


def test_values_are_symbols_times_steps() -> None:
    found = Rows(np.array([[3, -1], [2, 0]]), np.array([-8, 4])).values()
    np.testing.assert_allclose(found, [[1.5, -0.5], [2 * 2**0.5, 0]], rtol=1e-7)
    assert found.dtype == np.float32


@given(
    st.tuples(st.integers(1, 2048), st.integers(1, 2048)),
    st.integers(1, 256),
    st.lists(st.integers(1, 256), min_size=5, max_size=5),
)
def test_architectures_come_back(render: tuple[int, int], latent: int, channels: list[int]) -> None:
    architecture = Architecture(render, latent, tuple(channels))
    payload = pack_architecture(architecture)
    if architecture.valid():
        assert unpack_architecture(payload, "m") == (architecture, 2)
    else:
        with pytest.raises(DamagedError, match="impossible shape"):
            unpack_architecture(payload, "m")


@pytest.mark.parametrize(
    "numbers",
    [
        (),
        (40,),
        (40, 50, 3),
        (40, 50, 3, 5, 4, 4, 4),
        (40, 50, 3, 5, 4, 4, 4, 4, 4),
        (0, 50, 3, 5, 4, 4, 4, 4),
        (40, 50, 0, 5, 4, 4, 4, 4),
        (40, 50, 3, 0, 4, 4, 4, 4),
        (40, 5000, 3, 5, 4, 4, 4, 4),
        (40, 50, 3, 5, 4, 4, 4, 257),
        (2**62, 2**62, 2**62, 1, 1, 1, 1, 1),
        (2048, 2048, 256, 256, 8, 8, 8, 8),
        (2048, 2048, 1, 8, 8, 8, 256, 256),
    ],
)
def test_impossible_architectures_are_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(DamagedError):
        unpack_architecture(b"".join(pack_varint(n) for n in numbers), "m")
    with pytest.raises(DamagedError):
        unpack_architecture(b"".join(pack_varint(n) for n in (0, 2, *numbers)), "m")


@pytest.mark.parametrize("layout", [0, 1, 3, 200])
def test_other_layouts_are_refused(layout: int) -> None:
    numbers = (0, layout, 40, 50, 3, 5, 4, 4, 4, 4)
    with pytest.raises(DamagedError, match="layout"):
        unpack_architecture(b"".join(pack_varint(n) for n in numbers), "m")


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_decode_or_are_refused(payload: bytes) -> None:
    specs = {"a": TensorSpec((3, 7), 3, (3, 7, 1)), "b": TensorSpec((4,), 1, (1, 2, 2))}
    for read in (
        lambda: unpack_architecture(payload, "x"),
        lambda: unpack_weights(payload, specs, "x"),
        lambda: unpack_stream(payload, (3, 5), "x"),
    ):
        with suppress(DamagedError):
            read()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_cut_section_never_passes_for_the_whole(data: st.DataObject) -> None:
    """It is refused, or decodes to other symbols (the checksum's part)."""
    rng = np.random.default_rng(3)
    named = {"a": Rows(rng.integers(-9, 10, (4, 40)), rng.integers(-40, 0, 4))}
    specs = {"a": TensorSpec((4, 40), 4, (4, 5, 8))}
    payload = pack_weights(named, specs)
    cut = data.draw(st.integers(0, len(payload) - 1))
    for damaged in (payload[:cut], payload + b"\1"):
        with suppress(DamagedError):
            found = unpack_weights(damaged, specs, "w")["a"]
            assert not np.array_equal(found.symbols, named["a"].symbols)


GOLDEN_WEIGHTS, GOLDEN_LATENTS = golden_parts()
WHOLE = (
    pack_weights(GOLDEN_WEIGHTS, SMALL.tensors()),
    pack_stream(GOLDEN_LATENTS),
)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_flipped_bits_decode_or_are_refused(data: st.DataObject) -> None:
    readers = (
        lambda p: unpack_weights(p, SMALL.tensors(), "w"),
        lambda p: unpack_stream(p, (3, 4), "l"),
    )
    for payload, read in zip(WHOLE, readers, strict=True):
        place = data.draw(st.integers(0, 8 * min(60, len(payload)) - 1))
        damaged = bytearray(payload)
        damaged[place // 8] ^= 1 << place % 8
        with suppress(DamagedError):
            read(bytes(damaged))


def test_another_shape_is_refused() -> None:
    named = {"a": Rows(np.random.default_rng(3).integers(-9, 10, (4, 40)), np.arange(4))}
    payload = pack_weights(named, specs_of(named))
    with pytest.raises(DamagedError):
        unpack_weights(payload, {"a": TensorSpec((4, 80), 4, (4, 80, 1))}, "w")


@pytest.mark.parametrize("exponent", [MAX_EXPONENT + 1, -MAX_EXPONENT - 1])
def test_a_step_out_of_range_is_refused(exponent: int) -> None:
    tensor = Rows(np.ones((1, 2), np.int64), np.array([exponent]))
    payload = pack_weights({"a": tensor}, {"a": TensorSpec((1, 2), 1, (1, 2, 1))})
    with pytest.raises(DamagedError, match="step"):
        unpack_weights(payload, {"a": TensorSpec((1, 2), 1, (1, 2, 1))}, "w")
    with pytest.raises(DamagedError, match="step"):
        unpack_stream(pack_stream(tensor), (1, 2), "l")


@pytest.mark.parametrize(
    ("first", "second", "start", "what"),
    [(65, 0, 1, "prediction"), (0, -65, 1, "prediction"), (64, 0, 9, "latent"), (0, 0, 40_000, "")],
)
def test_impossible_predictions_are_refused(first: int, second: int, start: int, what: str) -> None:
    coder = SymbolEncoder()
    for value in (0, first, second, min(start, LARGEST)):
        encode_list(coder, np.array([value]))
    rest = np.full((1, 999, 1), start)
    encode_array(coder, rest.clip(-LARGEST, LARGEST), Coding(15, 255))
    if not what:
        assert unpack_stream(coder.to_bytes(), (1, 1000), "l").symbols.max() == LARGEST
        return
    with pytest.raises(DamagedError, match=what):
        unpack_stream(coder.to_bytes(), (1, 1000), "l")


def test_a_large_file_unpacks_quickly() -> None:
    rng = np.random.default_rng(5)
    shape = (200, 1000)
    named = {"a": Rows(np.round(rng.normal(0, 6, shape)).astype(np.int64), np.arange(200) % 7)}
    specs = {"a": TensorSpec(shape, 200, (200, 100, 10))}
    payload = pack_weights(named, specs)
    start = time.process_time()
    same(unpack_weights(payload, specs, "w")["a"], named["a"])
    assert time.process_time() - start < 2


def golden_sections() -> dict[Section, bytes]:
    """The golden sections, with a coding of another kind for each tensor."""
    weights, latents = golden_parts()
    axes = {name: spec.axes for name, spec in SMALL.tensors().items()}
    coder = SymbolEncoder()
    for i, (name, tensor) in enumerate(weights.items()):
        array = tensor.symbols.reshape(axes[name])
        offsets = [
            np.arange(length) * 7 % 9 - 3 if 1 < length < array.size and i >> axis & 1 else None
            for axis, length in enumerate(array.shape)
        ]
        period = 1 + i % 8
        coding = Coding(
            4,
            50 + i,
            (offsets[0], offsets[1], offsets[2]),
            shape=i % 4,
            period=period,
            modulation=tuple(256 - 60 * k for k in range(period // 2 + 1)) if period > 1 else (),
            strength=STRENGTHS[i % 7] if i % 3 == 0 else None,
        )
        encode_list(coder, tensor.exponents)
        encode_array(coder, array, coding)
    rest = SymbolEncoder()
    coefficients = np.array([[20, -4], [0, 0], [17, -1]])
    left = missed(latents.symbols, coefficients)
    for values in (latents.exponents, coefficients[:, 0], coefficients[:, 1], left[:, 0]):
        encode_list(rest, values)
    encode_array(rest, left[:, 1:, None], Coding(6, 60, (np.array([-9, 4, 0]), None, None)))
    return {
        Section.MODEL: pack_architecture(SMALL),
        Section.WEIGHTS: coder.to_bytes(),
        Section.LATENTS: rest.to_bytes(),
    }


def test_the_golden_file_decodes_for_ever() -> None:
    """Files once written must decode to the same symbols in every later version."""
    container = Container.from_bytes((GOLDEN / "layout2.ssm").read_bytes())
    weights, latents = golden_parts()
    sections = container.sections
    assert unpack_architecture(sections[Section.MODEL], "m") == (SMALL, 2)
    found = unpack_weights(sections[Section.WEIGHTS], SMALL.tensors(), "w")
    for name, tensor in weights.items():
        same(found[name], tensor)
    same(unpack_stream(sections[Section.LATENTS], (3, 4), "l"), latents)
    for section, payload in golden_sections().items():
        assert sections[section] == payload
    decoder, values = unpack(container)
    np.testing.assert_array_equal(values.numpy(), latents.values().T)
    state = dict(decoder.named_parameters())
    np.testing.assert_array_equal(
        state["stages.1.bias"].numpy(), weights["stages.1.bias"].values().ravel()
    )
