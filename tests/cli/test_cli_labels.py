"""``seesame labels`` from end to end."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command import Ran
from PIL import Image
from small_semantic import SmallStack, put, small_clip, small_renderer

from seesame.codecs.registry import get_codec
from seesame.context import EncodeContext

Run = Callable[..., Ran]
GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def ssm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of eight frames, whose renderer is installed."""
    folder = tmp_path_factory.mktemp("semantic")
    put(small_renderer(), folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEESAME_HOME", str(folder / "home"))
        context = EncodeContext(stack=SmallStack())
        made = get_codec("semantic").encode(small_clip(8), {"simplify": 0}, context)
        made.write(folder / "drive.ssm")
        yield folder / "drive.ssm"


def one_line(ran: Ran) -> str:
    assert ran.code == 2, ran
    assert not ran.out
    (line,) = ran.err.splitlines()
    return line


def test_masks_are_written_and_described(seesame: Run, ssm: Path, tmp_path: Path) -> None:
    ran = seesame("labels", ssm, "-o", tmp_path / "masks")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"{tmp_path / 'masks'}  4 masks of 64x48, every second frame",
        "classes: 0 dark, 1 grey, 2 bright",
        "none of their pixels differ from what the stack saw in the source",
    ]
    ran = seesame("labels", ssm, "-o", tmp_path / "masks.npz", "--json")
    assert ran.code == 0
    assert json.loads(ran.out) == {
        "file": str(ssm),
        "out": str(tmp_path / "masks.npz"),
        "masks": 4,
        "frames": [1, 3, 5, 7],
        "width": 64,
        "height": 48,
        "classes": ["dark", "grey", "bright"],
        "changed": 0.0,
    }
    with np.load(tmp_path / "masks.npz") as held:
        for frame, mask in zip(held["frames"], held["masks"], strict=True):
            with Image.open(tmp_path / "masks" / f"{frame:06d}.png") as picture:
                np.testing.assert_array_equal(np.array(picture), mask)


@pytest.mark.parametrize("name", ["masks", "masks.npz", "masks.mp4"])
def test_an_output_is_kept_unless_told_otherwise(
    seesame: Run, ssm: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    assert seesame("labels", ssm, "-o", out).code == 0
    assert "--overwrite" in one_line(seesame("labels", ssm, "-o", out))
    assert seesame("labels", ssm, "-o", out, "--overwrite").code == 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_of_other_things_is_never_replaced(
    seesame: Run, ssm: Path, tmp_path: Path
) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_bytes(b"sea")
    one_line(seesame("labels", ssm, "-o", tmp_path / "holiday", "--overwrite"))
    assert (tmp_path / "holiday" / "beach.jpg").read_bytes() == b"sea"


@pytest.mark.parametrize("name", ["hybrid/small", "av/x264", "segments/small"])
def test_a_file_of_another_codec_has_no_masks(seesame: Run, tmp_path: Path, name: str) -> None:
    line = one_line(seesame("labels", GOLDEN / f"{name}.ssm", "-o", tmp_path / "masks"))
    assert f"{name.split('/')[1]}.ssm" in line
    assert "stores no masks" in line
    assert not list(tmp_path.iterdir())


def test_mistakes_get_one_line(seesame: Run, ssm: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.ssm").write_bytes(ssm.read_bytes()[:-9])
    shutil.copy(ssm, tmp_path / "same.npz")
    for words, said in (
        ((ssm, "-o", tmp_path / "masks.gif"), "use .npz, .mkv, .mp4, or no suffix"),
        ((tmp_path / "none.ssm", "-o", tmp_path / "masks"), "none.ssm"),
        ((tmp_path / "bad.ssm", "-o", tmp_path / "masks"), "bad.ssm"),
        ((tmp_path / "same.npz", "-o", tmp_path / "same.npz", "--overwrite"), "itself read"),
        ((ssm, "-o", tmp_path / "no" / "masks"), "no"),
        ((ssm,), "--out"),
    ):
        assert said in one_line(seesame("labels", *words)), words
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.ssm", "same.npz"]


def test_a_missing_renderer_is_told(
    seesame: Run, ssm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path))
    line = one_line(seesame("labels", ssm, "-o", tmp_path / "masks"))
    assert f"{ssm}: the renderer" in line
    assert "seesame renderer install FILE" in line
    assert seesame("info", ssm).code == 0
