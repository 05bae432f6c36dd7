import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seesame.codecs.semantic.masks.coder import (
    MaskDecoder,
    Masks,
    decode_masks,
    encode_masks,
    mask_bits,
)
from seesame.codecs.semantic.masks.prior import Prior, PriorSettings, learn_prior
from seesame.errors import DamagedError

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "semantic" / "masks.json"


def drive(count: int = 6, height: int = 40, width: int = 56, seed: int = 0) -> Masks:
    """Masks of a road, a sky and a few boxes that move, with borders that flicker."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    masks = np.zeros((count, height, width), np.uint8)
    for t, mask in enumerate(masks):
        mask[y > height * 0.4 + random.integers(0, 2)] = 1
        mask[np.abs(x - width / 2) < (y - height * 0.4) * 0.8 + random.integers(0, 2)] = 2
        mask[10 + t : 22 + t, 5 + 2 * t : 15 + 3 * t] = 3
        mask[random.integers(0, height, 4), random.integers(0, width, 4)] = 4
        mask[height - 5 :, 8:] = 4
    return masks


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.from_bytes(learn_prior([drive(seed=5), drive(4, 31, 17, 6)], 5))


def lossless(masks: Masks, classes: int, prior: Prior | None = None) -> bytes:
    data = encode_masks(masks, classes, prior)
    back = decode_masks(data, masks.shape, classes, prior)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, masks)
    return data


def test_masks_come_back_and_are_small(prior: Prior) -> None:
    masks = drive()
    data = lossless(masks, 5)
    assert len(data) < 420
    assert len(lossless(masks, 5, prior)) < 0.9 * len(data)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 1), (2, 1, 40), (2, 40, 1), (3, 17, 13)])
@pytest.mark.parametrize("classes", [1, 2, 19, 30])
def test_odd_sizes_and_any_number_of_classes(shape: tuple[int, int, int], classes: int) -> None:
    masks = np.random.default_rng(classes).integers(0, classes, shape, dtype=np.uint8)
    lossless(masks, classes)
    lossless(np.full(shape, classes - 1, np.uint8), classes)


def test_no_masks() -> None:
    assert lossless(np.zeros((0, 4, 5), np.uint8), 3) == b""


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 4), st.integers(1, 24), st.integers(1, 24)),
        elements=st.integers(0, 3),
    )
)
def test_any_masks_come_back(masks: Masks) -> None:
    lossless(masks, 4)


def test_a_decoder_gives_mask_after_mask() -> None:
    masks = drive()
    decoder = MaskDecoder(encode_masks(masks, 5), masks.shape, 5)
    first = next(decoder)
    second = next(decoder)
    np.testing.assert_array_equal(first, masks[0])
    np.testing.assert_array_equal(second, masks[1])
    assert len(list(decoder)) == len(masks) - 2


def test_bits_are_what_the_bytes_are(prior: Prior) -> None:
    for masks, with_prior in ((drive(), None), (drive(seed=3), prior)):
        bits = mask_bits(masks, 5, with_prior)
        assert bits.shape == masks.shape
        assert bits.min() >= 0
        assert abs(bits.sum() / 8 - len(encode_masks(masks, 5, with_prior))) < 3


def test_masks_of_another_kind_are_refused() -> None:
    for masks in (drive().astype(np.int32), drive()[0], np.full((1, 2, 2), 5, np.uint8)):
        with pytest.raises(ValueError, match="masks"):
            encode_masks(masks, 5)
    with pytest.raises(ValueError, match="1 to 30 classes"):
        encode_masks(drive(), 31)


def accepted(data: bytes, masks: Masks, prior: Prior | None = None) -> bool:
    """Return whether data decode; if so, they are just what these masks are coded as."""
    try:
        back = decode_masks(data, masks.shape, 5, prior, "drive.ssm")
    except DamagedError as error:
        return not str(error).startswith("drive.ssm is damaged: its data ")
    assert encode_masks(back, 5, prior) == data
    return True


def test_missing_or_further_bytes_are_refused() -> None:
    masks = drive()
    data = encode_masks(masks, 5)
    for more in (b"\0", b"\1", b"more", bytes(100)):
        assert not accepted(data + more, masks)
    # Some beginnings are by chance whole streams of other masks.
    assert sum(accepted(data[:size], masks) for size in range(len(data))) < len(data) // 4
    with pytest.raises(DamagedError, match=r"^drive\.ssm is damaged: its data end too early"):
        decode_masks(b"", masks.shape, 5, name="drive.ssm")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_ends_or_is_refused(prior: Prior, data: st.DataObject) -> None:
    masks = drive()
    with_prior = data.draw(st.sampled_from([None, prior]))
    stream = bytearray(encode_masks(masks, 5, with_prior))
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    accepted(bytes(stream), masks, with_prior)


def test_a_prior_comes_back(prior: Prior) -> None:
    data = prior.to_bytes()
    assert Prior.from_bytes(data).to_bytes() == data
    few = PriorSettings(rows=3, net_rates=(300,))
    small = learn_prior([drive()], 5, few)
    assert len(small) < len(data)
    assert len(Prior.from_bytes(small).places) == 3
    assert learn_prior([drive()], 5, few) == small
    with pytest.raises(ValueError, match="one drive at least"):
        learn_prior([], 5)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_priors_are_refused_or_work(prior: Prior, data: st.DataObject) -> None:
    stream = bytearray(prior.to_bytes())
    kind = data.draw(st.sampled_from(["cut", "flip"]))
    if kind == "cut":
        del stream[data.draw(st.integers(0, len(stream) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = Prior.from_bytes(bytes(stream), "a renderer")
    except DamagedError:
        return
    lossless(drive(2), 5, found)


def test_the_golden_masks_decode_as_ever() -> None:
    golden = json.loads(GOLDEN.read_text())
    masks = drive(**golden["drive"])
    data = bytes.fromhex(golden["data"])
    np.testing.assert_array_equal(decode_masks(data, masks.shape, 5), masks)
    assert encode_masks(masks, 5) == data
