import numpy as np
import pytest
import torch
from fake_stack import FakeStack, tiny_clip

from seesame.codecs.hnerv.config import HnervSettings, Schedule
from seesame.codecs.hnerv.model import Architecture
from seesame.codecs.hnerv.representation import Representation
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.evaluator import reference_outputs
from seesame.neural.fitting.loop import Candidate, Clock, Training
from seesame.neural.fitting.losses import Material
from seesame.neural.fitting.tapped import TappedClip
from seesame.video.resize import resize_frames


def training(num_frames: int = 8, stack: FakeStack | None = None) -> Training:
    stack = stack or FakeStack()
    clip = TappedClip(tiny_clip(num_frames), (32, 64))
    outputs = reference_outputs(clip, stack)
    torch.manual_seed(0)
    pairs = -(-num_frames // 2)
    rep = Representation(Architecture((32, 64), 3, (5, 4, 4, 4, 4)), pairs)
    material = Material(clip.pairs(), outputs, clip.source_bytes)
    return Training(rep, material, stack, HnervSettings(), Schedule(), EncodeContext(stack=stack))


def never() -> bool:
    return False


@pytest.mark.parametrize("num_frames", [8, 9])
def test_the_material_is_the_clip_at_render_size(num_frames: int) -> None:
    source = tiny_clip(num_frames)
    tapped = TappedClip(source, (32, 64))
    passed = np.concatenate(list(tapped.batches(3)))
    np.testing.assert_array_equal(passed, source.frames)
    frames = tapped.pairs().flatten(0, 1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(frames[:num_frames], resize_frames(passed, (32, 64), "area"))
    assert len(frames) == num_frames + num_frames % 2
    np.testing.assert_array_equal(frames[-1], frames[num_frames - 1])


def test_steps_and_seconds_give_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    by_time, by_steps = Clock(50.0, None), Clock(50.0, 8, done=0.5)
    now = 110.0
    assert by_time.share() == pytest.approx(0.2)
    with by_time.paused():
        now = 140.0
    assert by_time.share() == pytest.approx(0.2)
    assert Clock(50.0, None, done=0.75).share() == pytest.approx(0.75)
    now = 1000.0
    assert by_time.share() == 1.0
    assert by_steps.share() == 0.5
    by_steps.count = 2
    assert by_steps.share() == 0.75


def test_an_epoch_shows_every_pair() -> None:
    run = training(20)
    batches, size = run._batches(), run.schedule.batch_pairs
    assert 10 % size  # the last batch of an epoch is filled up
    for _ in range(3):
        epoch = torch.cat([next(batches) for _ in range(-(-10 // size))])
        assert set(epoch.tolist()) == set(range(10))
    small = next(training(4)._batches())
    assert sorted(small.tolist()) == [0, 1]


def test_the_best_file_wins_and_ties_go_to_the_later() -> None:
    scores = iter([3.0, 1.0, 1.0, 2.0])
    made: list[Candidate] = []

    def judge() -> Candidate:
        made.append(Candidate(next(scores), bytes([len(made)])))
        return made[-1]

    run = training()
    assert run.run(Clock(1.0, 20), judge, 4, never, None).data == b"\2"
    assert len(made) == 4
    assert run.rep.quantizers is not None


def test_the_rate_follows_what_the_coder_wrote() -> None:
    run, sizes = training(), []
    run.context.progress = lambda share, text: sizes.append(text)

    def judge() -> Candidate:
        estimated = float(run.rep.quantised()[2].detach()) / 8
        return Candidate(1.0, b"x", payload=round(0.5 * estimated))

    run.run(Clock(1.0, 20), judge, 2, never, None)
    assert run.coding == pytest.approx(0.5, abs=0.01)
    shown = [int(text.split()[-2].replace(",", "")) for text in sizes if "bytes" in text]
    assert shown[-1] == pytest.approx(0.5 * shown[0], rel=0.2)


def test_quantisation_starts_where_the_schedule_says() -> None:
    run, shares = training(), {False: [], True: []}
    run.context.progress = lambda share, text: shares["bytes" in text].append(share)
    run.run(Clock(1.0, 20), lambda: Candidate(0.0, b""), 1, never, None)
    assert max(shares[False]) < run.schedule.quantise_from <= min(shares[True])
    assert len(shares[False]) + len(shares[True]) == 20


def test_stopping_at_once_still_gives_a_file() -> None:
    run = training()
    judged = run.run(Clock(1.0, 20), lambda: Candidate(1.0, b"x"), 4, lambda: True, None)
    assert judged.data == b"x"
    assert run.rep.quantizers is not None


def test_the_rate_of_learning_warms_up_and_falls() -> None:
    run = training()
    rates = [run._rate_of_learning(s) for s in (0.0, 0.02, 0.5, 0.9, 1.0)]
    peak = run.schedule.peak_rate
    assert 0 < rates[0] < 0.1 * peak
    assert rates[1] == pytest.approx(peak, rel=0.06)
    assert rates[1] > rates[2] > rates[3] > rates[4] > 0
    assert rates[4] == pytest.approx(0.02 * peak, rel=0.01)


def test_the_rate_weighs_more_while_the_size_is_above_the_aim() -> None:
    run = training()
    run.settings = HnervSettings(bytes=1000)
    assert run._rate_weight(0.0, 2000.0, 0.4) == 0
    weights = [run._rate_weight(1.0, 2000.0, 0.4 + i / 500) for i in range(50)]
    assert weights == sorted(weights)
    assert weights[-1] > 1
    lower = [run._rate_weight(1.0, 500.0, 0.5 + i / 500) for i in range(150)]
    assert lower == sorted(lower, reverse=True)
    assert lower[-1] < 1
    run.settings = HnervSettings()
    assert run._rate_weight(0.7, 2000.0, 0.9) == 0.7


def test_an_odd_last_pair_trains_on_pixels_only() -> None:
    run = training(9)
    assert len(run.material.frames) == 5
    assert len(run.material.outputs.classes) == 4
    batches, moved = run._batches(), torch.zeros(5)
    for _ in range(6):
        run._step(next(batches), 0.05)
        assert run.rep.latents.grad is not None
        moved += run.rep.latents.grad.abs().sum(1)
    assert bool((moved > 0).all())


def test_a_stack_without_pose_trains() -> None:
    stack = FakeStack()
    stack.has_pose = False
    run = training(stack=stack)
    run._step(next(run._batches()), 0.5)
    assert run.pose_term.mean is None


def test_a_stack_without_gradients_is_refused() -> None:
    stack = FakeStack()
    stack.differentiable = False
    with pytest.raises(UserError, match="gradients"):
        training(stack=stack)


def limited(excess: list[float]) -> tuple[Candidate, list[Candidate]]:
    """A run whose files exceed their limits so far; the file it gives, and all it judged."""
    run, waiting = training(), iter(excess)
    made: list[Candidate] = []
    run.settings = HnervSettings(max_seg=0.1)

    def judge() -> Candidate:
        made.append(Candidate(1.0 - 0.1 * len(made), bytes([len(made)]), next(waiting)))
        return made[-1]

    return run.run(Clock(1.0, 40), judge, 4, never, None), made


def test_training_stops_when_the_limits_are_kept() -> None:
    best, made = limited([0.5, 0.0, 0.0, 0.0])
    assert len(made) == 2
    assert best is made[1]


def test_the_file_that_keeps_limits_best_wins_over_a_better_score() -> None:
    best, made = limited([0.5, 0.2, 0.3, 0.4])
    assert len(made) == 4
    assert best is made[1]


def test_a_largest_size_weighs_only_while_it_is_exceeded() -> None:
    run = training()
    run.settings = HnervSettings(max_bytes=1000)
    assert run._rate_weight(1.0, 500.0, 0.5) == 1.0
    assert run._rate_weight(1.0, 2000.0, 0.6) > 1.0
