"""``seesame compare``, and what ``score`` says of classes and of judges that are no stacks."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Ran

from seesame.jobs.portable import write_portable
from seesame.jobs.workbench import Workbench
from seesame.metric.rates.bd_rate import bd_rate
from seesame.video.reading.reader import open_clip
from seesame.video.span import Span
from seesame.video.writing.writer import write_clip

Run = Callable[..., Ran]
CRFS = (20, 26, 32, 38, 44)


@pytest.fixture(scope="module")
def files(drive: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two curves of x264: the second has the same pictures in half as many bytes again."""
    folder, bench = tmp_path_factory.mktemp("curves"), Workbench(open_clip(drive))
    fine = [folder / f"fine-{crf}.mp4" for crf in CRFS]
    coarse = [folder / f"coarse-{crf}.mp4" for crf in CRFS]
    for crf, file, larger in zip(CRFS, fine, coarse, strict=True):
        settings = {"crf": crf, "scale": 1.0}
        write_portable(bench, "x264", settings, file, judge=False, tracks=False, max_share=9.0)
        data = file.read_bytes()
        free = len(data) // 2  # the size of a box that every reader leaves out
        larger.write_bytes(data + struct.pack(">I4s", free, b"free") + bytes(free - 8))
    return [*fine, *coarse]


def lines(ran: Ran) -> list[dict[str, object]]:
    assert ran.code == 0, ran
    return [json.loads(line) for line in ran.out.splitlines()]


def test_curves_and_their_bd_rates(seesame: Run, drive: Path, files: list[Path]) -> None:
    found = lines(seesame("compare", drive, *files, "--rates", "--json", "-q"))
    points, rates = found[:10], found[10:]
    assert [point["curve"] for point in points] == ["fine"] * 5 + ["coarse"] * 5
    assert [point["bytes"] for point in points] == [file.stat().st_size for file in files]
    (scored,) = lines(seesame("score", drive, files[3], "--json", "-q", "--per-class"))
    for name in ("mean_iou", "mean_boundary_iou", "pose", "rate", "score"):
        assert points[3][name] == pytest.approx(scored[name], rel=1e-5)
    assert [row["quality"] for row in rates] == ["mean IoU", "pose"]
    sides = [
        [(p["bytes"], 100 * p["mean_iou"]) for p in points if p["curve"] == curve]
        for curve in ("fine", "coarse")
    ]
    wanted = bd_rate(*sides)
    assert rates[0]["bd_rate"] == pytest.approx(wanted.percent)
    assert (rates[0]["low"], rates[0]["high"]) == (wanted.low, wanted.high)
    assert rates[0]["bd_rate"] == pytest.approx(50, abs=0.1)  # an odd byte is not halved
    table = seesame("compare", drive, *files, "--rates", "--anchor", "coarse", "-q")
    assert table.code == 0
    assert "BD-rate: bytes beside the anchor's at equal quality" in table.out
    assert "fine-44.mp4" in table.out


def test_without_rates_any_files_do(seesame: Run, drive: Path, files: list[Path]) -> None:
    (point,) = lines(seesame("compare", drive, files[0], "--json", "-q"))
    assert point["curve"] == "fine"
    assert seesame("compare", drive, files[0], "-q").code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rates", "--anchor", "av1"], "no curve is called 'av1'; the files make: fine, coarse"),
        (["--anchor", "fine"], "--anchor is for --rates"),
        (["--transfer", "nothing"], "unknown stack"),
    ],
)
def test_mistakes_are_one_line(
    seesame: Run, drive: Path, files: list[Path], words: list[str], told: str
) -> None:
    ran = seesame("compare", drive, *files, *words, "-q")
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert ran.err.count("\n") == 1


