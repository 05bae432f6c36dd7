"""The README's commands exist, its short ones run, its tables can be filled, its links lead on."""

import importlib.util
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer
from command import Ran

from seesame.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: str, language: str = "") -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """The words of every ``seesame`` command in a page's fenced blocks."""
    lines = [line for block in blocks(page) for line in block.splitlines()]
    return [
        shlex.split(line, comments=True)
        for line in lines
        if re.match(r"(\S*/)?seesame ", line.removeprefix("$ "))
    ]


ALL = [(page.name, words) for page in PAGES for words in commands(page.read_text("utf-8"))]


def leaves() -> dict[str, set[str]]:
    """All flags of every command, by its words: ``"score"``, ``"contest pack"``."""
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
    """Which command a line runs, of one word or two."""
    return words[1] if words[1] in leaves() else " ".join(words[1:3])


@pytest.mark.parametrize(("page", "words"), ALL, ids=[f"{p}: {' '.join(w)}" for p, w in ALL])
def test_every_command_and_flag_exists(page: str, words: list[str]) -> None:
    name = name_of(words)
    assert name in leaves()
    used = {word.partition("=")[0] for word in words[2:] if word.startswith("-")}
    assert used <= leaves()[name]


def test_readme_shows_every_command() -> None:
    assert {name_of(words) for words in commands(README)} == set(leaves())


def can_isolate() -> bool:
    from seesame.contest.sandbox import why_not_isolated

    return why_not_isolated() is None


