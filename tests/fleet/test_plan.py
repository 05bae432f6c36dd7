"""The plan of a fleet: outputs, settings and limits, and what is to be done again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_stack import TinyStack

from seesame.errors import OutputExistsError, UserError
from seesame.fleet.plan import Defaults, Task, in_shard, make_tasks, to_do
from seesame.fleet.sources.listing import Entry
from seesame.fleet.storage import Found
from seesame.fleet.target.state import DONE, FAILED, MISSED, WORKING, State, StateFolder
from seesame.perception.stack import Stack


def load(name: str) -> Stack:
    if name != "tiny":
        raise UserError(f"unknown stack {name!r}")
    return TinyStack()


def entry(name: str = "a.mp4", out: str | None = None, **options: Any) -> Entry:
    return Entry(f"/in/{name}", f"f.csv, line {name}", name, out, Found(10, "1"), options)


def tasks(*entries: Entry, target: str = "/out", **more: Any) -> list[Task]:
    return make_tasks(entries, target, Defaults(**{"stack": "tiny", **more}), load)


def test_portable_files_without_a_codec_and_ssm_with_one() -> None:
    assert [(t.out, t.codec) for t in tasks(entry("x/a.mkv"))] == [("x/a.mp4", "svtav1")]
    assert [(t.out, t.codec) for t in tasks(entry("a.b.mkv"), codec="av1")] == [
        ("a.b.ssm", "svtav1")
    ]
    (mkv,) = tasks(entry(), codec="h264", suffix=".mkv")
    assert (mkv.out, mkv.codec) == ("a.mkv", "x264")
    (own,) = tasks(entry(codec="x265"))
    assert (own.out, own.codec) == ("a.ssm", "x265")
    (named,) = tasks(entry(out="./x/../b.MOV"))
    assert (named.out, named.codec) == ("b.MOV", "svtav1")


def test_a_row_changes_what_holds_for_all() -> None:
    rest = {"codec": "x264", "settings": {"crf": 40, "max_seg": 0.1}}
    plain, own, other = tasks(
        entry("a.mp4"),
        entry("b.mp4", crf=30, max_seg="worst=0.2", on_miss="fail", group="front", seed=3),
        entry("c.mp4", codec="x265"),
        **rest,
    )
    assert (plain.settings, plain.limits, plain.on_miss) == (
        {"crf": 40},
        {"max_seg": 0.1},
        "keep-best",
    )
    assert (own.settings, own.limits) == ({"crf": 30}, {"max_seg": ["worst=0.2"]})
    assert (own.on_miss, own.group, own.seed) == ("fail", "front", 3)
    assert (other.settings, other.limits) == ({}, {"max_seg": 0.1})


def test_a_recipe_is_all_that_decides_the_file() -> None:
    (first,) = tasks(entry(), codec="x264")
    same = [
        tasks(entry(group="x"), codec="h264"),
        tasks(entry("b.mp4"), codec="x264", device="cuda"),
    ]
    assert {task.recipe for one in same for task in one} == {first.recipe}
    others = [
        tasks(entry(), codec="x265"),
        tasks(entry(crf=30), codec="x264"),
        tasks(entry(max_seg=0.1), codec="x264"),
        tasks(entry(), codec="x264", on_miss="fail"),
        tasks(entry(), codec="x264", seed=1),
        tasks(entry(), codec="x264", suffix=".mp4"),
    ]
    assert len({first.recipe, *(task.recipe for one in others for task in one)}) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codec": "x999"}, "unknown codec"),
        ({"crf": 999}, "crf"),
        ({"camera": "front"}, "camera"),
        ({"max_seg": 2}, "max_seg"),
        ({"max_seg": "nosuchclass=0.1"}, "nosuchclass"),
        ({"stack": "none"}, "unknown stack"),
        ({"on_miss": "cry"}, "on_miss"),
        ({"seed": -1}, "seed"),
        ({"codec": "copy", "crf": 5}, "copy"),
    ],
)
def test_a_mistake_names_its_row(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        tasks(entry(), entry("b.mp4", **options), codec="x264")
    assert "f.csv, line b.mp4" in str(raised.value)


@pytest.mark.parametrize(
    "out", ["/a.mp4", "../a.mp4", "x/../../a.mp4", "s3://b/a.mp4", ".seesame/a.mp4"]
)
def test_outputs_stay_below_the_target(out: str) -> None:
    with pytest.raises(UserError, match="below the target"):
        tasks(entry(out=out))


@pytest.mark.parametrize("out", ["a.avi", "a", "a.txt"])
def test_only_kinds_that_are_written(out: str) -> None:
    with pytest.raises(UserError, match="is not written"):
        tasks(entry(out=out))


def test_a_codec_of_ssm_files_makes_no_plain_video() -> None:
    with pytest.raises(UserError, match=r"hnerv makes \.ssm files only"):
        tasks(entry(out="a.mp4", codec="hnerv"))


def test_two_clips_with_one_output_are_both_named() -> None:
    with pytest.raises(UserError, match=r"/in/a\.mp4 and /in/a\.mkv would both become a\.ssm"):
        tasks(entry("a.mp4"), entry("a.mkv"), codec="x264")
    twice = entry("a.mp4"), replace(entry("a.mp4"), where="f.csv, line 3")
    with pytest.raises(UserError, match=r"line a\.mp4 and f\.csv, line 3 would both become"):
        tasks(*twice, codec="x264")


def test_no_output_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    one = Entry(str(tmp_path / "a.mp4"), "", "a.mp4")
    for target in (tmp_path, tmp_path / "link"):
        with pytest.raises(UserError, match="would be replaced by an output"):
            tasks(one, target=str(target))


@given(st.lists(st.text(), unique=True), st.integers(1, 7))
def test_every_output_is_in_one_shard(names: list[str], count: int) -> None:
    names = [name.encode(errors="replace").decode() for name in names]
    for name in names:
        assert sum(in_shard(name, (number, count)) for number in range(count)) == 1


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., tuple[list[Task], list[State]]]:
    """What is to be done for one clip with such a state and such an output."""

    def look(
        state: dict[str, Any] | None,
        output: bytes | None = b"file",
        found: Found | None = Found(10, "1"),
        retry: bool = False,
        overwrite: bool = False,
        share: bool = True,
    ) -> tuple[list[Task], list[State]]:
        (task,) = tasks(replace(entry(), found=found), codec="x264", target=str(tmp_path))
        states = StateFolder(str(tmp_path))
        if state is not None:
            plain = {"stamp": "1", "source_bytes": 10, "bytes": 4, "content": "c0"} | state
            states.put(task.state(**plain))
        if output is not None:
            (tmp_path / "a.ssm").write_bytes(output)
        return to_do([task], states, retry, overwrite, share)

    return look


@pytest.mark.parametrize(
    ("state", "more", "why", "known"),
    [
        (None, {"output": None}, "new", ""),
        (None, {"overwrite": True}, "new", ""),
        ({"status": DONE, "recipe": "other"}, {}, "changed settings", ""),
        ({"status": MISSED, "recipe": "other"}, {}, "changed settings", ""),
        ({"status": DONE}, {"found": Found(10, "2")}, "changed clip", "c0"),
        ({"status": DONE}, {"found": Found(11, "1")}, "changed clip", "c0"),
        ({"status": DONE}, {"found": None}, "changed clip", "c0"),
        ({"status": DONE, "uri": "/elsewhere"}, {}, "changed clip", "c0"),
        ({"status": DONE}, {"output": None}, "output is gone", ""),
        ({"status": DONE}, {"output": b"other"}, "output is gone", ""),
        ({"status": DONE, "shared": True}, {"share": False}, "changed settings", ""),
        ({"status": MISSED, "shared": True}, {"share": False}, "changed settings", ""),
        ({"status": FAILED}, {"retry": True}, "failed before", ""),
        ({"status": FAILED}, {"found": Found(10, "2")}, "failed before", ""),
        ({"status": FAILED, "recipe": "other"}, {}, "failed before", ""),
        ({"status": FAILED, "stamp": "", "source_bytes": 0}, {}, "failed before", ""),
        ({"status": WORKING, "attempts": 2}, {}, "interrupted", ""),
    ],
)
def test_what_is_done_again(planned: Any, state: Any, more: Any, why: str, known: str) -> None:
    (task,), rest = planned(state, **more)
    assert (task.why, task.known, rest) == (why, known, [])
    assert task.earlier == (2 if why == "interrupted" else 0)


@pytest.mark.parametrize(
    ("state", "more"),
    [
        ({"status": DONE}, {}),
        ({"status": DONE}, {"share": False}),
        ({"status": DONE, "shared": True}, {}),
        ({"status": MISSED}, {"retry": True}),
        ({"status": FAILED}, {}),
        ({"status": FAILED}, {"output": None}),
        ({"status": FAILED, "stamp": "", "source_bytes": 0}, {"found": None}),
    ],
)
def test_what_is_left_as_it_is(planned: Any, state: Any, more: Any) -> None:
    missing, rest = planned(state, **more)
    assert missing == []
    assert [one.status for one in rest] == [state["status"]]


def test_a_file_that_no_run_has_made_is_not_replaced(planned: Any) -> None:
    with pytest.raises(OutputExistsError, match="no earlier run of batch has made it"):
        planned(None)


def test_the_longest_comes_first(tmp_path: Path) -> None:
    sizes = {"a.mp4": 5, "b.mp4": 50, "c.mp4": 7}
    entries = [replace(entry(name), found=Found(size, "1")) for name, size in sizes.items()]
    missing, _ = to_do(
        tasks(*entries, target=str(tmp_path)), StateFolder(str(tmp_path)), False, False
    )
    assert [task.out for task in missing] == ["b.mp4", "c.mp4", "a.mp4"]