def test_too_few_points_are_refused(seesame: Run, drive: Path, files: list[Path]) -> None:
    ran = seesame("compare", drive, files[0], files[5], "--rates", "-q")
    assert ran.code == 2
    assert "has 1 points; a BD-rate needs 4" in ran.err
    ran = seesame("compare", drive, *files[:5], "--rates", "-q")
    assert ran.code == 2
    assert "all files make one curve, fine" in ran.err
    ran = seesame("compare", drive, files[0].with_name("none-1.mp4"), files[5], "--rates", "-q")
    assert (ran.code, ran.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("command", ["compare", "report"])
def test_a_file_of_other_frames_is_named_before_any_network_is_loaded(
    seesame: Run, drive: Path, files: list[Path], tmp_path: Path, command: str
) -> None:
    short = tmp_path / "short-1.mp4"
    clip = Span(open_clip(drive), 0, 8)
    write_clip(short, clip.batches(8), fps=clip.fps, width=160, height=120, crf=30)
    more = ["-o", tmp_path / "page.html"] if command == "report" else []
    ran = seesame(command, drive, files[0], short, "--transfer", "nothing", *more, "-q")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"{short}: the source has 12 frames, the decoded clip 8" in ran.err


@pytest.mark.parametrize("command", ["score", "compare", "report"])
def test_a_file_that_a_stack_cannot_judge_is_named(
    seesame: Run, drive: Path, files: list[Path], tmp_path: Path, command: str
) -> None:
    small, clip = tmp_path / "small-1.mp4", open_clip(drive)
    half = (frames[:, ::2, ::2] for frames in clip.batches(8))
    write_clip(small, half, fps=clip.fps, width=80, height=60, crf=30)
    judged = [small] if command == "score" else [files[0], small]
    more = ["-o", tmp_path / "page.html"] if command == "report" else []
    ran = seesame(command, drive, *judged, "--stack", "tiny_stack:TinyStack", *more, "-q")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"{small}: stack tiny gives classes at the size of the frames" in ran.err


def test_names_of_judges_replace_no_figures(
    seesame: Run, drive: Path, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stack_called_pose.py").write_text(
        "from tiny_stack import TinyStack\n\n\nclass Pose(TinyStack):\n    name = 'pose'\n"
    )
    monkeypatch.chdir(tmp_path)
    (alone,) = lines(seesame("compare", drive, files[4], "--json", "-q"))
    pose, tiny = "stack_called_pose:Pose", "tiny_stack:TinyStack"
    words = ["compare", drive, files[4], "--transfer", pose, "--transfer", tiny, "--json", "-q"]
    (point,) = lines(seesame(*words))
    others = point.pop("transfer")
    assert point == alone
    assert [one["stack"] for one in others] == ["pose", "tiny"]
    assert others[0]["fingerprint"] == others[1]["fingerprint"] == "ab" * 32
    (scored,) = lines(seesame("score", drive, files[4], "--json", "-q", "--transfer", pose))
    (other,) = scored["transfer"]
    assert others[0]["pose"] == pytest.approx(other["pose"])
    assert others[0]["pose"] != pytest.approx(point["pose"])


def test_two_judges_of_one_name_are_refused(seesame: Run, drive: Path, files: list[Path]) -> None:
    twice = ["--transfer", "tiny_stack:TinyStack"] * 2
    ran = seesame("compare", drive, files[0], *twice, "-q")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "2 of --transfer are called tiny" in ran.err


def test_classes_are_told_for_people_and_programs(
    seesame: Run, drive: Path, files: list[Path]
) -> None:
    (scored,) = lines(seesame("score", drive, files[4], "--json", "-q", "--per-class"))
    assert [one["name"] for one in scored["classes"]][:2] == ["road", "lane markings"]
    lost = {one["name"]: one["lost"] for one in scored["classes"] if one["lost"] is not None}
    assert lost == pytest.approx(scored["frames"]["lost"])
    ious = [one["iou"] for one in scored["classes"] if one["present"]]
    assert scored["mean_iou"] == pytest.approx(sum(ious) / len(ious))
    assert 0 < scored["mean_boundary_iou"] < scored["mean_iou"] < 1
    text = seesame("score", drive, files[4], "-q", "--per-class").out
    assert "boundary IoU" in text
    assert f"{scored['mean_iou']:.5f}" in text
    plain = lines(seesame("score", drive, files[4], "--json", "-q"))[0]
    assert "classes" not in plain
    assert plain["score"] == scored["score"]


def test_a_judge_without_weights(
    seesame: Run, drive: Path, files: list[Path], tmp_path: Path
) -> None:
    pytest.importorskip("cv2", reason="needs OpenCV (the judges extra)")
    (scored,) = lines(
        seesame(
            "score", drive, files[4], "--json", "-q", "--transfer", "flow", "--transfer", "lite"
        )
    )
    flow, lite = scored["transfer"]
    assert flow["stack"] == "flow"
    assert flow["flow_px"] > 0
    assert lite["seg"] == pytest.approx(scored["seg"], rel=1e-5)
    assert "judged by flow as well: flow differs by" in (
        seesame("score", drive, files[4], "-q", "--transfer", "flow").out
    )
    point = lines(seesame("compare", drive, files[4], "--json", "-q", "--transfer", "flow"))[0]
    (seen,) = point["transfer"]
    assert seen == {**flow, "flow_px": pytest.approx(flow["flow_px"])}
    page = tmp_path / "page.html"
    ran = seesame("report", drive, files[4], "-o", page, "--transfer", "flow", "--json", "-q")
    (told,) = json.loads(ran.out)["transfer"]
    assert told["flow_px"] == pytest.approx(flow["flow_px"])
    assert "flow: flow_db" in page.read_text("utf-8")
    ran = seesame("score", drive, files[4], "--stack", "flow", "-q")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
