"""Honest submissions: the score is that of ``seesame score``, over one video or several."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import Ran
from trial import QUICK, ROOMY, Judge, Submit, need_isolation

from seesame.contest.evaluate import Bench, combine, evaluate_submission
from seesame.contest.isolation.sandbox import IsolationError
from seesame.contest.videos import open_videos, read_names
from seesame.errors import UserError
from seesame.scene import SceneClip, SceneConfig
from seesame.video.writing.writer import write_clip

GREY = """python - "$2" "$3" <<'END'
import sys
for name in open(sys.argv[2]).read().split():
    with open(sys.argv[1] + "/" + name.rpartition(".")[0] + ".raw", "wb") as out:
        out.write(bytes([110, 120, 130]) * (12 * 160 * 120))
END"""
"""A script that makes grey frames, with Python from inside the isolation."""


def grey_clip(folder: Path) -> Path:
    path = folder / "grey.raw"
    path.write_bytes(bytes([110, 120, 130]) * (12 * 160 * 120))
    return path


@pytest.fixture
def two_videos(videos: Path) -> Path:
    """The folder with a second, different drive in it."""
    scene = SceneClip(SceneConfig(width=160, height=120, seed=5), 12)
    (videos / "more").mkdir()
    path = videos / "more" / "night.mkv"
    write_clip(path, scene.batches(4), fps=scene.fps, width=160, height=120, crf=20)
    (videos.parent / "names.txt").write_text("drive.mp4\n\nmore/night.mkv\n")
    return videos


def test_the_score_is_that_of_seesame_score(
    submit: Submit, judge: Judge, videos: Path, tmp_path: Path, seesame: Callable[..., Ran]
) -> None:
    folder = submit(GREY)
    result = judge(folder)
    assert result.verdict == "scored"
    assert result.total is not None
    ran = seesame(
        "score", videos / "drive.mp4", grey_clip(tmp_path), "--json", "--quiet",
        "--compressed", folder / "archive.zip",
    )  # fmt: skip
    wanted = json.loads(ran.out)
    assert result.total.score.total == pytest.approx(wanted["score"], abs=1e-9)
    assert result.total.score.seg > 0.01
    assert (result.total.score.seg, result.total.score.pose) == (wanted["seg"], wanted["pose"])
    assert result.total.compressed_bytes == (folder / "archive.zip").stat().st_size


def test_every_file_beside_the_videos_is_in_the_rate(
    submit: Submit, videos: Path, tmp_path: Path
) -> None:
    (videos / "notes.txt").write_bytes(b"x" * 1000)
    _, source_bytes = open_videos(videos, ["drive.mp4"])
    assert source_bytes == (videos / "drive.mp4").stat().st_size + 1000


@pytest.mark.parametrize("jobs", [1, 2])
def test_several_videos(submit: Submit, two_videos: Path, tmp_path: Path, jobs: int) -> None:
    need_isolation()
    names = read_names(tmp_path / "names.txt")
    found, source_bytes = open_videos(two_videos, names)
    bench = Bench(found, source_bytes, two_videos, "lite", cached=False, jobs=jobs)
    folder = submit(GREY.replace('open(sys.argv[1] + "/"', 'open_(sys.argv[1] + "/"').replace(
        "import sys\n",
        "import sys, os\n"
        "def open_(path, mode):\n"
        "    os.makedirs(os.path.dirname(path), exist_ok=True)\n"
        "    return open(path, mode)\n",
    ))  # fmt: skip
    result = evaluate_submission(folder, bench, QUICK, work=tmp_path)
    assert result.verdict == "scored"
    assert result.total is not None
    assert [name for name, _ in result.videos] == ["drive.mp4", "more/night.mkv"]
    one, two = (evaluation for _, evaluation in result.videos)
    assert one.score.seg != two.score.seg
    assert result.total.pairs == 12
    assert result.total.score.seg == pytest.approx((one.score.seg + two.score.seg) / 2, abs=1e-12)
    assert result.total.score.pose == pytest.approx(np.concatenate([one.pose, two.pose]).mean())
    assert result.total.score.rate == one.score.rate == two.score.rate


def test_combining_one_changes_nothing(submit: Submit, judge: Judge) -> None:
    total = judge(submit(GREY)).total
    assert total is not None
    assert combine([total]).score == total.score


def test_scripts_find_their_way_as_in_the_challenge(submit: Submit, judge: Judge) -> None:
    folder = submit(
        'HERE="$(cd "$(dirname "$0")" && pwd)"; ROOT="$(cd "$HERE/../.." && pwd)"\n'
        'cd "$ROOT" && python -m "submissions.$(basename "$HERE").make" "$1" "$2" "$3"'
    )
    (folder / "make.py").write_text(
        "import sys\n"
        "assert open(sys.argv[1] + '/0', 'rb').read() == b'x'\n"
        "assert open(sys.argv[3]).read() == 'drive.mp4\\n'\n"
        "open(sys.argv[2] + '/drive.raw', 'wb').write(bytes(12 * 160 * 120 * 3))\n"
    )
    assert judge(folder).verdict == "scored"


INFLATE_LIKE_THE_BASELINE = """
HERE="$(cd "$(dirname "$0")" && pwd)"
while read -r name; do
    cd "$HERE/../.." && START "$1/${name%.*}.mkv" "$2/${name%.*}.raw"
