"""The page of a fleet: what it says, where it links, and that strangers' texts stay text."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import Ran
from fleets import STACK, make_fleet
from pages import data_of

from seesame.fleet.page.build import COLUMNS, Worst, size, write_fleet_page
from seesame.fleet.page.worst import distortion, worst_states
from seesame.fleet.target.state import DONE, FAILED, MISSED, State, StateFolder

Run = Callable[..., Ran]
HOSTILE = "</script><img src=x onerror=alert(1)>"
FIGURES: dict[str, Any] = {"source_bytes": 1000, "bytes": 100, "frames": 20, "fps": 10.0}
FIGURES |= {"seg": 0.01, "pose": 0.1, "score": 4.5, "worst_pair": 1, "worst_pair_seg": 0.2}


def state(out: str, status: str = DONE, **more: Any) -> State:
    return State(f"in/{out}", out, status, "r", **FIGURES | {"worst_pair_pose": 0.1} | more)


def written(path: Path, states: list[State], worst: tuple[Worst, ...] = ()) -> tuple[str, Any]:
    write_fleet_page(path, path, str(path.parent), states, None, worst)
    return path.read_text(), data_of(path)


def test_it_says_what_the_states_say(tmp_path: Path) -> None:
    states = [state("a.mp4"), state("b.mp4", MISSED, missed="seg is 0.1, not 0.01 or less")]
    states += [state("c.mp4", FAILED, error="in/c.mp4: frame 7 is bad", bytes=0, seg=None)]
    states += [state("d.mp4", FAILED, error="in/d.mp4: frame 9 is bad", bytes=0, seg=None)]
    text, data = written(tmp_path / "page.html", states)
    assert "<b>1.8 kB</b> saved: 2 kB became 200 B, 10.0\u00a0% of the sources" in text
    assert "4 clips: 1 done, 1 miss a limit, 2 failed." in text
    assert data["reasons"] == ["frame N is bad"]
    assert re.search(r'data-reason="0">2</button>', text)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in data["rows"]]
    assert [row["share"] for row in rows] == [0.1, 0.1, None, None]
    assert [row["reason"] for row in rows] == [None, None, 0, 0]
    assert [row["why"] for row in rows] == ["", states[1].missed, *(s.error for s in states[2:])]
    assert data["base"] == "./"


def test_a_fleet_with_nothing_done(tmp_path: Path) -> None:
    text, _ = written(tmp_path / "page.html", [state("a", FAILED, error="x", seg=None, pose=None)])
    assert "No clip is done yet." in text


def test_strangers_texts_are_text(tmp_path: Path) -> None:
    bad = state(HOSTILE, group=HOSTILE, codec=HOSTILE, stack=HOSTILE, machine=HOSTILE)
    failed = state("x", FAILED, error=HOSTILE, group="b")
    worst = Worst(bad, None, HOSTILE, tmp_path / HOSTILE / "p.html", HOSTILE)
    text, data = written(tmp_path / "page.html", [bad, failed], (worst,))
    assert "<img" not in text
    assert "default-src 'none'" in text
    assert data["rows"][0][0] == HOSTILE
    assert not re.search(r"(src|href)=\"(?!data:|\./)", text)


def test_links_are_relative_and_escaped(tmp_path: Path) -> None:
    name = "a b/javascript:é#?.mp4"
    worst = Worst(state(name), None, "", tmp_path / "page" / f"{name}.html", "")
    text, _ = written(tmp_path / "page.html", [state(name)], (worst,))
    assert 'href="./page/a%20b/javascript%3A%C3%A9%23%3F.mp4.html"' in text


def test_the_worst_come_first() -> None:
    states = [state("a"), state("b", seg=0.5), state("c", seg=0.0, pose=0.0)]
    states += [state("d", FAILED), state("../e", seg=0.9), state("f", seg=None)]
    assert [one.out for one in worst_states(states)] == ["b", "a"]
    assert distortion(states[0]) == pytest.approx(2.0)


def test_bytes_in_words() -> None:
    assert [size(n) for n in (0, 999, 1000, 3_140_000, 999_600, 41e9, 5e15)] == [
        *("0 B", "999 B", "1 kB", "3.14 MB", "1 MB", "41 GB", "5000 TB")
    ]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with three clips, one of which failed."""
    from seesame.cli.main import main

    folder = tmp_path_factory.mktemp("fleet")
    make_fleet(folder / "in", 2, frames=4)
    (folder / "in" / "junk.mp4").write_text("no video")
    with pytest.MonkeyPatch.context() as patch:
        helpers = Path(__file__).resolve().parents[2] / "helpers"
        patch.setenv("PYTHONPATH", str(helpers), prepend=":")
        words = ["batch", folder / "in", "-o", folder / "out", "--codec", "x264", "--stack", STACK]
        words += ["--set", "crf=40", "--jobs", "1", "--quiet"]
        assert main(list(map(str, words))) == 3
    return folder / "out"


def test_the_command_makes_the_page_and_those_of_the_worst(seesame: Run, target: Path) -> None:
    ran = seesame("report", target, "--stack", STACK, "--pages", 1, "--json", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    values = json.loads(ran.out)
    assert values["clips"]["done"] == 2
    page = Path(values["page"])
    assert page == target / "report.html"
    text = page.read_text()
    links = re.findall(r'href="(\./[^"]*)"', text)
    assert len(links) == 1
    assert len(data_of(page.parent / links[0])["files"]) == 1
    assert text.count('src="data:image/webp') == 4
    assert "seesame report" in text  # for the clip that has no page of its own

    again = seesame("report", target, "--stack", STACK)
    assert again.code == 2
    assert "exists already" in again.err
    moved = seesame("report", target, "--pages", 0, "-o", target.parent / "p.html", "--quiet")
    assert moved.code == 0, moved.err
    assert data_of(target.parent / "p.html")["base"] == "./out/"


def test_sources_that_have_gone_are_said(seesame: Run, target: Path, tmp_path: Path) -> None:
    states = [state("gone.ssm")]
    folder = StateFolder(str(tmp_path))
    for one in states:
        folder.put(one)
    assert seesame("report", tmp_path, "--quiet").code == 0
    assert "in/gone.ssm: is not there any more" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--watch"], "--watch is for"),
        (["-o", "folder"], "name it folder.html"),
        (["--transfer", "lite"], "name the files"),
    ],
)
def test_mistakes_get_one_line(seesame: Run, target: Path, words: list[str], reason: str) -> None:
    ran = seesame("report", target, *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert reason in ran.err
