"""Reading reports nobody vouches for, ranking them, and the command around it."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from leaderboard_reports import SOURCE_BYTES, refused, report, write
from typer.testing import CliRunner

from seesame.cli.contest.leaderboard import leaderboard
from seesame.contest.entries import MAX_TEXT, read_entries
from seesame.contest.evaluate import Bench, Result
from seesame.contest.isolation.limits import ReportLimits
from seesame.contest.leaderboard import boards, published, render_page
from seesame.contest.report import contest_values, json_text
from seesame.contest.submission import Submission, Uncounted
from seesame.errors import DamagedError, UserError
from seesame.metric.evaluator import Evaluation
from seesame.metric.score import Score

PUBLISHED = {
    "no_compress": 25.0,
    "baseline_fast": 4.39,
    "neural_inflate": 1.891,
    "codex_metric_yshift_av1": 1.236,
    "pair_sidecar": 1.22,
    "quantizr": 0.333,
    "hnerv_muon": 0.1988,
    "hnerv_lc_v2": 0.1954,
    "hnerv_ft_microcodec": 0.1928,
    "rhnerv_comma": 0.1911,
    "entry 128": 0.1879,
    "entry 130": 0.1721,
    "entry 141": 0.1479,
}


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Path]:
    """Write reports into numbered submission folders; returns the folder that holds them."""

    def place(*reports: dict[str, Any]) -> Path:
        for index, values in enumerate(reports):
            write(tmp_path / "all" / f"s{index}", values)
        return tmp_path / "all"

    return place


def ranks(folder: Path) -> list[list[tuple[int | None, str]]]:
    return [[(r.rank, r.entry.name) for r in b.rows] for b in boards(read_entries([folder]))]


def test_a_report_is_read_as_written(tmp_path: Path) -> None:
    extra = [{"path": "x", "bytes": 7_500_000, "why": "not text"}]
    values = report("mine", 1000, uncounted_bytes=7_500_000, uncounted=extra)
    (entry,) = read_entries([write(tmp_path / "one", values)])
    assert entry.figures is not None
    assert (entry.figures.score, entry.figures.samples) == (values["score"], 600)
    assert sum(entry.figures.parts) == pytest.approx(values["score"], rel=1e-12)
    assert entry.videos == (("0.mkv", entry.figures),)
    assert entry.uncounted == (Uncounted("x", 7_500_000, "not text"),)
    assert (entry.compressed_bytes, entry.network) == (1000, "cut off")
    assert (entry.date, entry.seesame) == (values["date"], "0.1.0")
    assert entry.warnings == (
        "7,500,000 bytes are not counted in the rate; "
        f"with them the score would be {values['score'] + 25 * 7_500_000 / SOURCE_BYTES:.6f}",
    )


def test_what_evaluate_writes_is_read(tmp_path: Path) -> None:
    seg = np.array([0.011, 0.0003], np.float32)
    pose = np.array([0.02, 0.0007], np.float32)
    score = Score(float(seg.mean(dtype=float)), float(pose.mean(dtype=float)), 1234 / 99_991)
    evaluation = Evaluation(score, seg, pose, 1234, 99_991, "lite", "5b0c", 1164, 874, Fraction(20))
    bench = Bench((), 99_991, tmp_path, "lite")
    submission = Submission(tmp_path, "real", 1234, (Uncounted("x", 5, "not text"),))
    videos = (("0.mkv", evaluation),)
    scored = Result("real", "scored", submission, None, videos, evaluation)
    failed = Result("gone", "archive.zip is missing", None, None)
    for result in (scored, failed):
        values = contest_values(result, bench, "5b0c", official=False, isolated=True)
        write(tmp_path / result.name, json_text(values))
    ((first, second),) = (board.rows for board in boards(read_entries([tmp_path])))
    assert first.entry.figures is not None
    assert (first.rank, first.entry.figures.score) == (1, score.total)
    assert first.entry.uncounted_bytes == 5
    assert (second.rank, second.entry.verdict) == (None, "archive.zip is missing")


def test_equal_scores_share_a_rank_and_the_next_is_left_out(
    place: Callable[..., Path],
) -> None:
    best, twin, worst = report("best", 100), report("b twin", 200), report("worst", 300)
    folder = place(worst, twin, {**twin, "name": "a twin"}, best)
    assert ranks(folder) == [[(1, "best"), (2, "a twin"), (2, "b twin"), (4, "worst")]]


def test_full_precision_decides_and_is_shown(place: Callable[..., Path]) -> None:
    near, nearer = report("near", seg=0.005_000_000_000_1), report("nearer", seg=0.005)
    folder = place(near, nearer)
    (board,) = boards(read_entries([folder]))
    assert [row.entry.name for row in board.rows] == ["nearer", "near"]
    assert [row.rank for row in board.rows] == [1, 2]
    scores = [row.entry.figures.score for row in board.rows if row.entry.figures]
    assert 6 < board.decimals <= 17
    assert f"{scores[0]:.{board.decimals}f}" != f"{scores[1]:.{board.decimals}f}"
    assert f"{scores[0]:.{board.decimals - 1}f}" == f"{scores[1]:.{board.decimals - 1}f}"


def test_entries_without_a_score_come_last_and_have_no_rank(place: Callable[..., Path]) -> None:
    folder = place(refused("z", "refused: late"), refused("a", "refused: big"), report("ok"))
    assert ranks(folder) == [[(1, "ok"), (None, "a"), (None, "z")]]


def test_only_the_same_bench_is_ranked_together(place: Callable[..., Path]) -> None:
    here, there = report("here", 10), report("there", 20, bench="other")
    assert ranks(place(here, there, report("too", 30))) == [
        [(1, "here"), (2, "too")],
        [(1, "there")],
    ]


def test_a_refused_entry_may_know_nothing(place: Callable[..., Path]) -> None:
    keys = ("bench", "stack", "fingerprint", "axis", "device", "decoder", "network", "official")
    nothing = dict.fromkeys((*keys, "compressed_bytes", "videos", "uncounted", "uncounted_bytes"))
    assert ranks(place(refused("bad", "refused: no archive.zip", **nothing))) == [[(None, "bad")]]


def test_a_submission_named_twice_is_read_once(place: Callable[..., Path]) -> None:
    folder = place(report("a"), report("b"))
    twice = [folder, folder / "s0", folder / ".." / "all" / "s1"]
    assert [entry.name for entry in read_entries(twice)] == ["a", "b"]


def test_folders_without_a_report_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no report\.json"):
        read_entries([tmp_path])
    with pytest.raises(UserError, match="not a folder"):
        read_entries([tmp_path / "absent"])


WRONG = {
    "seg above 1": {"seg": 1.5},
    "negative pose": {"pose": -0.0125, "score": 1.0},
    "text as score": {"score": "1.0"},
    "true as score": {"score": True},
    "score of other figures": {"score": 0.01},
    "rate of other sizes": {"compressed_bytes": 1},
    "no source": {"source_bytes": 0},
    "null as samples": {"samples": None},
    "half a sample": {"samples": 0.5},
    "no sample": {"samples": 0},
    "huge samples": {"samples": 10**400},
    "list as name": {"name": ["mine"]},
    "contradiction": {"scored": False},
    "contradicting verdict": {"verdict": "refused: late"},
    "no bench": {"bench": ""},
    "null bench": {"bench": None},
    "videos": {"videos": {"0.mkv": 1}},
    "video without figures": {"videos": [{"name": "0.mkv"}]},
    "uncounted": {"uncounted": ["x"]},
    "negative bytes": {"uncounted": [{"path": "x", "bytes": -1, "why": ""}]},
    "official": {"official": "yes"},
    "date": {"date": "yesterday"},
    "seconds": {"inflate_seconds": -1},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG.keys())
def test_wrong_values_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    values = {**report(seg=0.0055, pose=0.0125), **changes}
    with pytest.raises(DamagedError, match=r"one/report\.json: "):
        read_entries([write(tmp_path / "one", values)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        json.dumps(report()).replace("12.3", "NaN"),
        json.dumps(report()).replace("12.3", "Infinity"),
        json.dumps(report()).replace("12.3", "9" * 5000),
    ],
    ids=["empty", "cut", "list", "deep", "nan", "infinity", "long number"],
)
def test_damaged_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DamagedError, match=r"one/report\.json: "):
        read_entries([write(tmp_path / "one", text)])


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (write(tmp_path / "one", "") / "report.json").write_bytes(b"\xff\xfe\x00{}")
    with pytest.raises(DamagedError, match="not valid JSON"):
        read_entries([tmp_path / "one"])


def test_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a report of this version"):
        read_entries([write(tmp_path / "one", report(format="seesame contest report 2"))])


def test_a_huge_report_is_refused_unread(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", report())
    assert read_entries([folder])
    with pytest.raises(DamagedError, match="longer than 100 bytes"):
        read_entries([folder], ReportLimits(bytes=100))
    with pytest.raises(DamagedError, match="more than 0 items"):
        read_entries([folder], ReportLimits(items=0))


def test_texts_cannot_steer_a_terminal(tmp_path: Path) -> None:
    evil = "a\x1b[31m\r\nb\u202ec\ud800é"
    (entry,) = read_entries([write(tmp_path / "one", report(evil, decoder=evil))])
    assert entry.name == entry.decoder == r"a\u001b[31m\u000d\u000ab\u202ec\ud800é"
    (entry,) = read_entries([write(tmp_path / "two", report("x" * 9999))])
    assert entry.name == "x" * (MAX_TEXT - 1) + "…"


def test_the_published_rows() -> None:
    rows = published()
    assert {row.name: row.score for row in rows} == PUBLISHED
    assert {row.name for row in rows if row.axis == "cuda"} == {"entry 130", "entry 141"}
    assert {row.axis for row in rows} == {"cpu", "cuda"}
    assert {row.entry for row in rows} == {None, 128, 130, 141}
    assert rows == sorted(rows, key=lambda row: (row.axis, row.score))


def test_the_page_stands_alone_and_escapes(place: Callable[..., Path]) -> None:
    evil = "\"><script>alert('x')</script>&"
    folder = place(
        report(evil, stack=evil, network="open", axis=evil, official=False, fingerprint=evil),
        refused("bad", f"refused: {evil}"),
        report("other", bench=evil, uncounted_bytes=1, decoder=evil,
               uncounted=[{"path": evil, "bytes": 1, "why": evil}]),
    )  # fmt: skip
    page = render_page(boards(read_entries([folder])), published(), evil)
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert page.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;") >= 8
    assert "://" not in page
    assert "As published, not measured here" in page
    assert "the network was open" in page
    without = render_page(boards(read_entries([folder])), None, "Board")
    assert "As published" not in without
    assert "There are no entries" in render_page([], None, "Board")


@pytest.fixture
def run() -> Callable[..., Any]:
    """Run the subcommand by itself."""
    app = typer.Typer()
    app.command()(leaderboard)

    def run(*words: object) -> Any:
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


def test_the_command_prints_tables(place: Callable[..., Path], run: Callable[..., Any]) -> None:
    folder = place(
        report("[bold]winner[/nothing]", 100, uncounted_bytes=70_000, stack="[/red]"),
        refused("loser", "refused: late"),
    )
    ran = run(folder, "--published")
    assert ran.exit_code == 0, ran.output
    measured, _, rest = ran.output.partition("As published, not measured here")
    assert "[bold]winner[/nothing]" in measured
    assert "70,000 !" in measured
    assert "70,000 bytes are" in measured
    assert "refused: late" in measured
    assert "quantizr" not in measured
    assert "quantizr" in rest
    assert "quantizr" not in run(folder).output


def test_the_command_prints_json(place: Callable[..., Path], run: Callable[..., Any]) -> None:
    scored = report("a")
    ran = run(place(scored, refused("b", "refused: late")), "--json", "--published")
    lines = [json.loads(line) for line in ran.output.splitlines()]
    assert [line["kind"] for line in lines[:4]] == ["board", "entry", "entry", "published"]
    assert len(lines) == 3 + len(PUBLISHED)
    assert lines[0]["entries"] == 2
    assert lines[0]["scored"] == 1
    assert (lines[1]["rank"], lines[1]["score"]) == (1, scored["score"])
    assert lines[1]["videos"] == scored["videos"]
    assert (lines[2]["rank"], lines[2]["score"]) == (None, None)
    assert lines[2]["verdict"] == "refused: late"


def test_the_command_writes_the_page(
    place: Callable[..., Path], run: Callable[..., Any], tmp_path: Path
) -> None:
    folder, page = place(report("mine")), tmp_path / "board.html"
    assert run(folder, "--html", page).exit_code == 0
    first = page.read_text(encoding="utf-8")
    assert ">mine<" in first
    assert "As published" not in first
    again = run(folder, "--html", page, "--published")
    assert isinstance(again.exception, UserError)
    assert page.read_text(encoding="utf-8") == first
    assert run(folder, "--html", page, "--published", "--overwrite").exit_code == 0
    assert "As published" in page.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "board.html"]
