from typing import Any

import numpy as np
import pytest
from fake_stack import FakeStack

from seesame.codecs.hnerv.config import (
    HnervSettings,
    design,
    latent_values,
)
from seesame.errors import UserError
from seesame.neural.fitting.settings import target_bytes
from seesame.video.clip import ArrayClip


def clip_of(num_frames: int, size: tuple[int, int], source_bytes: int) -> ArrayClip:
    """A clip that takes no memory, however long."""
    frames = np.broadcast_to(np.zeros(3, np.uint8), (num_frames, *size, 3))
    return ArrayClip(frames, source_bytes=source_bytes)


def test_the_presets_rise() -> None:
    assert list(HnervSettings.PRESETS.values()) == sorted(HnervSettings.PRESETS.values())
    for name, seconds in HnervSettings.PRESETS.items():
        assert HnervSettings.from_mapping({"preset": name}).seconds() == seconds


def test_presets_take_less_time_on_a_gpu() -> None:
    for name, seconds in HnervSettings.PRESETS.items():
        chosen = HnervSettings.from_mapping({"preset": name})
        assert chosen.seconds("cuda") == chosen.seconds("cuda:0") < 0.5 * seconds
        assert chosen.seconds("mps") == seconds


def test_a_budget_comes_before_the_preset() -> None:
    assert HnervSettings.from_mapping({"preset": "slow", "budget_s": 60}).seconds("cuda") == 60


def test_none_means_the_default() -> None:
    assert HnervSettings.from_mapping({"bytes": None, "latent": None}) == HnervSettings()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"presett": "fast"}, "presett"),
        ({"preset": "faster"}, "faster"),
        ({"preset": ["fast"]}, "preset"),
        ({"preset": 3}, "preset"),
        ({"budget_s": 5}, "budget_s"),
        ({"budget_s": float("nan")}, "budget_s"),
        ({"budget_s": float("inf")}, "budget_s"),
        ({"budget_s": "20m"}, "budget_s"),
        ({"steps": 0}, "steps"),
        ({"steps": 10.5}, "steps"),
        ({"steps": True}, "steps"),
        ({"bytes": 10}, "bytes"),
        ({"bytes": 2000.0}, "bytes"),
        ({"latent": 0}, "latent"),
        ({"latent": 1000}, "latent"),
        ({"pixel_weight": -1}, "pixel_weight"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(UserError, match=word):
        HnervSettings.from_mapping(settings)


@pytest.mark.parametrize("size", [(540, 960), (360, 640), (874, 1164), (256, 128), (21, 35)])
def test_a_decoder_renders_what_the_stack_reads(size: tuple[int, int]) -> None:
    stack = FakeStack((192, 256))
    architecture = design(clip_of(40, size, 10**6), stack, HnervSettings())
    assert architecture.valid()
    assert architecture.render == (min(192, size[0]), min(256, size[1]))
    assert architecture.latent == 20


@pytest.mark.parametrize("wanted", [6000, 12_000, 40_000, 100_000])
def test_the_decoder_fits_the_bytes_it_may_spend(wanted: int) -> None:
    clip, stack = clip_of(200, (540, 960), 10**7), FakeStack((192, 256))
    settings = HnervSettings(bytes=wanted)
    architecture = design(clip, stack, settings)
    # 3.4 bits a weight and 0.4 bytes a latent value, as the training reaches.
    size = architecture.parameters() * 3.4 / 8 + 0.4 * architecture.latent * 100
    assert 0.85 * wanted <= size <= wanted


def test_more_bytes_never_make_a_smaller_decoder() -> None:
    clip, stack = clip_of(20, (540, 960), 10**6), FakeStack((192, 256))
    sizes = [500, 5000, 50_000, 500_000, 10**8]
    counts = [design(clip, stack, HnervSettings(bytes=b)).parameters() for b in sizes]
    assert counts == sorted(counts)


def test_the_size_follows_the_clip() -> None:
    assert target_bytes(1, 10**6) == 4000
    assert target_bytes(100, 10**6) == 23_000
    assert target_bytes(400, 10**6) == 46_000
    assert target_bytes(100, 4 * 10**6) == 46_000
    assert target_bytes(10**6, 10**12) == 400_000


def test_a_stack_too_large_to_render_is_refused() -> None:
    with pytest.raises(UserError, match="render"):
        design(clip_of(4, (3000, 4000), 10**6), FakeStack((3000, 4000)), HnervSettings())


def test_long_clips_get_more_latent_values_and_small_files_fewer() -> None:
    assert latent_values(110, 40_000) == 20
    assert latent_values(600, 76_000) == 37
    assert latent_values(10_000, 10**7) == 40
    assert latent_values(600, 18_000) == 15
    assert latent_values(10_000, 4000) == 8


def test_latent_values_can_be_set() -> None:
    clip, stack = clip_of(1200, (128, 256), 10**6), FakeStack((192, 256))
    assert design(clip, stack, HnervSettings()).latent > 20
    assert design(clip, stack, HnervSettings(latent=6)).latent == 6
