"""Trials with real encoders on a small drive."""

import multiprocessing
import shutil
import time
from collections import deque
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path

import pytest

from seesame.codecs.registry import get_codec
from seesame.errors import DamagedError, UnsupportedSettingError
from seesame.jobs.runner import Runner, Wanted, by_stream, next_for
from seesame.jobs.spec import Job, Source
from seesame.jobs.store import Store
from seesame.search.space import complete

WANTED = [("x264", complete("x264", {"crf": crf, "preset": "ultrafast"})) for crf in (30, 40, 50)]


def runner(clip: Path, store: Path, jobs: int = 1) -> Runner:
    return Runner.open(Job(Source(clip), "x264", stack="lite"), Store(store), jobs)


def test_trials_are_made_once(drive: Path, tmp_path: Path) -> None:
    with runner(drive, tmp_path / "s") as first:
        made = [result.trial for result in first.run(WANTED)]
        assert first.made == 3
    sizes = [trial.bytes for trial in made if trial is not None]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 3
    with runner(drive, tmp_path / "s") as second:
        results = list(second.run(WANTED))
        assert second.made == 0
    assert all(result.known for result in results)
    assert [result.trial for result in results] == made


def test_the_same_content_elsewhere_is_the_same_clip(drive: Path, tmp_path: Path) -> None:
    with runner(drive, tmp_path / "s") as first:
        list(first.run(WANTED[:1]))
    other = tmp_path / "copy.mp4"
    shutil.copy(drive, other)
    with runner(other, tmp_path / "s") as second:
        assert next(second.run(WANTED[:1])).known


def test_processes_find_what_one_process_finds(drive: Path, tmp_path: Path) -> None:
    with runner(drive, tmp_path / "a") as alone:
        one = {str(r.wanted): r.trial for r in alone.run(WANTED)}
    with runner(drive, tmp_path / "b", jobs=2) as several:
        two = {str(r.wanted): r.trial for r in several.run(WANTED)}
        assert several.made == 3
    assert one.keys() == two.keys()
    for name, trial in one.items():
        other = two[name]
        assert trial is not None
        assert other is not None
        assert (other.settings, other.bytes) == (trial.settings, trial.bytes)
        # Nets round differently with another number of threads.
        assert other.score.total == pytest.approx(trial.score.total, rel=1e-6)


@pytest.mark.parametrize("jobs", [1, 2])
def test_trials_that_differ_in_the_decoder_share_a_stream(
    drive: Path, tmp_path: Path, jobs: int
) -> None:
    base = {"preset": "ultrafast", "crf": 40}
    several = [
        ("x264", complete("x264", base | {"up": up, "sharpen": sharpen, "scale": scale}))
        for up in ("bicubic", "nearest")
        for sharpen in (0.0, 1.0)
        for scale in (0.4, 0.6)
    ]
    with runner(drive, tmp_path / "s", jobs) as here:
        found = {str(result.wanted): result.trial for result in here.run(several)}
    assert len(found) == len(several)
    for number, one in enumerate(several[:3]):  # the very files that each by itself gives
        with runner(drive, tmp_path / f"alone {number}") as alone:
            (result,) = alone.run([one])
        shared = found[str(one)]
        assert shared is not None
        assert result.trial is not None
        assert shared.bytes == result.trial.bytes
        assert shared.score.total == pytest.approx(result.trial.score.total, rel=1e-6)
    assert len({trial.score.total for trial in found.values() if trial}) == len(several)


def test_a_group_stays_with_its_process_until_the_end() -> None:
    wanted = [
        ("x264", complete("x264", {"crf": crf, "up": up}))
        for up in ("bicubic", "nearest", "area")
        for crf in (30, 40)
    ]
    groups = by_stream(wanted)
    assert [[settings["crf"] for _, settings in group] for group in groups] == [[30] * 3, [40] * 3]
    queues: list[deque[Wanted]] = [deque(), deque()]
    taken = [next_for(queues, number, groups) for number in (0, 1, 0, 0, 0, 0, 0)]
    # When its own group is done, and no new one is left, a process helps another.
    crfs = [one and one[1]["crf"] for one in taken]
    assert crfs == [30, 40, 30, 30, 40, 40, None]


def test_what_an_encoder_refuses_is_told_and_not_kept(drive: Path, tmp_path: Path) -> None:
    bad = ("x264", {**WANTED[0][1], "crf": 99})
    with runner(drive, tmp_path / "s") as here:
        refused, fine = here.run([bad, WANTED[0]])
        assert refused.trial is None
        assert "crf must be" in refused.why
        assert fine.trial is not None
        assert here.store.get(here.subject.key(*bad)) is None


def _sleep() -> None:
    time.sleep(600)


def test_a_search_that_fails_ends_its_own_processes_alone(drive: Path, tmp_path: Path) -> None:
    other = multiprocessing.get_context("spawn").Process(target=_sleep, daemon=True)
    other.start()
    try:
        with suppress(RuntimeError), runner(drive, tmp_path / "s", jobs=2) as here:
            next(iter(here.run(WANTED)))
            own = [child for child in multiprocessing.active_children() if child.pid != other.pid]
            assert len(own) == 2
            raise RuntimeError("something else went wrong")
        # Their sentinels, not `exitcode`: the pool's own thread may be collecting them as well.
        ended = {child.sentinel for child in own}
        deadline = time.monotonic() + 20
        while ended and time.monotonic() < deadline:
            ended -= set(connection.wait(ended, timeout=1))
        assert not ended
        other.join(0.5)
        assert other.exitcode is None
    finally:
        other.terminate()
        other.join()


def test_a_setting_that_the_codec_lacks_is_a_refusal(drive: Path, tmp_path: Path) -> None:
    """Every user's mistake is the settings' fault, whatever its class; only damage is not."""

    class Strict:
        def __getattr__(self, name: str) -> object:
            return getattr(get_codec("x264"), name)

        def encode(self, *arguments: object) -> object:
            raise UnsupportedSettingError("no such setting")

    with runner(drive, tmp_path / "s") as here, pytest.MonkeyPatch.context() as patch:
        patch.setattr("seesame.jobs.workbench.get_codec", lambda name: Strict())
        (result,) = here.run(WANTED[:1])
    assert (result.trial, result.why) == (None, "no such setting")


def test_a_clip_that_ends_early_ends_the_search(drive: Path, tmp_path: Path) -> None:
    class Short:
        def __init__(self, clip: object) -> None:
            self.clip = clip

        def __getattr__(self, name: str) -> object:
            return getattr(self.clip, name)

        def batches(self, size: int):  # type: ignore[no-untyped-def]
            yield next(iter(self.clip.batches(4)))  # type: ignore[attr-defined]

    with runner(drive, tmp_path / "s") as here:
        here.bench.clip = Short(here.clip)  # type: ignore[assignment]
        with pytest.raises(DamagedError, match="frames"):
            list(here.run(WANTED))
