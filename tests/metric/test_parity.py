"""seesame against the metric spelled out, on the challenge's nets with random weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Ran
from literal_metric import literal_score

from seesame.metric.evaluator import evaluate
from seesame.perception.comma import stack as comma
from seesame.perception.registry import load_stack
from seesame.scene import SceneClip, SceneConfig
from seesame.video.reading.reader import open_clip
from seesame.video.writing.writer import write_clip

pytestmark = pytest.mark.comma
SIZE = (874, 1164)
FRAMES = 11
"""Five pairs and an odd frame: with batches of four the last batch is a partial one."""
PAIRS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drive, re-encoded poorly, as ``poor.mkv`` and ``poor.raw``; and random nets' files."""
    for name in ("timm", "segmentation_models_pytorch"):
        pytest.importorskip(name, reason=f"needs {name} (the comma extra)")
    from random_comma import random_nets, save_nets

    folder = tmp_path_factory.mktemp("parity")
    scene = SceneClip(SceneConfig(seed=4), FRAMES)
    form = {"fps": scene.fps, "width": scene.width, "height": scene.height}
    assert (scene.height, scene.width) == SIZE
    write_clip(folder / "source.mkv", scene.batches(4), crf=12, **form)
    write_clip(folder / "poor.mkv", scene.batches(4), crf=36, **form)
    write_clip(folder / "poor.raw", open_clip(folder / "poor.mkv").batches(4), **form)
    segment, pose = random_nets()
    for value in pose.hydra.final_layer["pose"].parameters():
        value *= 20  # the values of a random net lie close together
    save_nets(segment, pose, folder)
    return folder


@pytest.fixture(scope="module")
def stack(folder: Path) -> comma.CommaStack:
    loaded = load_stack(f"comma:{folder}")
    assert isinstance(loaded, comma.CommaStack)
    return loaded


@pytest.mark.parametrize("name", ["poor.mkv", "poor.raw"])
def test_every_pair_agrees(folder: Path, stack: comma.CommaStack, name: str) -> None:
    source, decoded = folder / "source.mkv", folder / name
    nets = (stack._segment, stack._pose)
    wanted = literal_score(source, decoded, nets, 1234, SIZE, PAIRS)
    found = evaluate(open_clip(source), open_clip(decoded), stack, 1234, batch_pairs=PAIRS)
    assert len(wanted.seg) == FRAMES // 2
    assert min(wanted.seg) > 0.01
    assert min(wanted.pose) > 0.01
    assert found.seg.tolist() == pytest.approx(wanted.seg, abs=1e-7, rel=0)
    assert found.pose.tolist() == pytest.approx(wanted.pose, abs=1e-7, rel=0)
    assert found.score.total == pytest.approx(wanted.score, abs=1e-9, rel=0)


def test_the_command_agrees(
    folder: Path, stack: comma.CommaStack, seesame: Callable[..., Ran]
) -> None:
    source, decoded = folder / "source.mkv", folder / "poor.mkv"
    ran = seesame(
        "score", source, decoded, "--stack", f"comma:{folder}", "--no-cache",
        "--device", "cpu", "--per-pair", "--json", "--quiet",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    total, *pairs = (json.loads(line) for line in ran.out.splitlines())
    nets = (stack._segment, stack._pose)
    wanted = literal_score(source, decoded, nets, decoded.stat().st_size, SIZE)
    assert total["score"] == pytest.approx(wanted.score, abs=1e-9, rel=0)
    assert [pair["seg"] for pair in pairs] == pytest.approx(wanted.seg, abs=1e-7, rel=0)
    assert [pair["pose"] for pair in pairs] == pytest.approx(wanted.pose, abs=1e-7, rel=0)
