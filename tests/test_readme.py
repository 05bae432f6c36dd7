"""Commands of the pages exist, README's run, tables hold what was measured, links lead on."""

import importlib
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from command import Ran
from documents import anchors, blocks, commands, links, site_anchors

from seesame.cli.limits import MISSED
from seesame.cli.main import app
from seesame.codecs.registry import trained_codecs
from seesame.perception.flow import LEAST_FLOW, flow_quality

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "bench" / "README.md"]
PAGES += [*sorted((ROOT / "docs").glob("*.md"))]


ALL = [(page.name, words) for page in PAGES for words in commands(page.read_text("utf-8"))]


def leaves() -> dict[str, set[str]]:
    """Return all flags of every command, by its words: ``"score"``, ``"contest pack"``."""
    found: dict[str, set[str]] = {}
    queue = [("", typer.main.get_command(app))]
    while queue:
        name, command = queue.pop()
        if below := getattr(command, "commands", None):
            queue += [(f"{name} {word}".strip(), one) for word, one in below.items()]
        else:
            flags = {f for p in command.params for f in (*p.opts, *p.secondary_opts)}
            found[name] = flags | {"--help"}
    return found


def name_of(words: list[str]) -> str:
    """Return which command a line runs, in one word or two."""
    return words[1] if words[1] in leaves() else " ".join(words[1:3])


@pytest.mark.parametrize(("page", "words"), ALL, ids=[f"{p}: {' '.join(w)}" for p, w in ALL])
def test_every_command_and_flag_exists(page: str, words: list[str]) -> None:
    name = name_of(words)
    assert name in leaves()
    used = {word.partition("=")[0] for word in words[2:] if word.startswith("-")}
    assert used <= leaves()[name]


def test_the_pages_show_every_command() -> None:
    assert {name_of(words) for _, words in ALL} == set(leaves())


def test_the_first_example_keeps_a_picture() -> None:
    """A newcomer's first file must not look like noise."""
    first = next(words for words in commands(README) if name_of(words) == "compress")
    assert first[first.index("--codec") + 1] in ("hybrid", "svtav1")


def test_the_commands_run_in_order(
    seesame: Callable[..., Ran],
    drive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Run README's commands but ``demo`` and ``fetch``; training and searches are cut short."""
    monkeypatch.chdir(tmp_path)
    for clip in ("drive", "a", "b"):
        shutil.copy(drive, tmp_path / f"{clip}.mp4")
    short = [words for words in commands(README) if words[1] not in ("demo", "fetch")]
    ran = [run_shortened(seesame, words) for words in short]
    assert {"compress", "decompress", "score", "report", "search", "info"} <= set(ran)


def run_shortened(seesame: Callable[..., Ran], words: list[str]) -> str:
    """Run one command, made short, and return its name."""
    line, name = words[1:], name_of(words)
    if name == "compress" and line[line.index("--codec") + 1] in trained_codecs():
        line += ["--set", "steps=4", "--set", "sidecar=false", "--device", "cpu"]
    elif name == "search":
        line += ["--trials", "5"]
    done = seesame(*line, *({"--quiet"} & leaves()[name]))
    missed = (MISSED,) if any(word.startswith("--max-") for word in line) else ()
    assert done.code in (0, *missed), (line, done.err)
    assert done.out
    return name


def test_the_python_example_runs(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run it as it is written, but with a few training steps in place of a preset."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(drive, tmp_path / "drive.mp4")
    (example,) = blocks(README, "python")
    short = example.replace('preset="draft"', "steps=4, sidecar=False")
    assert short != example
    exec(compile(short, "README.md", "exec"), {})
    score, frames, seg = capsys.readouterr().out.splitlines()
    assert float(score.split()[0]) > 0
    assert int(score.split()[1]) == (tmp_path / "drive.ssm").stat().st_size
    assert frames == "12 torch.Size([3, 120, 160]) torch.Size([2, 3, 120, 160])"  # the tests' drive
    assert 0 <= float(seg) <= 1
    assert (tmp_path / "drive.mkv").stat().st_size > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """They do so in the checkout and, for the pages in docs, on the site, which has only these."""
    for target in links(page.read_text("utf-8")):
        name, _, heading = target.partition("#")
        place = page.parent / name if name else page
        assert place.exists(), target
        if page.parent == ROOT / "docs":
            assert place.resolve().is_relative_to(ROOT / "docs"), f"{target}: not on the site"
        if heading:
            text = place.read_text("utf-8")
            assert heading in anchors(text) & site_anchors(text), target


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("[a](b.md) ![c](d.png){ width=1 }", ["b.md", "d.png"]),
        ("[over\ntwo lines](b.md#c-d)", ["b.md#c-d"]),
        ('<img src="d.png"> [web](https://example.org/a)', ["d.png"]),
        ("`[a](b.md)` and\n```\n[a](b.md)\n```\n", []),
    ],
)
def test_the_check_sees_links(page: str, found: list[str]) -> None:
    assert links(page) == found


