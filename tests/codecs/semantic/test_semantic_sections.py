"""Damaged files of the semantic codec: refused with DamagedError, and cheaply."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_semantic import SIZE, SmallStack, StillStack, small_clip, with_residuals

from seesame.bitstream.container import Container, Section
from seesame.bitstream.varint import pack_varint
from seesame.codecs.registry import get_codec
from seesame.codecs.semantic.labels import read_labels
from seesame.codecs.semantic.sections import (
    CODEC_ID,
    DIGEST_BYTES,
    LAYOUT,
    MAX_CLASSES,
    MAX_CODE,
    MAX_STEP_BITS,
    Head,
    read_head,
)
from seesame.context import EncodeContext
from seesame.errors import DamagedError, MissingRendererError
from seesame.neural.render.bounds import MAX_SIDE

CODEC = get_codec("semantic")
DIGEST = bytes(range(DIGEST_BYTES))
NEEDED = (Section.MODEL, Section.MASKS, Section.LATENTS)
OWN = (*NEEDED, Section.RESIDUALS)


@pytest.fixture(scope="module", params=[False, True], ids=["second frames", "every frame"])
def container(request: pytest.FixtureRequest, renderers: Any) -> Container:
    """A sound file of nine frames, with all sections."""
    wanted = {"every_frame": request.param, "simplify": 0}
    made = CODEC.encode(small_clip(9), wanted, EncodeContext(stack=SmallStack()))
    return with_residuals(made)


def changed(container: Container, section: Section, payload: bytes, **header: int) -> Container:
    sections = {**container.sections, section: payload}
    return Container(**{**vars(container), **header, "sections": sections})


def decodes(container: Container) -> bool:
    """Return whether a file is decoded, to frames and to labels alike; else both refuse it."""
    try:
        shown = np.concatenate(list(CODEC.decode(container).batches(8)))
    except (DamagedError, MissingRendererError):
        return False
    assert shown.shape == (container.num_frames, container.height, container.width, 3)
    labels = read_labels(container)
    assert sum(mask.max() < 3 for mask in labels) == len(labels)
    return True


@given(
    head=st.builds(
        Head,
        renderer=st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES),
        size=st.tuples(st.integers(1, MAX_SIDE), st.integers(1, MAX_SIDE)),
        classes=st.integers(1, MAX_CLASSES),
        every_frame=st.booleans(),
        code=st.integers(0, MAX_CODE),
        step_bits=st.integers(0, MAX_STEP_BITS),
        changed=st.just(0),
    ),
    num_frames=st.integers(1, 4096),
)
def test_a_head_comes_back(head: Head, num_frames: int) -> None:
    most = head.size[0] * head.size[1]
    head = replace(head, changed=most if num_frames % 2 else 0)
    file = Container(CODEC_ID, 4, 4, 20, num_frames, 9, {Section.MODEL: head.pack()})
    assert read_head(file) == head
    assert head.step == 1 / (1 << head.step_bits)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({0: LAYOUT + 1}, "layout 2 of the semantic codec is unknown"),
        ({1: 4}, "flags"),
        ({2: 0}, "masks are impossible"),
        ({2: MAX_CLASSES + 1}, "number of classes"),
        ({3: 0}, "masks are impossible"),
        ({3: MAX_SIDE + 1}, "height"),
        ({4: MAX_SIDE + 1}, "width"),
        ({5: MAX_CODE + 1}, "values of a code"),
        ({6: MAX_STEP_BITS + 1}, "step"),
        ({7: 4 * SIZE[0] * SIZE[1] + 1}, "masks are impossible"),
        ({7: 1 << 62}, "masks are impossible"),
    ],
)
def test_impossible_heads_are_refused(change: dict[int, int], said: str) -> None:
    numbers = [LAYOUT, 0, 3, *SIZE, 4, 5, 0]
    for place, value in change.items():
        numbers[place] = value
    model = b"".join(map(pack_varint, numbers)) + DIGEST
    file = Container(CODEC_ID, 4, 4, 20, 9, 9, {Section.MODEL: model})
    with pytest.raises(DamagedError, match=said):
        read_head(file, "drive.ssm")
    with pytest.raises(DamagedError):
        CODEC.notes(file)


def test_a_head_is_neither_longer_nor_shorter(container: Container) -> None:
    whole = container.sections[Section.MODEL]
    for model in (*(whole[:size] for size in range(len(whole))), whole + b"\0"):
        with pytest.raises(DamagedError):
            CODEC.decode(changed(container, Section.MODEL, model))


@pytest.mark.parametrize("missing", NEEDED)
def test_missing_sections_are_refused(container: Container, missing: Section) -> None:
    sections = {name: data for name, data in container.sections.items() if name != missing}
    with pytest.raises(DamagedError, match=f"its {missing.name} section is missing"):
        CODEC.decode(Container(**{**vars(container), "sections": sections}))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_never_another_error(container: Container, data: st.DataObject) -> None:
    section = data.draw(st.sampled_from(OWN))
    payload = bytearray(container.sections[section])
    if data.draw(st.booleans()):
        del payload[data.draw(st.integers(0, len(payload) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    decodes(changed(container, section, bytes(payload)))


def test_cut_masks_and_codes_are_refused(container: Container) -> None:
    for section in (Section.MASKS, Section.LATENTS, Section.RESIDUALS):
        whole = container.sections[section]
        pieces = [whole[:size] for size in range(0, len(whole), 3)]
        # Some beginnings are by chance whole streams; only checksums tell them.
        sound = sum(decodes(changed(container, section, piece)) for piece in pieces)
        assert sound < len(pieces) / 2
        for more in (b"\0", b"\1more"):
            assert not decodes(changed(container, section, whole + more))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_noise_is_never_another_error(container: Container, data: st.DataObject) -> None:
    section = data.draw(st.sampled_from(OWN))
    decodes(changed(container, section, data.draw(st.binary(max_size=200))))


@pytest.mark.parametrize("num_frames", [1, 2, 8, 10, 11, 1 << 17, 2**31 - 1])
def test_another_number_of_frames_is_refused(container: Container, num_frames: int) -> None:
    """It is refused when a file is opened or where its masks end, before much is allocated."""
    if num_frames == 8 and not read_head(container).every_frame:
        num_frames = 7  # nine frames without the last are the same pairs
    lying = Container(**{**vars(container), "num_frames": num_frames})
    tracemalloc.start()
    assert not decodes(lying)
    with pytest.raises(DamagedError):
        for _ in read_labels(lying):
            pass
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 96 << 20


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((4, 3, 1, 1), "number of residuals"),
        ((1, 64, 1, 1), "step of the residuals"),
        ((1, 3, 1, 2), "a residual is of no pair"),
        ((1, 3, 4, 0), "a residual is of no pair"),
        ((1, 3, 1, 1 << 40), "place of a residual"),
    ],
)
def test_impossible_residuals_are_refused(
    container: Container, numbers: tuple[int, ...], said: str
) -> None:
    whole = container.sections[Section.RESIDUALS]
    assert whole[:4] == bytes([1, 3, 1, 1])
    bad = b"".join(map(pack_varint, numbers)) + whole[4:]
    with pytest.raises(DamagedError, match=said):
        CODEC.decode(changed(container, Section.RESIDUALS, bad))


def test_residuals_need_codes(container: Container) -> None:
    still = CODEC.encode(small_clip(9), {}, EncodeContext(stack=StillStack()))
    bad = changed(still, Section.RESIDUALS, container.sections[Section.RESIDUALS])
    with pytest.raises(DamagedError, match="it has residuals, but no codes"):
        CODEC.decode(bad)


def test_residuals_are_added_to_first_frames(container: Container) -> None:
    bare = changed(container, Section.RESIDUALS, b"")
    shown, without = (
        np.concatenate(list(CODEC.decode(one).batches(9))) for one in (container, bare)
    )
    other = (shown != without).any(axis=(1, 2, 3))
    assert np.flatnonzero(other).tolist() == [2, 6]


def test_another_renderer_than_its_own_is_refused(container: Container) -> None:
    head = read_head(container)
    for other in (
        replace(head, classes=2),
        replace(head, size=(SIZE[0], SIZE[1] + 4)),
        replace(head, size=(MAX_SIDE, MAX_SIDE)),
        replace(head, code=3),
        replace(head, code=0),
    ):
        bad = changed(container, Section.MODEL, other.pack())
        for read in (CODEC.decode, read_labels):
            with pytest.raises(DamagedError, match="does not fit its renderer"):
                read(bad)
