"""The page's figures, its escaping, its forms, and what the command refuses."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import marked
import numpy as np
import pytest
import torch
from command import Ran
from pages import data_of
from PIL import Image

from seesame.metric import evaluate
from seesame.metric.report import report_values
from seesame.report.classes import Confusion
from seesame.report.page import worst_pairs
from seesame.report.render import share
from seesame.video.reading.reader import open_clip

Run = Callable[..., Ran]
HOSTILE = "<img src=x onerror=alert(1)>.ssm"
SCRIPT = "</script><script>alert(1)</script>.mp4"


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    marked.write(path, [HOSTILE, "b.ssm"], source_name=SCRIPT)
    return path


def test_strangers_names_are_text(one_file: Path) -> None:
    text = one_file.read_text(encoding="utf-8")
    assert "<img" not in text
    assert "alert(1)</script>" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;.ssm" in text
    data = data_of(one_file)
    assert data["files"][0]["file"] == HOSTILE
    assert data["source"]["name"] == SCRIPT


def test_nothing_is_asked_of_the_network(one_file: Path) -> None:
    text = one_file.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org/2000/svg", "", text)


def test_figures_are_the_evaluators(tmp_path: Path) -> None:
    shown = marked.write(tmp_path / "page.html", ["a.ssm"])
    (file,) = data_of(tmp_path / "page.html")["files"]
    clip = shown[0].observed.subject.clip
    wanted = report_values(
        evaluate(
            marked.ArrayClip(marked.source_frames(), 20, 40_000), clip, marked.TinyStack(), 1000
        )
    )
    assert {key: file[key] for key in wanted} == wanted
    assert file["transfer"][0] == {k: v for k, v in wanted.items() if k != "pairs"}
    assert file["worst"][0] == marked.WRONG_PAIR
    counts = shown[0].observed.confusion.counts
    assert 1 - counts.trace() / counts.sum() == pytest.approx(file["seg"], abs=1e-6)
    assert len(file["framePsnr"]) == marked.FRAMES
    error = np.square(marked.source_frames().astype(float) - clip.frames).mean()
    assert file["psnr"] == pytest.approx(10 * np.log10(255**2 / error))
    assert file["ms_ssim"] is None  # 48 rows are too few


def test_a_folder_holds_the_same(one_file: Path, tmp_path: Path) -> None:
    marked.write(tmp_path / "page", [HOSTILE, "b.ssm"], one_file=False, source_name=SCRIPT)
    inside, folder = data_of(one_file), data_of(tmp_path / "page" / "index.html")
    for file in (*inside["files"], *folder["files"]):
        del file["decode_fps"]
    assert folder["files"] == inside["files"]
    names = {path.name for path in (tmp_path / "page" / "chunks").iterdir()}
    assert {"p0-0.js", "p0-2.js", "m1-1.js", "d2-2.js"} <= names
    text = (tmp_path / "page" / "chunks" / "p0-0.js").read_text()
    found = re.fullmatch(r'seesameChunk\("p0-0", "([A-Za-z0-9+/=]*)"\);\n', text)
    assert found is not None
    first = base64.b64decode(found[1][: folder["preview"]["sizes"]["p0"][0]])
    assert first[:4] == b"RIFF"
    assert sum(folder["preview"]["sizes"]["p0"][:32]) == len(found[1])


def test_the_confusion_counts_pixels() -> None:
    confusion = Confusion(("a", "b", "c"), every_frame=True)
    source = torch.tensor([[[0, 0, 1, 1]]], dtype=torch.uint8)
    confusion.add_maps(source, torch.tensor([[[0, 1, 1, 1]]], dtype=torch.uint8))
    confusion.add_maps(source, torch.tensor([[[2, 2, 1, 0]]], dtype=torch.uint8))
    assert confusion.counts.tolist() == [[1, 1, 2], [1, 3, 0], [0, 0, 0]]
    assert confusion.rows() == [[0.25, 0.25, 0.5], [0.25, 0.75, 0.0], [None, None, None]]
    a, b, c = confusion.losses()
    assert (a.share, a.lost, a.gained, a.iou) == (0.5, 0.75, 0.25, 1 / 5)
    assert (a.worst, a.worst_lost, a.worst_pixels) == (1, 2, 2)
    assert (b.lost, b.gained, b.iou, b.worst) == (0.25, 0.25, 3 / 5, 1)
    assert (c.pixels, c.lost, c.iou, c.worst) == (0, None, 0.0, None)


def test_shares_never_round_to_nothing() -> None:
    found = [share(v).replace("\u00a0", " ") for v in (0.0, 1e-7, 0.0123, 1.0)]
    assert found == ["0.00 %", "<0.01 %", "1.23 %", "100.00 %"]
    assert share(None) == "\u2013"


@pytest.fixture(scope="module")
def compressed(drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seesame.codecs.registry import get_codec
    from seesame.context import EncodeContext

    path = tmp_path_factory.mktemp("ssm") / HOSTILE
    settings = {"crf": 40, "preset": "ultrafast"}
    get_codec("x264").encode(open_clip(drive), settings, EncodeContext()).write(path)
    return path


def test_the_command_agrees_with_score(
    seesame: Run, drive: Path, compressed: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    ran = seesame("report", drive, compressed, "-o", page, "--transfer", "lite", "--json", "-q")
    assert ran.code == 0, ran
    told = json.loads(ran.out)
    scored, *pairs = map(
        json.loads,
        seesame("score", drive, compressed, "--json", "--per-pair", "-q").out.splitlines(),
    )
    (file,) = data_of(page)["files"]
    other = seesame("score", drive, compressed, "--json", "-q", "--transfer", "lite")
    (transfer,) = json.loads(other.out)["transfer"]
    assert transfer == {key: scored[key] for key in transfer}
    assert "judged by lite as well: seg" in (
        seesame("score", drive, compressed, "-q", "--transfer", "lite").out
    )
    for name, value in scored.items():
        assert told[name] == file[name] == told["transfer"][0][name] == value
    assert file["pairs"]["seg"] == [pair["seg"] for pair in pairs]
    assert file["pairs"]["pose"] == [pair["pose"] for pair in pairs]
    info = json.loads(seesame("info", compressed, "--json").out)
    layout = {part["part"]: part["bytes"] for part in info["layout"]}
    parts = {part["part"]: part["bytes"] for part in file["parts"]}
    assert parts["stream"] == layout["stream"]
    assert sum(parts.values()) == info["bytes"] == compressed.stat().st_size
    assert f"{scored['score']:.4f}" in page.read_text(encoding="utf-8")
    again = seesame("report", drive, compressed, "-o", page, "-q")
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "--overwrite" in again.err


def test_any_clip_can_be_compared(seesame: Run, drive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    ran = seesame("report", drive, drive, "-o", folder, "-q")
    assert ran.code == 0, ran
    assert "equal" in ran.out
    assert seesame("report", drive, drive, "-o", folder, "-q", "--overwrite").code == 0
    ran = seesame("report", drive, drive, "-o", tmp_path, "-q", "--overwrite")
    assert ran.code == 2
    assert "which this command does not write" in ran.err
    (file,) = data_of(folder / "index.html")["files"]
    assert (file["seg"], file["pose"], file["psnr"], file["rate"]) == (0, 0, None, 1)


def test_the_page_lies_in_the_current_folder(
    seesame: Run, drive: Path, compressed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = seesame("report", drive, compressed, "-q")
    assert ran.code == 0, ran
    assert [path.name for path in tmp_path.iterdir()] == ["drive.report.html"]
    assert "page  drive.report.html" in ran.out


def test_searched_trials_are_dots(
    seesame: Run, drive: Path, compressed: Path, tmp_path: Path
) -> None:
    from seesame.metric.score import Score

    store, page = tmp_path / "trials.sqlite", tmp_path / "page.html"
    words = ("report", drive, compressed, "-o", page, "-q", "--store", store)
    assert "no such store" in seesame(*words).err
    one = [f"--grid={text}" for text in ("gop=240", "preset=ultrafast", "down=area", "up=bicubic")]
    grid = ("--method", "grid", "--codec", "x264", "--grid", "crf=30,44", "--grid", "scale=0.5")
    searched = seesame("search", drive, *grid, *one, "--store", store, "--json", "-q")
    assert searched.code == 0, searched
    ran = seesame(*words)
    assert ran.code == 0, ran
    front = json.loads(searched.out)["front"]
    wanted = {(row["bytes"], Score(row["seg"], row["pose"], 0).total) for row in front}
    data = data_of(page)
    assert len(data["tried"]) == 2
    assert wanted <= {tuple(place) for place in data["tried"]}
    assert data["front"] == sorted(data["front"])
    other = seesame("report", compressed.parent, compressed, "-o", page, "-q", "--store", store)
    assert other.code == 2


def test_mistakes_are_one_line(seesame: Run, drive: Path, compressed: Path, tmp_path: Path) -> None:
    (tmp_path / "short").mkdir()
    for index in range(4):
        Image.new("RGB", (160, 120)).save(tmp_path / "short" / f"{index}.png")
    damaged = tmp_path / "damaged.ssm"
    data = bytearray(compressed.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    page = tmp_path / "page.html"
    for words, message in (
        ((drive, tmp_path / "none.ssm"), "none.ssm"),
        ((drive, damaged), "damaged.ssm"),
        ((drive, tmp_path / "short"), "must agree"),
        ((drive, compressed, "--stack", "no"), "unknown stack"),
        ((drive, compressed, "--transfer", "no"), "unknown stack"),
        ((drive, *[compressed] * 13), "12"),
    ):
        ran = seesame("report", *words, "-o", page)
        assert (ran.code, ran.err.strip().count("\n")) == (2, 0), ran
        assert message in ran.err
    assert [p.name for p in tmp_path.iterdir() if "page" in p.name] == []


def test_the_worst_pairs_come_worst_first() -> None:
    evaluation = evaluate(
        marked.ArrayClip(marked.source_frames()),
        marked.ArrayClip(marked.file_frames()),
        marked.TinyStack(),
        10,
    )
    assert worst_pairs(evaluation, 3) == [marked.WRONG_PAIR, 0, 1]
