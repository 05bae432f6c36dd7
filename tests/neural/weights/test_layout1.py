from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layout1_writer import difference, pack_architecture, pack_latents, pack_weights
from packing import SMALL, golden_parts, rows, same

from seesame.bitstream.container import Container, Section
from seesame.bitstream.entropy import SymbolEncoder
from seesame.codecs.hnerv.architecture import unpack_architecture
from seesame.codecs.hnerv.decode import unpack
from seesame.errors import DamagedError
from seesame.neural.weights.layout1 import BIAS, unpack_latents, unpack_weights
from seesame.neural.weights.rows import MAX_EXPONENT, Rows

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "hnerv"


@settings(max_examples=30, deadline=None)
@given(st.lists(rows(), min_size=1, max_size=4))
def test_weights_come_back(tensors: list[Rows]) -> None:
    named = {str(i): t for i, t in enumerate(tensors)}
    shapes = {name: t.symbols.shape for name, t in named.items()}
    found = unpack_weights(pack_weights(named), shapes, "w")
    assert list(found) == list(named)
    for name, tensor in named.items():
        same(found[name], tensor)


@settings(max_examples=30, deadline=None)
@given(rows())
def test_latents_come_back(latents: Rows) -> None:
    same(unpack_latents(pack_latents(latents), latents.symbols.shape, "l"), latents)


def test_slow_latents_are_coded_as_differences() -> None:
    walk = np.random.default_rng(0).integers(-2, 3, (4, 300)).cumsum(axis=1) + 50
    noise = np.random.default_rng(1).integers(-50, 50, (4, 300))
    exponents = np.zeros(4, np.int64)
    slow, wild = pack_latents(Rows(walk, exponents)), pack_latents(Rows(noise, exponents))
    # log2(5) bits a step at best, and 24 bits for the start of each row.
    assert len(slow) < 4 * 300 * 2.75 / 8
    assert len(wild) < 4 * 300 * 7.3 / 8
    mixed = Rows(np.concatenate([walk, noise]), np.zeros(8, np.int64))
    same(unpack_latents(pack_latents(mixed), (8, 300), "l"), mixed)


def test_differences_start_at_the_first_symbol() -> None:
    assert difference(np.array([[5, 7, 4]])).tolist() == [[5, 2, -3]]


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_decode_or_are_refused(payload: bytes) -> None:
    shapes = {"a": (3, 7), "b": (1, 4)}
    for read in (
        lambda: unpack_weights(payload, shapes, "x"),
        lambda: unpack_latents(payload, (3, 5), "x"),
    ):
        with suppress(DamagedError):
            read()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_cut_section_never_passes_for_the_whole(data: st.DataObject) -> None:
    """It is refused, or is itself the one coded string of other symbols (the checksum's part)."""
    rng = np.random.default_rng(3)
    named = {"a": Rows(rng.integers(-9, 10, (4, 40)), rng.integers(-40, 0, 4))}
    payload = pack_weights(named)
    cut = data.draw(st.integers(0, len(payload) - 1))
    for damaged in (payload[:cut], payload + b"\1"):
        try:
            found = unpack_weights(damaged, {"a": (4, 40)}, "w")
        except DamagedError:
            continue
        assert pack_weights(found) == damaged


def test_another_shape_is_refused() -> None:
    named = {"a": Rows(np.random.default_rng(3).integers(-9, 10, (4, 40)), np.arange(4))}
    with pytest.raises(DamagedError):
        unpack_weights(pack_weights(named), {"a": (4, 80)}, "w")


@pytest.mark.parametrize("exponent", [MAX_EXPONENT + 1, -MAX_EXPONENT - 1])
def test_a_step_out_of_range_is_refused(exponent: int) -> None:
    payload = pack_weights({"a": Rows(np.ones((1, 2), np.int64), np.array([exponent]))})
    with pytest.raises(DamagedError, match="step"):
        unpack_weights(payload, {"a": (1, 2)}, "w")


def test_a_scale_out_of_range_is_refused() -> None:
    coder = SymbolEncoder()
    coder.uniform([BIAS], 2 * BIAS)  # exponents: all 0
    coder.uniform([0], BIAS)
    coder.uniform([5], BIAS)  # symbols up to 5
    coder.uniform([BIAS + 300], 2 * BIAS)  # scales: all 300
    coder.uniform([0], BIAS)
    with pytest.raises(DamagedError, match="scale"):
        unpack_weights(coder.to_bytes(), {"a": (1, 2)}, "w")


def test_the_golden_file_decodes_for_ever() -> None:
    """Files once written must decode to the same symbols in every later version."""
    data = (GOLDEN / "small.ssm").read_bytes()
    container = Container.from_bytes(data)
    weights, latents = golden_parts()
    sections = container.sections
    assert unpack_architecture(sections[Section.MODEL], "m") == (SMALL, 1)
    found = unpack_weights(
        sections[Section.WEIGHTS],
        {name: spec.row_shape for name, spec in SMALL.tensors().items()},
        "w",
    )
    for name, tensor in weights.items():
        same(found[name], tensor)
    same(unpack_latents(sections[Section.LATENTS], (3, 4), "l"), latents)
    # And the old encoder wrote these bytes.
    assert pack_weights(weights) == sections[Section.WEIGHTS]
    assert pack_latents(latents) == sections[Section.LATENTS]
    assert pack_architecture(SMALL) == sections[Section.MODEL]
    decoder, values = unpack(container)
    np.testing.assert_array_equal(values.numpy(), latents.values().T)
    state = dict(decoder.named_parameters())
    assert list(state) == list({name: spec.row_shape for name, spec in SMALL.tensors().items()})
    np.testing.assert_array_equal(
        state["stages.1.bias"].numpy(), weights["stages.1.bias"].values().ravel()
    )
