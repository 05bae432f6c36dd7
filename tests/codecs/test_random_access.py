"""Every codec's files from any frame on: the frames of one pass, and few decoded for them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from random_files import random_hnerv, random_hybrid

from seesame.bitstream.container import Container
from seesame.codecs.av.entries import Entry, entries
from seesame.codecs.registry import codec_by_id, get_codec
from seesame.context import EncodeContext
from seesame.scene import SceneClip, SceneConfig
from seesame.video.clip import ArrayClip
from seesame.video.span import batches_from, entry

COUNT = 41


@pytest.fixture(scope="module")
def clip() -> ArrayClip:
    scene = SceneClip(SceneConfig(width=100, height=80, seed=3), COUNT)
    return ArrayClip(np.concatenate(list(scene.batches(8))), 20)


def encoded(name: str, **settings: object) -> Callable[[ArrayClip], Container]:
    return lambda clip: get_codec(name).encode(clip, {"crf": 35, **settings}, EncodeContext())


PARTS = [
    {"frames": 20, "codec": "x264", "settings": {"crf": 35, "gop": 6}},
    {"frames": 21, "codec": "svtav1", "settings": {"crf": 50, "gop": 8, "preset": 12}},
]
GROUPS = [0, 12, 24, 36]
FILES = {
    "x264": (encoded("x264", gop=12), GROUPS),
    "x264, open": (encoded("x264", gop=12, open_gop=True), [0]),
    "x265": (encoded("x265", gop=12), GROUPS),
    "x265, open": (encoded("x265", gop=12, open_gop=True), GROUPS),
    "svtav1": (encoded("svtav1", gop=12, preset=12), GROUPS),
    "svtav1, scaled": (encoded("svtav1", gop=12, preset=12, scale=0.7), GROUPS),
    "svtav1, open": (encoded("svtav1", gop=16, preset=12, open_gop=True), [0]),
    "vp9": (encoded("vp9", gop=12), GROUPS),
    "hnerv": (random_hnerv, list(range(0, COUNT, 8))),
    "hybrid": (lambda clip: random_hybrid(clip, crf=35, gop=6), [*range(0, COUNT, 6)]),
    "segments": (
        lambda clip: get_codec("segments").encode(clip, {"parts": PARTS}, EncodeContext()),
        [0, 6, 12, 18, 20, 28, 36],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_any_frame_is_that_of_one_pass(name: str, clip: ArrayClip) -> None:
    make, groups = FILES[name]
    container = make(clip)
    decoded = codec_by_id(container.codec_id).decode(container)
    whole = np.concatenate(list(decoded.batches(7)))
    assert len(np.unique(whole.reshape(COUNT, -1), axis=0)) > 0.8 * COUNT
    for number in np.random.default_rng(1).permutation(COUNT).tolist():
        (frame,) = next(batches_from(decoded, number, 1))
        assert np.array_equal(frame, whole[number]), number
    for start in (1, 17, 33):
        assert np.array_equal(np.concatenate(list(batches_from(decoded, start, 5))), whole[start:])
    if name == "hybrid":  # its pairs are rendered four at a time
        assert [entry(decoded, n) for n in range(0, COUNT, 8)] == [0, 6, 12, 24, 30, 36]
    else:
        assert sorted({entry(decoded, number) for number in range(COUNT)}) == groups


def test_packets_that_tell_nothing() -> None:
    """Whatever the bytes are, decoding from the start is what is left."""
    rng = np.random.default_rng(0)
    packets = [rng.bytes(int(size)) for size in rng.integers(0, 40, 300)]
    for name in ("x264", "x265", "svtav1", "vp9"):
        found = entries(name, packets, 300)
        assert found[0] == Entry(0, 0)
        assert all(0 <= one.packet <= one.frame <= 300 for one in found)
        assert entries(name, packets, 299) == [Entry(0, 0)]


@pytest.mark.parametrize("name", FILES)
def test_a_reader_that_stops_leaves_gradients_as_they_were(clip: ArrayClip, name: str) -> None:
    container = FILES[name][0](clip)
    decoded = codec_by_id(container.codec_id).decode(container).batches(1)
    next(decoded)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
