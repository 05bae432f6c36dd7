"""What the clips of one camera share, and when a clip is told of it."""

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

from seesame.fleet import driver
from seesame.fleet.driver import Run, run_batch
from seesame.fleet.engines.local import Ended
from seesame.fleet.plan import Task
from seesame.fleet.sharing import Shared, SharingTuning
from seesame.fleet.storage import Found
from seesame.fleet.target.state import DONE, FAILED, MISSED, State
from seesame.search.within.found import Start

PLAIN: dict[str, Any] = {"codec": "svtav1", "settings": {}, "limits": {"max_seg": 0.01}}
PLAIN |= {"on_miss": "fail", "device": "cpu", "seed": 0, "fingerprint": "f", "stack": "s"}


def task(uri: str, recipe: str = "r", group: str = "", target: str = "out") -> Task:
    found = Found(100, "1")
    name = uri.replace("/", "-") + ".mp4"
    more = {"recipe": recipe, "group": group, "target": target, "found": found}
    return Task(uri=uri, out=name, **PLAIN, **more)


def ended(uri: str, scale: float, crf: int, size: str = "64x48", **more: Any) -> State:
    width, height = map(int, size.split("x"))
    values = {"used": {"scale": scale, "crf": crf, "preset": "4"}, "status": DONE, "bytes": 9}
    recipe, group = more.pop("recipe", "r"), more.pop("group", "")
    return task(uri, recipe, group).state(**values | {"width": width, "height": height} | more)


def test_clips_of_one_folder_share_what_won() -> None:
    shared = Shared()
    assert shared.starts(task("in/cam0/a")) == {}
    for number, crf in enumerate((40, 44, 41)):
        shared.add(ended(f"in/cam0/{number}", 0.5, crf))
    shared.add(ended("in/cam0/b", 0.7, 50))
    shared.add(ended("in/cam0/c", 1.0, 33, size="128x96"))
    assert shared.starts(task("in/cam0/a")) == {"64x48": Start(0.5, 41), "128x96": Start(1.0, 33)}
    assert shared.starts(task("in/cam1/a")) == {}
    assert shared.starts(task("in/cam0/a", recipe="other")) == {}


def test_a_group_goes_before_the_folder() -> None:
    shared = Shared()
    shared.add(ended("in/x/a", 0.5, 40, group="front"))
    assert shared.starts(task("in/y/b", group="front")) == {"64x48": Start(0.5, 40)}
    assert shared.starts(task("in/x/b")) == {}
    assert shared.starts(task("in/x/b", group="rear")) == {}


def test_the_newest_count() -> None:
    shared = Shared(SharingTuning(recent=3))
    for crf in (10, 11, 12, 40, 41, 42):
        shared.add(ended("in/a", 0.5, crf))
    assert shared.starts(task("in/b")) == {"64x48": Start(0.5, 41)}
    shared.add(ended("in/a", 0.7, 20))
    shared.add(ended("in/a", 0.7, 22))
    assert shared.starts(task("in/b")) == {"64x48": Start(0.7, 20)}


@pytest.mark.parametrize(
    "more",
    [
        {"status": MISSED},
        {"status": FAILED},
        {"kept_source": True},
        {"settings": {"crf": 40}},
        {"codec": "copy", "used": {}},
    ],
)
def test_what_says_nothing_for_others_is_left_out(more: dict[str, Any]) -> None:
    shared = Shared()
    shared.add(ended("in/a", 0.5, 40, **more))
    assert shared.starts(task("in/b")) == {}


class Recorder:
    """An engine that does nothing, and keeps what each task was told."""

    size = 1

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}

    def run(self, tasks: Iterable[Task], begin: Callable[[Task], None]) -> Generator[Ended]:
        for one in tasks:
            begin(one)
            self.told[one.uri] = dict(one.starts)
            facts = {"width": 64, "height": 48, "frames": 2, "fps": 1.0}
            used = {"scale": 0.5, "crf": 40 + len(self.told)}
            yield Ended(one, one.state(status=DONE, bytes=1, used=used, **facts))


def test_a_run_tells_each_clip_what_won_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Recorder()
    monkeypatch.setattr(driver, "_pool", lambda *given: engine)
    target = str(tmp_path)
    tasks = [task(f"in/{name}", target=target) for name in "abc"]
    run_batch(tasks[:2], target, Run())
    assert engine.told == {"in/a": {}, "in/b": {"64x48": Start(0.5, 41)}}
    for name in "ab":  # a later run knows them
        (tmp_path / f"in-{name}.mp4").write_bytes(b"x")
    assert run_batch(tasks, target, Run()).left == 2
    assert engine.told["in/c"] == {"64x48": Start(0.5, 41)}
    (tmp_path / "alone").mkdir()
    alone = [task(f"in/{name}", target=f"{target}/alone") for name in "de"]
    run_batch(alone, f"{target}/alone", Run(share=False))
    assert engine.told["in/e"] == {}
