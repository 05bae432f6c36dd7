import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_stack import FakeStack, tiny_clip
from safetensors.torch import save_file
from small_training import small_material, small_network, small_training

from seesame.codecs.hnerv.config import HnervSettings
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.evaluator import reference_outputs
from seesame.neural.fitting.checkpoint import NAME, Checkpoint
from seesame.neural.fitting.loop import Training
from seesame.neural.fitting.loss.robustness import GuardTerm
from seesame.neural.fitting.schedule import Schedule

IDENTITY = {"clip": "a", "seed": 1}


def training(seed: int = 0) -> Training:
    """A run with a guard, so that every stage has something to remember."""
    stack = FakeStack()
    outputs = reference_outputs(tiny_clip(8), stack)
    return Training(
        small_network(4, seed),
        small_material(8, stack),
        stack,
        HnervSettings(bytes=1000),
        Schedule(),
        EncodeContext(stack=stack, seed=seed),
        terms=[GuardTerm(stack, outputs, (64, 128), 0.5)],
    )


def steps(run: Training, first: float, count: int = 4) -> None:
    """A few steps from a share of the training on."""
    batches = run.batches()
    for i in range(count):
        if first >= 0.35 and run.network.quantisers is None:
            run.start_quantising()
        run.step(next(batches), first + 0.01 * i)


def flat(state: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found = {}
    for name, value in state.items():
        place = f"{path}/{name}"
        if isinstance(value, Mapping):
            found |= flat(value, place)
        else:
            found[place] = value.clone() if isinstance(value, torch.Tensor) else value
    return found


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, right[name]), name
        else:
            assert value == right[name], name


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_resumed_run_is_the_same_run(tmp_path: Path, share: float) -> None:
    """Before quantisation and after it; what follows is the same, too."""
    first = training()
    steps(first, share)
    first.done = share
    Checkpoint(tmp_path / "work", IDENTITY).save(first)
    second = training(seed=5)
    Checkpoint(tmp_path / "work", IDENTITY).load(second)
    assert second.done == share
    assert_same(flat(first.state_dict()), flat(second.state_dict()))
    steps(first, 0.8)
    steps(second, 0.8)
    found = flat(first.state_dict())
    assert_same(found, flat(second.state_dict()))
    assert any(name.startswith("/optimiser/normuon/") for name in found)
    assert found["/rate/pressure"] != 0
    assert float(found["/loss/guard fake/mean"]) > 0


def test_no_checkpoint_does_not_exist(tmp_path: Path) -> None:
    assert not Checkpoint(tmp_path / "none", IDENTITY).exists
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("other", "what"),
    [({"clip": "b", "seed": 1}, "clip"), ({"clip": "a", "seed": 2}, "seed"), ({}, "clip, seed")],
)
def test_another_run_s_checkpoint_is_refused(
    tmp_path: Path, other: dict[str, Any], what: str
) -> None:
    run = training()
    Checkpoint(tmp_path, IDENTITY).save(run)
    before = flat(run.state_dict())
    with pytest.raises(UserError, match=f"an encode with another {what};"):
        Checkpoint(tmp_path, other).load(run)
    assert_same(before, flat(run.state_dict()))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    run = training()
    checkpoint = Checkpoint(tmp_path, IDENTITY)
    checkpoint.save(run)
    data = (tmp_path / NAME).read_bytes()
    for damaged in (b"", data[:5], data[: len(data) // 2], b"\xff" * 100):
        (tmp_path / NAME).write_bytes(damaged)
        with pytest.raises(UserError, match="not a readable checkpoint"):
            checkpoint.load(run)


def test_any_other_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(2)}, tmp_path / NAME)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        Checkpoint(tmp_path, IDENTITY).load(training())


def test_saving_replaces_and_removing_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "work"
    checkpoint, run = Checkpoint(folder, IDENTITY), small_training()
    for done in (0.1, 0.2):
        run.done = done
        checkpoint.save(run)
    assert [p.name for p in folder.iterdir()] == [NAME]
    run.done = 0.0
    checkpoint.load(run)
    assert run.done == 0.2
    checkpoint.remove()
    assert not folder.exists()
    checkpoint.remove()


def test_removing_keeps_what_others_put_there(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, IDENTITY)
    checkpoint.save(small_training())
    (tmp_path / "notes.txt").write_text("mine")
    checkpoint.remove()
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_removing_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    checkpoint = Checkpoint(folder, IDENTITY)
    checkpoint.save(small_training())
    script = (
        "import os, pathlib, sys; from seesame.files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1]), overwrite=True) as half: "
        "half.write_bytes(b'half'); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(checkpoint.path)])
    assert done.returncode == 9
    assert len(list(folder.iterdir())) == 3  # with the half and its lock
    checkpoint.remove()
    assert not folder.exists()
