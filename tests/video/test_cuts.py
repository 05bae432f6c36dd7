import numpy as np
import pytest

from seesame.video.clip import ArrayClip, Frames
from seesame.video.cuts import cell_changes, scene_cuts


def scene(num_frames: int, seed: int, pan: int = 1) -> Frames:
    """Smooth blots that move sideways."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8 + num_frames * pan // 8 + 1, 3))
    whole = coarse.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([whole[:, pan * t : pan * t + 64] for t in range(num_frames)]).astype(np.uint8)


@pytest.mark.parametrize(("at", "begins"), [(30, 30), (31, 32)])
def test_a_cut_begins_with_a_whole_pair(at: int, begins: int) -> None:
    clip = ArrayClip(np.concatenate([scene(at, 1), scene(40, 2)]))
    assert scene_cuts(clip) == [begins]


def test_several_cuts() -> None:
    parts = [scene(30, seed) for seed in range(4)]
    assert scene_cuts(ArrayClip(np.concatenate(parts))) == [30, 60, 90]


def test_motion_a_fade_and_noise_are_none() -> None:
    fast = scene(60, 3, pan=8)
    assert scene_cuts(ArrayClip(fast)) == []
    mix = np.linspace(0, 1, 60)[:, None, None, None]
    fade = (scene(1, 4) * (1 - mix) + scene(1, 5) * mix).astype(np.uint8)
    assert scene_cuts(ArrayClip(fade)) == []
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8)
    assert scene_cuts(ArrayClip(noise)) == []


def test_scenes_that_are_too_short_are_left_together() -> None:
    flash = np.concatenate([scene(40, 1), scene(6, 2), scene(40, 1)])
    assert scene_cuts(ArrayClip(flash)) == [40]
    late = np.concatenate([scene(40, 1), scene(10, 2)])
    assert scene_cuts(ArrayClip(late)) == []


def test_changes_of_pictures_smaller_than_the_grid() -> None:
    frames = np.zeros((3, 2, 5, 3), np.uint8)
    frames[1:] = 9
    assert cell_changes(ArrayClip(frames)).tolist() == [0.0, 9.0, 0.0]
    assert scene_cuts(ArrayClip(frames[:1])) == []
