"""A whole search as a library call."""

from pathlib import Path

import pytest

from seesame.errors import UserError
from seesame.jobs.spec import Job, Source
from seesame.jobs.store import Store
from seesame.metric.limits import Limits
from seesame.search.space import SPACES, Axis
from seesame.search.whole import Search, search_clip


def only(codec: str, **values: tuple[object, ...]) -> Search:
    """A grid over these values, with one value of everything else."""
    space = SPACES[codec]
    rest = [Axis(axis.name, axis.values[-1:], axis.values[-1:]) for axis in space.axes]
    given = [Axis(name, some, some) for name, some in values.items()]
    return Search([space.holding([*rest, *given])], method="grid")


def test_a_grid_is_made_once_and_its_best_found(drive: Path, tmp_path: Path) -> None:
    job = Job(Source(drive), "x264", stack="lite", log=tmp_path / "run.jsonl")
    search = only("x264", crf=(30, 45))
    assert search.goal.limits == Limits()
    found = search_clip(job, search, Store(tmp_path / "s"))
    assert (len(found.trials), found.made) == (2, 2)
    assert found.best.score.total == min(trial.score.total for trial in found.trials)
    assert len((tmp_path / "run.jsonl").read_text().splitlines()) == 5
    again = search_clip(job, search, Store(tmp_path / "s"))
    assert (again.trials, again.made) == (found.trials, 0)


def test_where_every_encode_is_refused_the_last_reason_is_told(drive: Path, tmp_path: Path) -> None:
    job, notes = Job(Source(drive), "svtav1", stack="lite"), []
    search = only("svtav1", crf=(40,), denoise=(True,), grain=(0,))
    with pytest.raises(UserError, match=r"no encode succeeded; svtav1 .* denoise goes with grain"):
        search_clip(job, search, Store(tmp_path / "s"), note=notes.append)
    assert len(notes) == 1
