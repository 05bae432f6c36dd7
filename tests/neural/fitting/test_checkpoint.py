from pathlib import Path
from typing import Any

import pytest
import torch
from fake_stack import FakeStack, tiny_clip
from safetensors.torch import save_file

from seesame.codecs.hnerv.config import HnervSettings, Schedule
from seesame.codecs.hnerv.model import Architecture
from seesame.codecs.hnerv.representation import Representation
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.evaluator import reference_outputs
from seesame.neural.fitting.checkpoint import NAME, Checkpoint
from seesame.neural.fitting.loop import Training
from seesame.neural.fitting.losses import Material
from seesame.neural.fitting.tapped import TappedClip

IDENTITY = {"clip": "a", "seed": 1}


def training(seed: int = 0) -> Training:
    clip, stack = TappedClip(tiny_clip(8), (32, 64)), FakeStack()
    outputs = reference_outputs(clip, stack)
    torch.manual_seed(seed)
    rep = Representation(Architecture((32, 64), 3, (5, 4, 4, 4, 4)), 4)
    material = Material(clip.pairs(), outputs, clip.source_bytes)
    context = EncodeContext(stack=stack, seed=seed)
    return Training(rep, material, stack, HnervSettings(bytes=1000), Schedule(), context)


def steps(run: Training, first: float, count: int = 4) -> None:
    """A few steps from a share of the training on."""
    batches = run._batches()
    for i in range(count):
        if first >= 0.35 and run.rep.quantizers is None:
            run.rep.start_quantising()
            run.add_quantizers()
        run._step(next(batches), first + 0.01 * i)


def state(run: Training) -> dict[str, Any]:
    flat = {f"rep.{k}": v.clone() for k, v in run.rep.state_dict().items()}
    flat |= {k: v.clone() for k, v in run.optimiser.tensors().items()}
    flat["random"] = run.random.get_state()
    flat["pressure"] = torch.tensor(run.pressure, dtype=torch.float64)
    flat["pose"] = torch.tensor(run.pose_term.mean, dtype=torch.float64)
    return flat


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_resumed_run_is_the_same_run(tmp_path: Path, share: float) -> None:
    """Before quantisation and after it; what follows is the same, too."""
    first = training()
    steps(first, share)
    Checkpoint(tmp_path / "work", IDENTITY).save(first, share)
    second = training(seed=5)
    assert Checkpoint(tmp_path / "work", IDENTITY).load(second) == share
    assert_same(state(first), state(second))
    steps(first, 0.8)
    steps(second, 0.8)
    assert_same(state(first), state(second))
    assert any(k.startswith("adam.") for k in state(first))
    assert first.pressure != 0


def test_no_checkpoint_is_no_state(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "none", IDENTITY).load(training()) is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("other", [{"clip": "b", "seed": 1}, {"clip": "a", "seed": 2}, {}])
def test_another_run_s_checkpoint_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    run = training()
    Checkpoint(tmp_path, IDENTITY).save(run, 0.1)
    before = {k: v.clone() for k, v in run.rep.state_dict().items()}
    with pytest.raises(UserError, match="another clip"):
        Checkpoint(tmp_path, other).load(run)
    assert_same(before, run.rep.state_dict())


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    run = training()
    checkpoint = Checkpoint(tmp_path, IDENTITY)
    checkpoint.save(run, 0.1)
    data = (tmp_path / NAME).read_bytes()
    for damaged in (b"", data[:5], data[: len(data) // 2], b"\xff" * 100):
        (tmp_path / NAME).write_bytes(damaged)
        with pytest.raises(UserError, match="checkpoint"):
            checkpoint.load(run)


def test_any_other_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(2)}, tmp_path / NAME)
    with pytest.raises(UserError, match="another clip"):
        Checkpoint(tmp_path, IDENTITY).load(training())


def test_saving_replaces_and_removing_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "work"
    checkpoint, run = Checkpoint(folder, IDENTITY), training()
    checkpoint.save(run, 0.1)
    checkpoint.save(run, 0.2)
    assert [p.name for p in folder.iterdir()] == [NAME]
    assert checkpoint.load(run) == 0.2
    checkpoint.remove()
    assert not folder.exists()
    checkpoint.remove()


def test_removing_keeps_what_others_put_there(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, IDENTITY)
    checkpoint.save(training(), 0.1)
    (tmp_path / "notes.txt").write_text("mine")
    checkpoint.remove()
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
