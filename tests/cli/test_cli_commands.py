"""The subcommands from end to end on a small drive."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Ran
from PIL import Image

from seesame.bitstream.container import Container, Section
from seesame.neural.corrections.sidecar import Corrections, pack_sidecar
from seesame.video.reading.reader import open_clip

Run = Callable[..., Ran]
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "hnerv" / "small.ssm"
X264 = ("--codec", "x264", "--set", "crf=36")


def values(ran: Ran) -> list[dict[str, Any]]:
    """The JSON objects that a command printed, one a line."""
    assert ran.code == 0, ran
    return [json.loads(line) for line in ran.out.splitlines()]


@pytest.fixture
def ssm(seesame: Run, drive: Path, tmp_path: Path) -> Path:
    path = tmp_path / "drive.ssm"
    assert seesame("compress", drive, "-o", path, *X264, "--no-score").code == 0
    return path


def test_compress_score_and_decompress_agree(seesame: Run, drive: Path, tmp_path: Path) -> None:
    ssm, mkv = tmp_path / "drive.ssm", tmp_path / "drive.mkv"
    (made,) = values(seesame("compress", drive, "-o", ssm, *X264, "--json"))
    assert made["bytes"] == ssm.stat().st_size
    assert made["rate"] == made["bytes"] / drive.stat().st_size
    expected = 100 * made["seg"] + 25 * made["rate"] + (10 * made["pose"]) ** 0.5
    assert made["score"] == pytest.approx(expected, abs=1e-12)
    assert made["seg"] > 0
    (direct,) = values(seesame("score", drive, ssm, "--json"))
    assert seesame("decompress", ssm, "-o", mkv).code == 0
    (decoded,) = values(seesame("score", drive, mkv, "--compressed", ssm, "--json"))
    for name in ("seg", "pose", "rate", "score"):
        assert direct[name] == made[name]
        assert decoded[name] == made[name]


def test_a_clip_scored_against_itself(seesame: Run, drive: Path) -> None:
    (same,) = values(seesame("score", drive, drive, "--json"))
    assert (same["seg"], same["pose"], same["rate"], same["score"]) == (0, 0, 1, 25)


def test_score_prints_pairs_and_writes_the_report(
    seesame: Run, drive: Path, ssm: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.txt"
    lines = values(seesame("score", drive, ssm, "--json", "--per-pair", "--report", report))
    assert len(lines) == 1 + 6
    assert np.mean([line["seg"] for line in lines[1:]]) == pytest.approx(lines[0]["seg"])
    plain = seesame("score", drive, ssm)
    assert plain.out == report.read_text()
    assert "share of pixels whose class changes" in plain.out
    assert "SegNet" not in plain.out
    assert "Average SegNet Distortion" in seesame("score", drive, ssm, "--contest-form").out
    table = seesame("score", drive, ssm, "--per-pair").out
    assert table.startswith(plain.out)
    assert f"{lines[6]['seg']:.8f}" in table


def test_compress_prints_the_next_command(seesame: Run, drive: Path, tmp_path: Path) -> None:
    ssm = tmp_path / "a drive.ssm"
    ran = seesame("compress", drive, "-o", ssm, *X264)
    assert ran.code == 0, ran
    assert f"next: seesame decompress '{ssm}' -o '{ssm.with_suffix('.mkv')}'" in ran.out
    assert f"{ssm.stat().st_size:,} bytes" in ran.out


def test_limits_end_training_or_say_what_is_missing(
    seesame: Run, drive: Path, tmp_path: Path
) -> None:
    words = ("compress", drive, "-o", tmp_path / "drive.ssm", "--overwrite", "--set", "steps=6")
    ran = seesame(*words, "--max-seg", "1", "--max-bytes", "100000")
    assert ran.code == 0, ran
    assert re.search(r"limit  seg [\d.]+ <= 1 on every frame: kept\n", ran.out)
    assert re.search(r"limit  bytes [\d,]+ <= 100,000: kept\n", ran.out)
    ran = seesame(*words, "--target-score", "0.5", "--max-seg", "1")
    assert ran.code == 4, ran
    assert re.search(r"limit  score [\d.]+ > 0.5: missed\n", ran.out)
    ran = seesame(*words, "--max-pose", "0", "--json")
    assert ran.code == 4, ran
    (made,) = (json.loads(line) for line in ran.out.splitlines())
    assert made["missed"] == {"pose": made["pose"]}
    for flags, words_of_error in [
        (("--max-seg", "2"), "--max-seg 2: --max-seg must be between 0 and 1"),
        (("--max-seg", "p95"), "--max-seg p95: give a number"),
        (("--max-seg", "0.1", "--max-seg", "0.2"), "has a bound already"),
        (("--max-seg", "bus=0.2"), "is no class of the stack"),
    ]:
        ran = seesame(*words, *flags)
        assert ran.code == 2
        assert words_of_error in ran.err


def test_a_classical_codec_finds_the_quality_that_keeps_limits(
    seesame: Run, drive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "drive.ssm"
    words = ("compress", drive, "-o", out, "--overwrite", "--set", "scale=1")
    fast = ("--codec", "h264", "--set", "preset=ultrafast")
    (best,) = values(seesame(*words, *fast, "--set", "crf=14", "--json"))
    (worst,) = values(seesame(*words, *fast, "--set", "crf=45", "--json"))
    assert "limits" not in best
    between = (best["frames"]["seg"] + worst["frames"]["seg"]) / 2
    ran = seesame(*words, *fast, "--max-seg", between, "--json")
    (made,) = values(ran)
    assert made["codec"] == "x264"
    assert made["frames"]["seg"] <= between
    assert best["bytes"] > made["bytes"] > worst["bytes"]
    assert 14 < made["settings"]["crf"] < 45
    assert made["bytes"] == out.stat().st_size
    (judged,) = values(seesame("score", drive, out, "--json", "--max-seg", between))
    assert judged["frames"] == made["frames"]
    assert judged["limits"] == made["limits"]
    # A CRF of the user's is kept, and the miss is told.
    ran = seesame(*words, *fast, "--set", "crf=45", "--max-seg", between)
    assert ran.code == 4
    assert "on every frame: missed\ntry " in ran.out
    ran = seesame("score", drive, out, "--max-seg", between)
    assert (ran.code, "on every frame: missed" in ran.out) == (4, True)
    ran = seesame(*words, *fast, "--max-seg", between, "--no-score")
    assert (ran.code, "limits need a score" in ran.err) == (2, True)


def test_a_scaled_file_says_so(seesame: Run, drive: Path, tmp_path: Path) -> None:
    words = ("compress", drive, "-o", tmp_path / "drive.ssm", *X264, "--overwrite")
    for scale, size in ((0.5, True), (1, False)):
        ran = seesame(*words, "--set", f"scale={scale}")
        assert ("made " in ran.out and "by the decoder" in ran.out) is size
        assert ("scaled" in json.loads(seesame("info", words[3], "--json").out)["notes"]) is size


def test_several_clips_are_done_in_a_row(seesame: Run, drive: Path, tmp_path: Path) -> None:
    clips = [tmp_path / f"{name}.mp4" for name in ("a", "b", "c")]
    for clip in clips[::2]:
        shutil.copy(drive, clip)
    clips[1].write_bytes(b"no video")
    out = tmp_path / "out"
    words = ("compress", *clips, "-o", out, *X264)
    ran = seesame(*words, "--max-seg", "1", "--max-pose", "1000000")
    assert ran.code == 2
    assert sorted(path.name for path in out.iterdir()) == ["a.ssm", "c.ssm"]
    assert "b.mp4" in ran.err
    table = ran.out[ran.out.index("limits kept") :]
    assert table.count("yes") == 2
    assert "failed" in table
    rows = values(seesame("compress", *clips[::2], "-o", out, *X264, "--overwrite", "--json"))
    assert [row["clip"] for row in rows] == [str(clip) for clip in clips[::2]]
    ran = seesame("compress", *clips[::2], "-o", out, *X264, "--overwrite", "--max-pose", "0")
    assert (ran.code, ran.out.count("no: pose")) == (4, 2)
    # One clip and a folder that is there.
    assert seesame("compress", clips[0], "-o", out, *X264, "--overwrite").code == 0
    for bad, why in [
        (("compress", *clips, "-o", tmp_path / "x.ssm"), "is a folder"),
        (("compress", clips[0], drive.parent / "a.mkv", "-o", out), "output of two clips"),
        (words, "exists"),
        (
            ("compress", *clips, "-o", tmp_path / "new", "--log", tmp_path / "r.jsonl"),
            "--log is for one clip",
        ),
    ]:
        ran = seesame(*bad)
        assert ran.code == 2
        assert why in ran.err


def test_hybrid_mends_a_classical_base(seesame: Run, drive: Path, tmp_path: Path) -> None:
    out = tmp_path / "mended.ssm"
    words = ("compress", drive, "-o", out, "--overwrite", "--codec", "hybrid", "--set", "steps=6")
    base = ("--set", "base=x264", "--set", "base.preset=ultrafast", "--set", "base.crf=40")
    ran = seesame(*words, *base, "--max-bytes", "100000", "--json")
    assert ran.code == 0, ran
    (made,) = values(ran)
    assert made["missed"] == {}
    assert made["bytes"] == out.stat().st_size
    (told,) = values(seesame("info", out, "--json"))
    assert told["codec"] == "hybrid"
    assert told["notes"]["base"].startswith("x264, ")
    assert told["config"]["base.crf"] == 40
    (judged,) = values(seesame("score", drive, out, "--json"))
    assert judged["score"] == made["score"]
    for flags, message in (
        (("--bytes", "5000", "--set", "base.crf=30"), "leave out base.crf"),
        (("--init", GOLDEN), "--init is for hnerv;"),
        (("--set", "base.crf=99"), "crf must be a whole number"),
    ):
        ran = seesame(*words, *flags)
        assert ran.code == 2
        assert message in ran.err
    ran = seesame("compress", drive, "-o", out, *X264, "--budget", "20s", "--overwrite")
    assert ran.code == 2
    assert "--budget is for hnerv, hybrid, auto; --codec x264 takes --set" in ran.err


def test_a_guard_is_trained_for_and_noted(seesame: Run, drive: Path, tmp_path: Path) -> None:
    out = tmp_path / "guarded.ssm"
    words = ("compress", drive, "-o", out, "--no-score", "--overwrite")
    ran = seesame(*words, "--set", "steps=3", "--transfer-guard", "lite")
    assert ran.code == 0, ran
    (told,) = values(seesame("info", out, "--json"))
    assert told["config"]["guards"] == ["lite"]
    for flags, message in (
        (("--transfer-guard", "nobody"), "nobody"),
        ((*X264, "--transfer-guard", "lite"), "--transfer-guard is for hnerv, hybrid;"),
    ):
        ran = seesame(*words, *flags)
        assert ran.code == 2
        assert message in ran.err
        assert len(ran.err.strip().splitlines()) == 1


def test_auto_chooses_within_its_time(
    seesame: Run, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setenv("SEESAME_SEARCH", str(tmp_path / "trials.sqlite"))
    out = tmp_path / "auto.ssm"
    words = ("compress", drive, "-o", out, "--codec", "auto")
    (made,) = values(seesame(*words, "--budget", "12s", "--max-seg", "1", "--json"))
    assert made["codec"] in ("svtav1", "x265")
    assert made["missed"] == {}
    assert made["bytes"] == out.stat().st_size
    assert Container.read(out).config()["crf"] == made["settings"]["crf"]
    (judged,) = values(seesame("score", drive, out, "--json"))
    assert judged["score"] == made["score"]
    for flags, message in (
        (("--preset", "fast"), "--preset is for hnerv, hybrid; --codec auto chooses"),
        (("--set", "crf=30"), "--set is not for --codec auto"),
        (("--budget", "12s"), "exists"),
    ):
        ran = seesame(*words, *flags)
        assert ran.code == 2
        assert message in ran.err


def test_a_start_must_be_a_file_of_hnerv(seesame: Run, drive: Path, tmp_path: Path) -> None:
    av = tmp_path / "av.ssm"
    assert seesame("compress", drive, "-o", av, *X264).code == 0
    for start in (av, tmp_path / "gone.ssm"):
        ran = seesame("compress", drive, "-o", tmp_path / "b.ssm", "--init", start)
        assert ran.code == 2
        assert start.name in ran.err
        assert len(ran.err.strip().splitlines()) == 1
    ran = seesame("compress", drive, "-o", tmp_path / "b.ssm", "--init", GOLDEN, "--set", "steps=4")
    assert ran.code == 0, ran


def test_no_score_needs_no_pair(seesame: Run, drive: Path, tmp_path: Path) -> None:
    frames = next(open_clip(drive).batches(1))
    (tmp_path / "one").mkdir()
    Image.fromarray(frames[0]).save(tmp_path / "one" / "0.png")
    words = ("compress", tmp_path / "one", "-o", tmp_path / "one.ssm", *X264)
    assert seesame(*words).code == 2
    assert seesame(*words, "--no-score").code == 0
    assert Container.read(tmp_path / "one.ssm").num_frames == 1


def test_overwrite(seesame: Run, drive: Path, ssm: Path) -> None:
    before = ssm.read_bytes()
    words = ("compress", drive, "-o", ssm, "--codec", "x264", "--set", "crf=45", "--no-score")
    assert seesame(*words).code == 2
    assert ssm.read_bytes() == before
    assert seesame(*words, "--overwrite").code == 0
    assert ssm.read_bytes() != before


def test_a_raw_clip_with_its_size(seesame: Run, drive: Path, ssm: Path, tmp_path: Path) -> None:
    raw = tmp_path / "back.raw"
    assert seesame("decompress", ssm, "-o", raw).code == 0
    assert raw.stat().st_size == 12 * 160 * 120 * 3
    words = ("compress", raw, "-o", tmp_path / "raw.ssm", *X264, "--no-score")
    assert seesame(*words, "--size", "160x120", "--fps", "10").code == 0
    made = Container.read(tmp_path / "raw.ssm")
    assert (made.width, made.height, made.fps, made.num_frames) == (160, 120, 10, 12)
    assert seesame("score", drive, raw, "--compressed", ssm).code == 0


def test_regions_get_a_stack_even_without_a_score(
    seesame: Run, drive: Path, tmp_path: Path
) -> None:
    path = tmp_path / "regions.ssm"
    words = ("compress", drive, "-o", path, *X264, "--no-score", "--set", "roi_qp=3")
    (made,) = values(seesame(*words, "--json"))
    assert "score" not in made
    assert Container.read(path).config()["roi_qp"] == 3


def test_an_ssm_is_a_clip_too(seesame: Run, ssm: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.ssm"
    (made,) = values(seesame("compress", ssm, "-o", again, *X264, "--json"))
    assert made["source_bytes"] == ssm.stat().st_size
    (judged,) = values(seesame("score", ssm, again, "--json"))
    assert judged["score"] == made["score"]


def test_info_accounts_for_every_byte(seesame: Run, ssm: Path) -> None:
    (told,) = values(seesame("info", ssm, "--json"))
    assert sum(part["bytes"] for part in told["layout"]) == told["bytes"] == ssm.stat().st_size
    assert (told["codec"], told["width"], told["height"], told["num_frames"]) == (
        "x264",
        160,
        120,
        12,
    )
    shown = seesame("info", ssm).out
    assert "stream" in shown
    assert f"{told['bytes']:,}" in shown


def test_info_tells_what_the_sidecar_holds(seesame: Run, tmp_path: Path) -> None:
    container = Container.read(GOLDEN)
    corrections = Corrections.none(-(-container.num_frames // 2))
    corrections.values[0, 1, 0] = 3
    corrections.values[:, 0, 3] = -1
    container.sections[Section.SIDECAR] = pack_sidecar(corrections)
    container.write(tmp_path / "a.ssm")
    count = len(corrections.values)
    wanted = f"of {count} pairs corrected: shift 1, gain {count}"
    assert wanted in seesame("info", tmp_path / "a.ssm").out
    (told,) = values(seesame("info", tmp_path / "a.ssm", "--json"))
    assert told["notes"]["sidecar"].endswith(wanted)
    assert "sidecar" in [part["part"] for part in told["layout"]]
    assert values(seesame("info", GOLDEN, "--json"))[0]["notes"] == {}


def test_lists(seesame: Run) -> None:
    names = [line["codec"] for line in values(seesame("codecs", "--json"))]
    assert {"copy", "x264", "x265", "svtav1", "vp9", "hnerv", "hybrid"} <= set(names)
    shown = seesame("codecs").out
    assert all(name in shown for name in names)
    stacks = {line["stack"]: line for line in values(seesame("stacks", "--json"))}
    assert stacks["lite"]["available"]
    assert "comma" in seesame("stacks").out


def test_fetch_from_a_folder_verifies(seesame: Run, tmp_path: Path) -> None:
    (tmp_path / "segnet.safetensors").write_bytes(b"not the net")
    ran = seesame("fetch", "comma", "--from", tmp_path, "--to", tmp_path / "nets")
    assert ran.code == 2
    assert "segnet.safetensors" in ran.err
    assert list((tmp_path / "nets").iterdir()) == []


def test_demo(seesame: Run, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    words = ("demo", "--seconds", "0.6", "--size", "160x120", "--budget", "10s", "--out", out)
    ran = seesame(*words)
    assert ran.code == 0, ran
    rows = [json.loads(line) for line in (out / "demo.json").read_text().splitlines()]
    assert [row["codec"] for row in rows] == ["svtav1", "hnerv"]
    for row in rows:
        assert row["bytes"] == (out / row["file"]).stat().st_size
        assert row["source_bytes"] == (out / "source.mkv").stat().st_size
        assert row["num_frames"] == 12
        assert row["decode_fps"] > 0
        assert f"{row['score']:.3f}" in ran.out
    with Image.open(out / "demo.png") as picture:
        assert min(picture.size) > 500
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 100
    best = min(
        values(seesame("score", out / "source.mkv", file, "--json"))[0]["score"]
        for file in out.glob("AV1*.ssm")
    )
    assert rows[0]["score"] == best
    assert seesame(*words).code == 2
