"""The public API: the example as it stands, a quick import, and errors that a caller catches."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_stack import FakeStack

import seesame

ROOT = Path(__file__).resolve().parents[1]
X264 = {"crf": 36, "preset": "ultrafast"}


def test_the_example_runs_as_it_stands(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the effort is less: a few steps, of a preset that is else the same."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert 'codec="hnerv", preset="fast"' in code
    quick = code.replace('preset="fast"', 'preset="fast", steps=3').replace(
        "video[10:20]", "video[5:9]"
    )
    (tmp_path / "drive.mp4").write_bytes(drive.read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(quick, "docs/api.md", "exec"), {})
    first, second, third = capsys.readouterr().out.splitlines()
    size = (tmp_path / "drive.ssm").stat().st_size
    assert first.split()[1] == str(size)
    assert second == "12 torch.Size([3, 120, 160]) torch.Size([4, 3, 120, 160])"
    stack = seesame.load_stack("lite")
    again = seesame.score("drive.mp4", "drive.mkv", stack, nbytes=size)
    assert float(third) == again.seg
    assert float(first.split()[0]) == pytest.approx(again.total, abs=1e-6)


def run(code: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return ran.stdout.strip()


def test_importing_is_quick_and_imports_next_to_nothing() -> None:
    timed = "import time; a = time.perf_counter(); import seesame; print(time.perf_counter() - a)"
    assert min(float(run(timed)) for _ in range(3)) < 0.3
    loaded = run(
        "import sys; before = set(sys.modules); import seesame;"
        "print(*sorted(n.split('.')[0] for n in set(sys.modules) - before))"
    )
    assert not {"torch", "numpy", "av", "typer", "rich"} & set(loaded.split())


def test_the_version_needs_no_installation(tmp_path: Path) -> None:
    """A packed submission carries the package without the metadata that pip writes."""
    link = tmp_path / "seesame"
    link.symlink_to(Path(seesame.__file__).parent)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r});"
    code += "import seesame; print(seesame.__version__)"
    ran = subprocess.run(
        [sys.executable, "-S", "-I", "-c", code], capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == seesame.__version__, ran.stderr


def test_every_name_is_there_and_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in seesame.__all__:
        assert getattr(seesame, name) is not None
        assert name in dir(seesame)
        assert name in text
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        seesame.nothing_of_the_kind  # noqa: B018


class Lines:
    """Keeps the progress that it is told."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def __call__(self, share: float, text: str) -> None:
        self.shares.append(share)


@pytest.fixture(scope="module")
def made(drive: Path) -> seesame.Compressed:
    clip = seesame.open_clip(drive)
    return seesame.compress(clip, FakeStack(), codec="x264", device="cpu", **X264)


def test_a_result_is_written_when_it_is_saved(made: seesame.Compressed, tmp_path: Path) -> None:
    path = made.save(tmp_path / "a.ssm")
    assert path.stat().st_size == made.nbytes
    assert (made.codec, made.settings) == ("x264", X264)
    assert made.seconds > 0
    before = path.read_bytes()
    with pytest.raises(seesame.OutputExistsError):
        made.save(path)
    made.save(str(path), overwrite=True)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.ssm"]


def test_the_score_is_that_of_the_saved_file(
    made: seesame.Compressed, drive: Path, tmp_path: Path
) -> None:
    path = made.save(tmp_path / "a.ssm")
    video = seesame.open(path)
    for reference in (drive, str(drive), seesame.open_clip(drive), seesame.open(drive)):
        for file in (path, video, seesame.open_clip(path)):
            assert seesame.score(reference, file, FakeStack(), device="cpu") == made.score
    assert isinstance(made.score, seesame.Score)
    assert made.score.rate == made.nbytes / drive.stat().st_size


def test_paths_decoded_videos_and_ssm_files_can_be_compressed(
    made: seesame.Compressed, drive: Path, tmp_path: Path
) -> None:
    path = made.save(tmp_path / "a.ssm")
    lines = Lines()
    sizes = {
        seesame.compress(clip, codec="x264", progress=lines, **X264).nbytes
        for clip in (drive, str(drive), seesame.open(drive))
    }
    assert sizes == {made.nbytes}
    assert max(lines.shares) == 1
    again = seesame.compress(seesame.open(path), FakeStack(), codec="x264", device="cpu", **X264)
    assert again.score.rate == again.nbytes / made.nbytes


def test_limits_are_checked_on_request(drive: Path) -> None:
    tiny = {"codec": "hnerv", "preset": "draft", "steps": 2, "device": "cpu"}
    strict = seesame.compress(drive, FakeStack(), max_pose=0, max_bytes=10**6, **tiny)
    assert strict.missed == {"pose": strict.score.pose}
    with pytest.raises(seesame.LimitsNotMetError, match="pose is"):
        strict.check_limits()


MISTAKES: dict[str, tuple[Callable[[Path], Any], type[Exception], str]] = {
    "unknown codec": (lambda d: seesame.compress(d, codec="mpeg1"), seesame.UserError, "mpeg1"),
    "no stack": (
        lambda d: seesame.compress(d, codec="hnerv", preset="draft"),
        seesame.MissingStackError,
        "name a stack",
    ),
    "regions without a stack": (
        lambda d: seesame.compress(d, codec="x264", roi_qp=3),
        seesame.MissingStackError,
        "name a stack",
    ),
    "unknown setting": (
        lambda d: seesame.compress(d, codec="x264", speed=9),
        seesame.UserError,
        "no setting 'speed'",
    ),
    "missing clip": (lambda d: seesame.open_clip("nowhere.mp4"), seesame.UserError, "nowhere.mp4"),
    "missing file": (lambda d: seesame.open("nowhere.ssm"), seesame.UserError, "nowhere.ssm"),
    "no score": (
        lambda d: seesame.compress(d, codec="x264", **X264).score,
        ValueError,
        "not judged",
    ),
    "no such device": (
        lambda d: seesame.score(d, d, FakeStack(), device="tpu"),
        seesame.UserError,
        "no device tpu",
    ),
}


@pytest.mark.parametrize(("call", "kind", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes(
    drive: Path, call: Callable[[Path], Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as raised:
        call(drive)
    assert "--" not in str(raised.value)


def test_one_frame_can_be_compressed_but_not_scored(drive: Path, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "one").mkdir()
    first = next(seesame.open(drive).batches(1))[0]
    Image.fromarray(np.ascontiguousarray(first)).save(tmp_path / "one" / "0.png")
    clip = seesame.open_clip(tmp_path / "one")
    assert seesame.compress(clip, codec="x264", **X264).nbytes > 0
    with pytest.raises(seesame.UserError, match="forms no pair"):
        seesame.compress(clip, FakeStack(), codec="x264", **X264)
