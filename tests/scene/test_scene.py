"""The synthetic drive: same bytes, right classes, exact motion."""

import math
from fractions import Fraction

import numpy as np
import pytest

from seesame.scene import Scene, SceneClip, SceneConfig
from seesame.video.clip import Clip

PLAIN = {"light": "day", "hood": False, "traffic": 0.0, "noise": False}


def turn(roll: float, pitch: float, yaw: float) -> np.ndarray:
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    cy, sy = math.cos(yaw), math.sin(yaw)
    rz = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    ry = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    rx = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return rz @ ry @ rx


def test_same_seed_and_index_give_same_bytes() -> None:
    config = SceneConfig(width=96, height=72, seed=5)
    first = Scene(config)
    first.frame(3)
    a, b = first.frame(11), Scene(config).frame(11)
    assert np.array_equal(a.rgb, b.rgb)
    assert np.array_equal(a.mask, b.mask)
    assert np.array_equal(first.ego_motion(11), Scene(config).ego_motion(11))
    assert not np.array_equal(a.rgb, first.frame(12).rgb)


def test_seeds_differ() -> None:
    frames = [Scene(SceneConfig(width=32, height=24, seed=s)).frame(0).rgb for s in range(3)]
    assert not np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[1], frames[2])


@pytest.mark.parametrize(("width", "height"), [(2, 2), (3, 2), (2, 5), (17, 31), (201, 63)])
@pytest.mark.parametrize("seed", [3, 8])
def test_any_size(width: int, height: int, seed: int) -> None:
    frame = Scene(SceneConfig(width=width, height=height, seed=seed)).frame(4)
    assert frame.rgb.shape == (height, width, 3)
    assert frame.rgb.dtype == np.uint8
    assert frame.mask.shape == (height, width)
    assert frame.mask.dtype == np.uint8
    assert frame.mask.max() <= 4


def test_classes_where_they_belong() -> None:
    seen: set[int] = set()
    for seed in range(4):
        mask = Scene(SceneConfig(width=160, height=120, seed=seed, hood=True)).frame(10).mask
        seen |= set(np.unique(mask).tolist())
        assert (mask[-1] == 4).all()
        assert (mask[0] == 2).mean() > 0.5
        assert (mask[70:85] == 0).mean() > 0.2
        without = Scene(SceneConfig(width=160, height=120, seed=seed, hood=False)).frame(10).mask
        assert not (without == 4).any()
    assert seen == {0, 1, 2, 3, 4}


def test_no_cars_without_traffic() -> None:
    for seed in range(2):
        scene = Scene(SceneConfig(width=96, height=72, seed=seed, traffic=0.0))
        assert not (scene.frame(0).mask == 3).any()


def test_markings_are_brighter_than_the_road() -> None:
    tried = 0
    for seed in range(4):
        frame = Scene(SceneConfig(width=320, height=240, seed=seed, **PLAIN)).frame(2)
        grey = frame.rgb.max(axis=2).astype(float)
        near = np.zeros(frame.mask.shape, bool)
        near[160:] = True
        line, road = near & (frame.mask == 1), near & (frame.mask == 0)
        if line.sum() > 100:
            tried += 1
            assert grey[line].mean() > grey[road].mean() + 15
    assert tried >= 2


def test_lights_order_the_brightness() -> None:
    def mean(light: str) -> float:
        configs = [SceneConfig(width=64, height=48, seed=seed, light=light) for seed in range(3)]
        return float(np.mean([Scene(config).frame(0).rgb.mean() for config in configs]))

    assert mean("day") > mean("dusk") > mean("night") > 0