def test_the_two_names_of_a_heading() -> None:
    page = "# Rate - and, `x`: distortion\n```\n# no heading\n```\n## A-b"
    assert anchors(page) == {"rate---and-x-distortion", "a-b"}
    assert site_anchors(page) == {"rate-and-x-distortion", "a-b"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_pages_name_exist(page: Path) -> None:
    folders = "bench|docs|requirements|src|tests|tools"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)", page.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    used = set(re.findall(r"^make ([a-z-]+)", "\n".join(blocks(README)), re.MULTILINE))
    assert {"demo", "test"} <= used <= targets


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """The script ``bench/readme_tables.py``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "bench"))  # it imports a script beside it
        return importlib.import_module("readme_tables")


def test_the_pages_hold_what_was_measured(tables: ModuleType, tmp_path: Path) -> None:
    """Every table says what the lines in ``bench/results`` say; the demo's lines are not kept."""
    for page, text in tables.filled_pages(ROOT, tmp_path).items():
        assert page.read_text("utf-8") == text, f"{page.name}: run bench/readme_tables.py"


def test_the_flow_of_the_table_is_that_of_the_judge(tables: ModuleType) -> None:
    measure = sys.modules[tables.vcm_table.__module__].MEASURES["optical flow"]
    for pixels in (0.0, LEAST_FLOW / 10, LEAST_FLOW, 0.2, 30.0):
        assert measure({"flow_px": pixels}) == flow_quality(pixels)
    assert flow_quality(0.0) == flow_quality(LEAST_FLOW) == pytest.approx(60)


def test_the_first_rows_of_detections_are_read_as_well(tables: ModuleType) -> None:
    measure = sys.modules[tables.vcm_table.__module__].MEASURES["detections found again"]
    assert measure({"recall": 0.25}) == measure({"found": 0.25, "invented": 0.5}) == 25
    assert measure({"recall": None}) is measure({"found": None}) is None


def test_bench_explains_every_script() -> None:
    page = (ROOT / "bench" / "README.md").read_text("utf-8")
    missing = [p.name for p in (ROOT / "bench").glob("*.py") if f"`{p.name}`" not in page]
    assert missing == []