done < "$3"
"""
"""The form of most public submissions, the challenge's ``baseline_fast`` among them."""

BASELINE = """
import sys
sys.path.append(str(__import__("pathlib").Path(__file__).parents[2]))
import av
import torch
import torch.nn.functional as F
from frame_utils import camera_size, yuv420_to_rgb

width, height = camera_size
with av.open(sys.argv[1]) as video, open(sys.argv[2], "wb") as out:
    for frame in video.decode(video=0):
        rgb = yuv420_to_rgb(frame).permute(2, 0, 1)[None].float()
        rgb = F.interpolate(rgb, size=(height, width), mode="bicubic", align_corners=False)
        rgb = rgb.clamp(0, 255).round().to(torch.uint8)
        out.write(rgb[0].permute(1, 2, 0).contiguous().numpy().tobytes())
"""


@pytest.fixture(scope="module")
def camera_sized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A contest of one short video of the challenge's size, and the same at half the size."""
    folder = tmp_path_factory.mktemp("camera sized")
    (folder / "videos").mkdir()
    for path, width, height in (("videos/0.mkv", 1164, 874), ("half.mkv", 582, 438)):
        scene = SceneClip(SceneConfig(width=width, height=height, seed=5), 4)
        write_clip(
            folder / path, scene.batches(4), fps=scene.fps, width=width, height=height, crf=20
        )
    return folder


@pytest.mark.parametrize("isolate", [True, False], ids=["isolated", "limits-only"])
@pytest.mark.parametrize("by_name", [True, False], ids=["module", "file"])
def test_a_submission_like_the_challenges_baseline(
    submit: Submit, camera_sized: Path, tmp_path: Path, isolate: bool, by_name: bool
) -> None:
    if isolate:
        need_isolation()
    found, source_bytes = open_videos(camera_sized / "videos", ["0.mkv"])
    bench = Bench(found, source_bytes, camera_sized / "videos", "lite", cached=False)
    start = (
        'python -m "submissions.$(basename "$HERE").lib.inflate"'
        if by_name
        else 'python "$HERE/inflate.py"'
    )
    folder = submit(
        INFLATE_LIKE_THE_BASELINE.replace("START", start),
        {"0.mkv": (camera_sized / "half.mkv").read_bytes()},
    )
    (folder / "inflate.py").write_text(BASELINE)
    (folder / "shared").mkdir()
    (folder / "shared" / "inflate.py").symlink_to("../inflate.py")
    (folder / "lib").symlink_to("shared")
    result = evaluate_submission(folder, bench, ROOMY, isolate=isolate, work=tmp_path)
    assert result.verdict == "scored"
    assert result.total is not None
    assert 0 < result.total.score.seg < 0.05


