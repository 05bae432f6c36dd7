from fractions import Fraction

import numpy as np
import pytest
from videos import make_frames, make_video, read_all

from seesame.video.clip import ArrayClip
from seesame.video.reading.reader import open_clip
from seesame.video.times import Times, clip_times, mended

MS = Fraction(1, 1000)


def steady(count: int, rate: Fraction, tick: Fraction = MS) -> list[int]:
    return [round(k / (rate * tick)) for k in range(count)]


@pytest.mark.parametrize("tick", [MS, Fraction(1, 90_000), Fraction(1, 12_800)])
@pytest.mark.parametrize(
    "rate",
    [Fraction(n, 1001) for n in (24_000, 30_000, 60_000)]
    + [Fraction(n) for n in (20, 24, 25, 30, 60)],
)
def test_the_rate_of_rounded_timestamps(rate: Fraction, tick: Fraction) -> None:
    times, oddities = mended(steady(100, rate, tick), tick)
    assert times.rate == rate
    assert oddities == []


def test_a_declared_rate_holds_within_the_rounding_only() -> None:
    times, _ = mended([0, 33, 67], MS)
    assert times.rate_near(Fraction(30)) == 30
    assert times.rate_near(Fraction(30_000, 1001)) == Fraction(30_000, 1001)
    assert times.rate_near(Fraction(25)) != 25


def test_a_rate_that_no_camera_has() -> None:
    assert mended([0, 2, 4, 6], Fraction(1, 7))[0].rate == Fraction(7, 2)


def test_pauses_and_a_variable_rate_are_kept() -> None:
    stamps = [7, 47, 87, 12_000, 12_040, 12_100, 12_133, 52_133]
    times, oddities = mended(stamps, MS, 40)
    assert times.pts.tolist() == stamps
    assert times.pts.dtype == np.int64
    assert oddities == []
    assert times.rate == 25
    assert times.seconds[3] == 12.0


@pytest.mark.parametrize(
    ("jump", "words"),
    [
        (86_400_000, "jump by 24:00:00 after frame 4;"),
        (61_000, "jump by 0:01:01 after frame 4;"),
        (-5_500, "jump back by 0:00:05.5 after frame 4;"),
        (-40, "stand still after frame 4;"),
    ],
)
def test_a_jump_is_joined(jump: int, words: str) -> None:
    stamps = [40 * k + (jump if k > 4 else 0) for k in range(10)]
    times, oddities = mended(stamps, MS, 40)
    assert times.pts.tolist() == [40 * k for k in range(10)]
    assert len(oddities) == 1
    assert words in oddities[0]


def test_other_intervals_are_kept_to_the_tick_around_a_jump() -> None:
    stamps = [5, 38, 72, 105, 900_000, 900_033, 900_050]
    times, _ = mended(stamps, MS)
    assert np.diff(times.pts).tolist() == [33, 34, 33, 33, 33, 17]
    assert times.pts[0] == 5


def test_missing_timestamps() -> None:
    times, oddities = mended([None, 40, None, None, 160, None], MS, 40)
    assert times.pts.tolist() == [0, 40, 80, 120, 160, 200]
    assert "4 of 6 frames have no timestamp" in oddities[0]


def test_no_sound_interval_takes_the_declared_rate() -> None:
    times, oddities = mended([0, 0, 0], MS, 0, Fraction(50))
    assert times.pts.tolist() == [0, 20, 40]
    assert len(oddities) == 2
    two, _ = mended([0, 10**12], MS, 40)
    assert two.pts.tolist() == [0, 40]


def test_many_jumps_are_counted() -> None:
    _, oddities = mended([(k % 3) * 40 for k in range(30)], MS)
    assert len(oddities) == 4
    assert oddities[-1] == "timestamps are joined at 9 places"


def test_timestamps_of_any_size() -> None:
    times, _ = mended([2**63 - 1, -(2**63), 0, 40, 80], MS)
    assert (np.diff(times.pts) > 0).all()


def test_a_time_lapse_is_sound() -> None:
    stamps = [100_000 * k for k in range(5)]
    times, oddities = mended(stamps, MS, 100_000, Fraction(1, 100))
    assert times.pts.tolist() == stamps
    assert (oddities, times.rate) == ([], Fraction(1, 100))


def test_the_last_frame() -> None:
    assert mended([0, 40], MS, 5000)[0].duration == 5000
    assert mended([0, 40], MS, 0)[0].duration == 40
    assert mended([0, 40], MS, 10**9)[0].duration == 40


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mkv", "libx265"),
        ("a.ts", "libx264"),
        ("a.avi", "libx264"),
        ("a.webm", "libvpx-vp9"),
    ],
)
def test_the_times_of_files_with_reordered_frames(tmp_path, name, codec) -> None:
    frames = make_frames(30)
    clip = open_clip(make_video(tmp_path / name, frames, codec, encoder={"bf": "3"}))
    times = clip_times(clip)
    assert times is not None
    assert len(times.pts) == clip.num_frames == 30
    assert np.abs(np.diff(times.seconds) - 1 / 25).max() < 1e-3
    assert clip.fps == 25
    assert clip.oddities == []


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov"])
def test_a_clock_that_jumps_in_a_file(tmp_path, name) -> None:
    pts = [k + (25 * 7200 if k >= 9 else 0) + (25 * 90 if k >= 15 else 0) for k in range(20)]
    whole = make_video(tmp_path / f"whole{name}", make_frames(20), encoder={"bf": "0", "qp": "20"})
    clip = open_clip(
        make_video(tmp_path / name, make_frames(20), pts=pts, encoder={"bf": "0", "qp": "20"})
    )
    assert clip.fps == 25
    assert [text.split(";")[0] for text in clip.oddities] == [
        "timestamps jump by 2:00:00 after frame 8",
        "timestamps jump by 0:01:30 after frame 14",
    ]
    assert clip.times.seconds[-1] - clip.times.seconds[0] == pytest.approx(19 / 25)
    assert np.array_equal(read_all(clip), read_all(open_clip(whole)))


def test_an_offset_is_kept(tmp_path) -> None:
    pts = list(range(1000, 1010))
    clip = open_clip(make_video(tmp_path / "a.mkv", make_frames(10), pts=pts))
    assert clip.times.pts.tolist() == [40 * k for k in pts]


def test_sources_without_a_clock(tmp_path) -> None:
    assert clip_times(ArrayClip(make_frames(2))) is None
    bare = make_video(tmp_path / "a.h264", make_frames(5))
    assert open_clip(bare).times is None
    video = make_video(tmp_path / "a.mp4", make_frames(5))
    assert open_clip(video, fps=10).times is None
    assert isinstance(open_clip(video).times, Times)
