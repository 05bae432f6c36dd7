"""Captured steps: on a GPU where there is one; what decides about them also without."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from fake_stack import FakeStack
from small_training import small_training
from torch import Tensor

from seesame.neural.fitting import replay
from seesame.neural.fitting.loop import Candidate, Clock, Training
from seesame.neural.fitting.replay import WARM_UP

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


class WaitingStack(FakeStack):
    """Its pose net asks the host for something on the way."""

    def pose(self, pairs: Tensor) -> Tensor:
        values = super().pose(pairs)
        return values if float(values.detach().sum()) > -1e9 else 2 * values


class OnCpu:
    """Stands for captured work: runs it from inputs that stay where they are."""

    made: list["OnCpu"]
    pool = None

    def __init__(
        self,
        work: Callable[[Mapping[str, Tensor]], Any],
        inputs: Mapping[str, Tensor],
        stream: None,
        pool: None = None,
    ) -> None:
        self.work, self.calls = work, 0
        self.inputs = {name: torch.full_like(value, 0) for name, value in inputs.items()}
        self.made.append(self)

    def __call__(self, inputs: Mapping[str, Tensor]) -> Any:
        self.calls += 1
        for name, held in self.inputs.items():
            held.copy_(inputs[name])
        return self.work(self.inputs)


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> list[OnCpu]:
    OnCpu.made = []
    monkeypatch.setattr(replay, "Captured", OnCpu)
    return OnCpu.made


def training(
    stack: FakeStack, num_frames: int = 12, device: str = "cpu", told: list[str] | None = None
) -> Training:
    said = [] if told is None else told
    run = small_training(num_frames, stack, device, progress=lambda _, text: said.append(text))
    run.low_precision = False
    return run


def trained(run: Training, steps: int = 30) -> list[float]:
    """The losses of a run that starts to quantise on the way."""
    batches, losses = run.batches(), []
    for i in range(steps):
        if i == steps // 2:
            run.start_quantising()
        losses.append(run.step(next(batches), 0.2 + 0.7 * i / steps).loss)
    return losses


def assert_same(left: Training, right: Training) -> None:
    for (name, wanted), found in zip(
        left.network.named_parameters(), right.network.parameters(), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-3, msg=name)


@gpu
@pytest.mark.parametrize("num_frames", [12, 13])
def test_captured_steps_are_the_steps_themselves(num_frames: int) -> None:
    plain, captured = (training(FakeStack(), num_frames, "cuda") for _ in range(2))
    plain.replay.capturing = False
    wanted, found = trained(plain), trained(captured)
    assert not captured.replay.refused
    assert captured.replay._captured
    assert found == pytest.approx(wanted, rel=1e-3)
    assert_same(plain, captured)


@gpu
def test_a_net_that_waits_for_the_gpu_is_trained_step_by_step() -> None:
    plain, run = (training(WaitingStack(), device="cuda") for _ in range(2))
    plain.replay.capturing = False
    wanted, found = trained(plain), trained(run)
    assert run.replay.refused
    assert not run.replay._captured
    assert found == pytest.approx(wanted, rel=1e-3)


def test_nothing_is_captured_without_a_gpu(on_cpu: list[OnCpu]) -> None:
    run = training(FakeStack())
    trained(run)
    assert not run.replay.capturing
    assert not on_cpu


@pytest.mark.parametrize("num_frames", [12, 13])
def test_every_number_of_a_replayed_step_is_read_anew(on_cpu: list[OnCpu], num_frames: int) -> None:
    plain, captured = training(FakeStack(), num_frames), training(FakeStack(), num_frames)
    captured.replay.capturing = True
    assert trained(captured, 60) == trained(plain, 60)
    assert_same(plain, captured)
    assert sum(one.calls for one in on_cpu) > 20
    first, second = on_cpu[::2], on_cpu[1::2]
    assert [one.calls for one in first] == [one.calls for one in second]


def test_a_kind_of_step_is_captured_after_a_warm_up_and_forgotten(on_cpu: list[OnCpu]) -> None:
    run = training(FakeStack())
    run.replay.capturing = True
    batches = run.batches()
    for _ in range(WARM_UP):
        run.step(next(batches), 0.2)
    assert not on_cpu
    run.step(next(batches), 0.2)
    assert len(on_cpu) == 2
    run.step(next(batches), 0.6)  # other terms count
    assert len(on_cpu) == 2
    run.start_quantising()
    assert not run.replay._captured
    for _ in range(WARM_UP + 1):
        run.step(next(batches), 0.2)
    assert len(on_cpu) == 4


def test_what_cannot_be_captured_is_told_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("operation not\n permitted")

    monkeypatch.setattr(replay, "Captured", refuse)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    told: list[str] = []
    plain, run = training(FakeStack()), training(FakeStack(), told=told)
    run.replay.capturing = True
    assert trained(run) == trained(plain)
    run.run(Clock(1.0, 8), lambda: Candidate(1.0, b"x"), 1, lambda: False, None)
    assert told[-1].endswith(", step by step (operation not permitted)")