def test_payload_outside_the_archive_is_counted(submit: Submit, judge: Judge) -> None:
    folder = submit(GREY)
    (folder / "weights.bin").write_bytes(bytes(range(256)))
    (folder / "tables.py").write_text("x = 1  # " + "a" * 70_000)
    (folder / "readme.md").write_text("Só text.\n")
    (folder / "report.json").write_text("x" * 100_000)
    result = judge(folder)
    assert result.verdict == "scored"
    assert result.submission is not None
    found = {file.path: (file.bytes, file.why) for file in result.submission.uncounted}
    assert found == {
        "weights.bin": (256, "not text"),
        "tables.py": (70_009, "over 65,536 bytes"),
    }
    assert result.submission.uncounted_bytes == 70_265


def test_what_a_former_run_left_is_not_shown_to_the_script(submit: Submit, judge: Judge) -> None:
    folder = submit('ls -R "$(dirname "$0")"; exit 1')
    (folder / "inflated").mkdir()
    (folder / "inflated" / "drive.raw").write_bytes(b"old")
    (folder / "report.txt").write_text("old")
    result = judge(folder)
    assert result.outcome is not None
    assert "inflate.sh" in result.outcome.log
    assert "drive.raw" not in result.outcome.log
    assert "report.txt" not in result.outcome.log


def test_a_judge_without_disk_is_told(submit: Submit, bench: Bench, tmp_path: Path) -> None:
    video = replace(bench.videos[0], num_frames=10**12)
    with pytest.raises(UserError, match="another place"):
        evaluate_submission(submit("exit 0"), replace(bench, videos=(video,)), work=tmp_path)