def test_the_commands_run_in_order(
    seesame: Callable[..., Ran],
    drive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of README's commands but the long ones; hnerv and hybrid get a few steps, once."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(drive, tmp_path / "drive.mp4")
    (tmp_path / "videos").mkdir()
    shutil.copy(drive, tmp_path / "videos")
    (tmp_path / "names.txt").write_text("drive.mp4\n")
    trained = set()
    for words in commands(README):
        line = words[1:]
        name = name_of(words)
        if name == "contest evaluate":
            line += ["--stack", "lite", "--isolation" if can_isolate() else "--no-isolation"]
        if line[0] in ("demo", "fetch") or "comma" in line:
            continue
        if line[0] == "compress":
            codec = line[line.index("--codec") + 1] if "--codec" in line else "hnerv"
            if codec == "auto":
                line[line.index("--budget") + 1] = "10s"
            if codec in ("hnerv", "hybrid"):
                if codec in trained:
                    continue
                trained.add(codec)
                line += ["--set", "steps=4"]
            line += ["--overwrite"]
        if line[0] == "search":
            line += ["--trials", "5"]
        ran = seesame(*line, *({"--quiet"} & leaves()[name]))
        assert ran.code == 0, (line, ran.err)
        assert ran.out
    assert trained == {"hnerv", "hybrid"}


def test_the_python_example_runs(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(drive, tmp_path / "drive.mp4")
    (example,) = blocks(README, "python")
    exec(compile(example, "README.md", "exec"), {})
    assert "Score(seg=" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    used = set(re.findall(r"^make ([a-z-]+)", "\n".join(blocks(README)), re.MULTILINE))
    assert {"demo", "test"} <= used <= targets


@pytest.fixture
def tables() -> ModuleType:
    """The script ``bench/readme_tables.py``."""
    spec = importlib.util.spec_from_file_location(
        "readme_tables", ROOT / "bench" / "readme_tables.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(**more: object) -> dict[str, object]:
    plain = {"clip": "a.mp4", "codec": "svtav1", "stack": "lite", "bytes": 1234, "seg": 0.01}
    return {**plain, "pose": 0.02, "rate": 0.003, "score": 1.5, **more}


def test_the_script_fills_the_marked_blocks(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme, results, demo = tmp_path / "README.md", tmp_path / "results", tmp_path / "demo"
    results.mkdir()
    demo.mkdir()
    (tmp_path / "docs").mkdir()
    readme.write_text(README, encoding="utf-8")
    lines = [
        row(),
        row(score=1.25, bytes=4321),
        row(codec="hnerv", preset="fast", score=0.5),
        {"net": "segnet", "iou": 0.8},
    ]
    (results / "first.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    shown = row(label="AV1", width=64, height=48, fps=20.0, num_frames=9, source_bytes=77)
    (demo / "demo.json").write_text(json.dumps({**shown, "encode_s": 2.0, "decode_fps": 50.0}))
    (demo / "demo.png").write_bytes(b"picture")
    for name, value in (("ROOT", tmp_path), ("README", readme), ("RESULTS", results)):
        monkeypatch.setattr(tables, name, value)
    monkeypatch.setattr(sys, "argv", ["readme_tables.py", "--demo", str(demo)])
    assert tables.main() == 0
    text = readme.read_text(encoding="utf-8")
    best = "| a.mp4 | lite | svtav1 | best of 2 | 4,321 | 0.01000 | 0.02000 | 0.00300 | 1.250 |"
    assert best in text
    assert text.index("hnerv fast | one") < text.index(best)
    assert "| AV1 | 1,234 | 0.01000 | 0.02000 | 0.00300 | 1.500 | 2.0 | 50 |" in text
    assert (tmp_path / "docs" / "demo.png").read_bytes() == b"picture"
    monkeypatch.setattr(sys, "argv", ["readme_tables.py", "--demo", str(demo), "--check"])
    assert tables.main() == 0
    readme.write_text(text.replace("4,321", "1"), encoding="utf-8")
    assert tables.main() == 1


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
    ]
    shown = tables.recipe_table(rows).splitlines()
    assert len(shown) == 3
    figures = "0.45, 1 | 0.45 | 2,000 B, 2.000 | 1,000 B, 1.000 | 0.50 |"
    assert shown[2] == f"| a.mp4 | AMD EPYC | 20 | {figures}"
    assert tables.processor(rows[-1]) == "Intel Xeon"


def test_runs_on_a_gpu_are_shown_apart(tables: ModuleType) -> None:
    plain = {"clip": "a.mp4", "minutes": 3.5, "bytes": 1000, "machine": "Xeon, 16 cores, H100"}
    rows = [
        plain | {"job": "recipe 1", "device": "cuda", "score": 3.0, "steps_done": 12345},
        plain | {"job": "hnerv", "device": "cuda", "score": 1.0},
        plain | {"job": "hnerv", "device": "cpu", "score": 2.0},
        plain | {"job": "hnerv", "device": "cuda", "score": 1.0, "summary": True},
    ]
    assert tables.recipe_gpu_table(rows).splitlines()[2:] == [
        "| a.mp4 | H100 | recipe 1 | 3.5 | 12,345 | 1,000 | 3.000 |",
        "| a.mp4 | H100 | hnerv | 3.5 |  | 1,000 | 1.000 |",
    ]
    assert len(tables.recipe_table(rows).splitlines()) == 2


def test_hybrid_is_shown_beside_the_best_hand_made_settings(tables: ModuleType) -> None:
    def row(variant: str, score: float, clip: str = "a.mp4") -> dict[str, object]:
        figures = {"bytes": 1000, "score": score, "encode_s": 300.4}
        return {"clip": clip, "variant": variant, **figures}

    parts = [row("base", 4.0), row("base, corrections", 3.0), row("base, network", 3.5)]
    rows = [row("by hand", 6.0), row("by another hand", 5.0), *parts, row("hybrid", 2.0)]
    shown = tables.hybrid_table([*rows, row("by hand", 1.0, "b.mp4")]).splitlines()
    assert len(shown) == 3
    cells = " | ".join(f"1,000 B, {score:.3f}" for score in (5.0, 4.0, 3.0, 3.5, 2.0))
    assert shown[2] == f"| a.mp4 | {cells} | 0.40 | 300 |"