def test_every_result_is_shown_or_cited() -> None:
    """No results file is left to which no page and no table refers."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    script = (ROOT / "bench" / "readme_tables.py").read_text("utf-8")
    results = [path.stem for path in (ROOT / "bench" / "results").glob("*.jsonl")]
    assert [name for name in results if name not in text and f'"{name}"' not in script] == []


def row(**more: object) -> dict[str, object]:
    plain = {"clip": "a.mp4", "codec": "svtav1", "stack": "lite", "bytes": 1234, "seg": 0.01}
    return {**plain, "pose": 0.02, "rate": 0.003, "score": 1.5, **more}


@pytest.fixture
def checkout(tmp_path: Path, tables: ModuleType) -> Path:
    """A folder with the pages that have tables, and the results that fill them."""
    for name in {"README.md", tables.DEMO_PAGE, *(block.page for block in tables.BLOCKS)}:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "bench" / "results", tmp_path / "bench" / "results")
    return tmp_path


def test_the_script_fills_the_marked_blocks(
    tables: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        row(),
        row(score=1.25, bytes=4321),
        row(codec="hnerv", settings={"preset": "fast"}, score=0.5),
        {"summary": True, "clip": "a.mp4"},
    ]
    results = checkout / "bench" / "results" / "first_light.jsonl"
    results.write_text("\n".join(map(json.dumps, lines)) + "\n")
    demo = checkout / "out" / "demo"
    demo.mkdir(parents=True)
    shown = row(label="AV1", width=64, height=48, fps=20.0, num_frames=9, source_bytes=77)
    (demo / "demo.json").write_text(json.dumps({**shown, "encode_s": 2.0, "decode_fps": 50.0}))
    (demo / "demo.png").write_bytes(b"picture")

    def run(*flags: str) -> int:
        monkeypatch.setattr(sys, "argv", ["readme_tables.py", "--root", str(checkout), *flags])
        code: int = tables.main()
        return code

    assert run("--check") == 1
    assert run() == 0
    page = checkout / "docs" / "results.md"
    text = page.read_text("utf-8")
    best = "| a.mp4 | lite | svtav1 | best of 2 | 4,321 | 0.01000 | 0.02000 | 0.00300 | 1.250 |"
    assert best in text
    assert text.index("hnerv fast | one") < text.index(best)
    assert "| AV1 | 1,234 | 0.01000 | 0.02000 | 0.00300 | 1.500 | 2.0 | 50 |" in text
    assert (checkout / "docs" / "demo.png").read_bytes() == b"picture"
    assert run("--check") == 0
    page.write_text(text.replace("4,321", "1"), encoding="utf-8")
    assert run("--check") == 1


def test_a_page_without_its_markers_is_told(tables: ModuleType, checkout: Path) -> None:
    page = checkout / "docs" / "results.md"
    page.write_text(page.read_text("utf-8").replace("<!-- hybrid:end -->", ""), encoding="utf-8")
    with pytest.raises(ValueError, match="hybrid:end"):
        tables.filled_pages(checkout, checkout)


def test_the_overview_shows_the_best_av1_and_the_codecs_as_recommended(tables: ModuleType) -> None:
    def file(kind: str, score: float, **more: Any) -> dict[str, object]:
        return row(kind=kind, score=score, transfer=0.02, psnr=30.4, encode_s=9.6, **more)

    rows = [
        file("av1", 3.0, crf=40),
        file("av1", 2.5, crf=50),
        file("hybrid", 1.0, pixel_weight=0.0),
        file("hybrid", 1.5, pixel_weight=0.3),
        file("hnerv", 0.5, pixel_weight=0.0),
        file("hnerv", 0.1, pixel_weight=0.0, augment=True),
    ]
    lines = tables.overview_table(rows).splitlines()[2:]
    figures = "1,234 | 0.3 % | 1.00 % | 0.0200"
    assert lines == [
        f"| a.mp4 | `svtav1`, CRF 50 | {figures} | 2.50 | 2.0 % | 30 dB | 10 s |",
        f"| a.mp4 | `hybrid`, pixel weight 0.3 | {figures} | 1.50 | 2.0 % | 30 dB | 10 s |",
        f"| a.mp4 | `hnerv` | {figures} | 0.50 | 2.0 % | 30 dB | 10 s |",
    ]


def test_the_recipe_is_shown_at_its_best_width_beside_hnerv(tables: ModuleType) -> None:
    def job(name: str, score: float, **more: object) -> dict[str, object]:
        plain = {"clip": "a.mp4", "minutes": 20.0, "job": name, "bytes": 1000, "score": score}
        return plain | {"machine": "AMD EPYC, 2 cores"} | more

    rows = [
        job("recipe 0.45", 9.0),
        job("recipe 0.45", 2.0, bytes=2000),  # run again
        job("recipe 1", 3.0),
        job("hnerv", 1.0),
        job("recipe 1", 4.0, clip="b.mp4"),  # without hnerv beside it
        job("hnerv", 4.0, summary=True),
        job("recipe 0.45", 0.1, machine="Intel(R) Xeon(R) Processor, 2 cores"),  # never compared
        job("recipe 0.45", 0.1, device="cuda"),  # nor this
    ]
    shown = tables.recipe_table(rows).splitlines()
    assert len(shown) == 3
    figures = "0.45, 1 | 0.45 | 2,000 B, 2.000 | 1,000 B, 1.000 | 0.50 |"
    assert shown[2] == f"| a.mp4 | AMD EPYC | 20 | {figures}"
    assert tables.processor(rows[-2]) == "Intel Xeon"


def test_hybrid_is_shown_beside_the_best_hand_made_settings(tables: ModuleType) -> None:
    def file(variant: str, score: float, clip: str = "a.mp4") -> dict[str, object]:
        figures = {"bytes": 1000, "score": score, "encode_s": 300.4}
        return {"clip": clip, "variant": variant, **figures}

    parts = [file("base", 4.0), file("base, corrections", 3.0), file("base, network", 3.5)]
    rows = [file("by hand", 6.0), file("by another hand", 5.0), *parts, file("hybrid", 2.0)]
    shown = tables.hybrid_table([*rows, file("by hand", 1.0, "b.mp4")]).splitlines()
    assert len(shown) == 3
    cells = " | ".join(f"1,000 B, {score:.3f}" for score in (5.0, 4.0, 3.0, 3.5, 2.0))
    assert shown[2] == f"| a.mp4 | {cells} | 0.40 | 300 |"