def test_without_isolation_it_is_refused_unless_asked_for(
    submit: Submit,
    bench: Bench,
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seesame: Callable[..., Ran],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no bwrap in there
    with pytest.raises(IsolationError, match="bwrap"):
        evaluate_submission(submit(GREY), bench, QUICK)
    assert evaluate_submission(submit(GREY, name="b"), bench, QUICK, isolate=False).total
    ran = seesame(*command(submit(GREY, name="c"), videos))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "(--no-isolation)" in ran.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no video"),
        ("../drive.mp4", "does not lie in"),
        ("/etc/passwd", "does not lie in"),
        ("a.mkv\na.mp4", "same .raw form"),
    ],
)
def test_bad_names(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "names.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_names(path)


# The command


def command(folder: Path, videos: Path, *more: object) -> tuple[object, ...]:
    names = videos.parent / "names.txt"
    plain = ("--stack", "lite", "--quiet", "--device", "cpu", "--no-cache")
    return ("contest", "evaluate", folder, "--videos", videos, "--names", names, *plain, *more)


def test_the_reports(submit: Submit, videos: Path, seesame: Callable[..., Ran]) -> None:
    need_isolation()
    folder = submit(GREY)
    (folder / "weights.bin").write_bytes(bytes(range(256)))
    ran = seesame(*command(folder, videos))
    assert ran.code == 0, ran.err
    text = (folder / "report.txt").read_text()
    assert ran.out == text
    lines = text.splitlines()
    start = lines.index("=== Evaluation results over 6 samples ===")
    config = lines[1:start]
    assert lines[0] == "=== Evaluation config ==="
    assert config == sorted(config)
    assert any(line.startswith("  decoder: PyAV ") for line in config)
    assert "  network: cut off" in config
    values = json.loads((folder / "report.json").read_text())
    archive = (folder / "archive.zip").stat().st_size
    source = (videos / "drive.mp4").stat().st_size
    assert lines[start + 1 : start + 7] == [
        f"  Average PoseNet Distortion: {values['pose']:.8f}",
        f"  Average SegNet Distortion: {values['seg']:.8f}",
        f"  Submission file size: {archive:,} bytes",
        f"  Original uncompressed size: {source:,} bytes",
        f"  Compression Rate: {archive / source:.8f}",
        f"  Final score: 100*segnet_dist + sqrt(10*posenet_dist) + 25*rate = {values['score']:.2f}",
    ]
    assert repr(values["score"]) in lines[start + 7]
    assert values["scored"] is True
    assert values["uncounted_bytes"] == 256
    assert values["score_with_uncounted"] == pytest.approx(values["score"] + 25 * 256 / source)
    assert "weights.bin: 256 (not text)" in text
    assert len(values["videos"][0]["pairs"]["seg"]) == 6


def test_a_name_with_a_line_break_adds_no_line_to_the_report(
    submit: Submit, videos: Path, seesame: Callable[..., Ran]
) -> None:
    folder = submit("exit 3", name="en\n  try")
    ran = seesame(*command(folder, videos, "--no-isolation"))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    config = (folder / "report.txt").read_text().splitlines()[1:-2]
    assert config == sorted(config)
    assert "Not scored: inflate.sh ended with exit code 3" in (folder / "report.txt").read_text()


def test_the_leaderboard_reads_the_reports(
    submit: Submit, videos: Path, tmp_path: Path, seesame: Callable[..., Ran]
) -> None:
    need_isolation()
    good, bad = submit(GREY, name="good"), submit("exit 1", name="bad")
    assert seesame(*command(good, videos)).code == 0
    assert seesame(*command(bad, videos)).code == 2
    ran = seesame("contest", "leaderboard", good, bad, "--json")
    assert ran.code == 0, ran.err
    rows = [json.loads(line) for line in ran.out.splitlines()]
    ranks = {row["name"]: row.get("rank") for row in rows if "name" in row and "rank" in row}
    assert ranks == {"good": 1, "bad": None}


def test_a_failure_is_one_line_and_a_report(
    submit: Submit, videos: Path, seesame: Callable[..., Ran]
) -> None:
    need_isolation()
    folder = submit("echo no; exit 5")
    ran = seesame(*command(folder, videos))
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert "not scored: inflate.sh ended with exit code 5: no" in ran.err
    values = json.loads((folder / "report.json").read_text())
    assert values["scored"] is False
    assert values["score"] is None
    assert values["inflate_log"] == "no\n"
    assert "Not scored: inflate.sh ended" in (folder / "report.txt").read_text()
    again = seesame(*command(folder, videos))
    assert again.code == 2
    assert "--overwrite" in again.err


def test_reports_go_elsewhere(
    submit: Submit, videos: Path, tmp_path: Path, seesame: Callable[..., Ran]
) -> None:
    folder, out = submit("exit 5"), tmp_path / "reports"
    out.mkdir()
    ran = seesame(*command(folder, videos, "--out", out, "--no-isolation"))
    assert ran.code == 2
    assert not (folder / "report.json").exists()
    values = json.loads((out / "report.json").read_text())
    assert values["network"] == "open"
    assert values["source_hidden"] is False


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--time", "soon"), "--time soon"),
        (("--stack", "nothing"), "nothing"),
        (("--videos", "/nowhere"), "/nowhere"),
        (("--names", "/nowhere"), "/nowhere"),
    ],
)
def test_mistakes_of_the_judge(
    submit: Submit, videos: Path, seesame: Callable[..., Ran], change: tuple[str, str], said: str
) -> None:
    folder = submit(GREY)
    ran = seesame(*command(folder, videos, *change))
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (folder / "report.json").exists()


def test_a_video_that_is_not_there(
    submit: Submit, videos: Path, seesame: Callable[..., Ran]
) -> None:
    (videos.parent / "names.txt").write_text("other.mp4\n")
    ran = seesame(*command(submit(GREY), videos))
    assert ran.code == 2
    assert "other.mp4" in ran.err