@pytest.mark.parametrize("seed", [0, 3, 12])
def test_ego_motion_carries_world_points(seed: int) -> None:
    """The same road points seen in two frames differ by exactly the motion between them."""
    scene = Scene(SceneConfig(seed=seed))
    index = 7
    motion = scene.ego_motion(index)
    points = []
    start = scene.pose(index).along
    for k in (index - 1, index):
        view = scene.view(k)
        # Ladder samples of this view, so that no interpolation stands between.
        near = scene.drive.course
        along = start + np.array([6.0, 9.0, 15.0, 28.0])
        pose = view.pose
        x, y = near.step(np.full(4, pose.along), along, pose.yaw)
        here = float(near.curve.integral(pose.along)) - pose.yaw
        angle = near.curve.integral(along) - pose.yaw
        off = 2.5
        x += pose.across * math.sin(here) - off * np.sin(angle)
        y += off * np.cos(angle) - pose.across * math.cos(here)
        z = near.hill.value(along) - float(near.hill.value(pose.along)) - pose.up
        level = np.stack([x, y, -z])
        placed = np.stack(view.place(along - pose.along, np.full(4, off)))
        np.testing.assert_allclose(placed, np.stack([x, y, z]), atol=0.02)
        points.append(turn(pose.roll, pose.pitch, 0.0).T @ level)
    expected = turn(*motion[3:]).T @ (points[0] - motion[:3, None])
    np.testing.assert_allclose(points[1], expected, atol=1e-6)


@pytest.mark.parametrize("seed", [1, 3, 6])
def test_picture_moves_as_the_motion_says(seed: int) -> None:
    """Warping frame k by depth and motion explains frame k+1; a wrong motion does so worse."""
    scene = Scene(SceneConfig(width=640, height=480, seed=seed, speed=15.0, **PLAIN))
    before, after = scene.paint(20), scene.paint(21)
    motion = scene.ego_motion(21)
    focal = scene.layout.focal
    rows, cols = np.nonzero((after.mask <= 1) & (after.depth < 18) & (after.depth > 5))
    depth = after.depth[rows, cols].astype(np.float64)
    ray = np.stack([np.ones_like(depth), (cols - 319.5) / focal, (rows - 239.5) / focal])
    here = ray * depth
    now = after.image.mean(axis=2)[rows, cols]
    then = before.image.mean(axis=2)

    def error(scale: float, yaw: float = 0.0) -> float:
        there = turn(motion[3], motion[4], motion[5] + yaw) @ here + scale * motion[:3, None]
        u = there[1] / there[0] * focal + 319.5
        v = there[2] / there[0] * focal + 239.5
        inside = (u > 0) & (u < 638) & (v > 0) & (v < 478)
        i, j = v[inside].astype(int), u[inside].astype(int)
        a, b = v[inside] - i, u[inside] - j
        value = (1 - a) * ((1 - b) * then[i, j] + b * then[i, j + 1])
        value += a * ((1 - b) * then[i + 1, j] + b * then[i + 1, j + 1])
        return float(np.abs(value - now[inside]).mean())

    right = error(1.0)
    for scale, yaw in ((0.0, 0.0), (0.93, 0.0), (1.07, 0.0), (1.0, 0.006), (1.0, -0.006)):
        assert right < 0.9 * error(scale, yaw)


def test_clip_is_lazy_and_counts() -> None:
    clip = SceneClip(SceneConfig(width=48, height=36, seed=2), 5)
    assert isinstance(clip, Clip)
    assert clip.fps == Fraction(20)
    assert clip.source_bytes == 5 * 48 * 36 * 3
    clip.source_bytes = 1234
    assert clip.source_bytes == 1234
    batches = list(clip.batches(2))
    assert [len(b) for b in batches] == [2, 2, 1]
    assert np.array_equal(batches[1][1], clip.scene.frame(3).rgb)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 1},
        {"height": 0},
        {"fps": 0},
        {"seed": -1},
        {"light": "noon"},
        {"speed": -1.0},
        {"traffic": 1.5},
    ],
)
def test_wrong_configs_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        SceneConfig(**wrong)  # type: ignore[arg-type]


def test_speed_is_what_was_asked() -> None:
    scene = Scene(SceneConfig(seed=4, speed=20.0))
    steps = np.array([scene.ego_motion(k)[0] for k in range(0, 4000, 10)])
    assert steps.min() >= 0
    assert steps.mean() * 20 == pytest.approx(20.0, rel=0.15)
    still = Scene(SceneConfig(seed=4, speed=0.0))
    assert np.abs(still.ego_motion(9)).max() < 1e-9
