import numpy as np
import pytest
import torch
from fake_stack import FakeStack, tiny_clip
from small_training import small_training as training

from seesame.codecs.hnerv.config import HnervSettings
from seesame.neural.fitting.limits.rate import TUNING, RateControl
from seesame.neural.fitting.loop import Candidate, Clock
from seesame.neural.fitting.source import SourcePairs
from seesame.video.resize import resize_frames


def never() -> bool:
    return False


@pytest.mark.parametrize("num_frames", [8, 9])
def test_the_material_is_the_clip_at_render_size(num_frames: int) -> None:
    source = tiny_clip(num_frames)
    pairs = SourcePairs(source, (32, 64))
    passed = np.concatenate(list(pairs.batches(3)))
    np.testing.assert_array_equal(passed, source.frames)
    frames = pairs.pairs().flatten(0, 1).permute(0, 2, 3, 1).numpy()
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
    batches, size = run.batches(), run.schedule.batch_pairs
    assert 10 % size  # the last batch of an epoch is filled up
    for _ in range(3):
        epoch = torch.cat([next(batches) for _ in range(-(-10 // size))])
        assert set(epoch.tolist()) == set(range(10))
    small = next(training(4).batches())
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
    assert run.network.quantisers is not None


def test_the_rate_follows_what_the_coder_wrote() -> None:
    sizes: list[str] = []
    run = training(progress=lambda share, text: sizes.append(text))

    def judge() -> Candidate:
        estimated = float(run.network.quantised().bits.detach()) / 8
        return Candidate(1.0, b"x", trained=round(0.5 * estimated))

    run.run(Clock(1.0, 20), judge, 2, never, None)
    assert run.rate.coding == pytest.approx(0.5, abs=0.01)
    shown = [int(text.split()[-2].replace(",", "")) for text in sizes if "bytes" in text]
    assert shown[-1] == pytest.approx(0.5 * shown[0], rel=0.2)


def test_quantisation_starts_where_the_schedule_says() -> None:
    shares: dict[bool, list[float]] = {False: [], True: []}
    run = training(progress=lambda share, text: shares["bytes" in text].append(share))
    run.run(Clock(1.0, 20), lambda: Candidate(0.0, b""), 1, never, None)
    assert max(shares[False]) < run.schedule.quantise_from <= min(shares[True])
    assert len(shares[False]) + len(shares[True]) == 20


def test_stopping_at_once_still_gives_a_file() -> None:
    run = training()
    judged = run.run(Clock(1.0, 20), lambda: Candidate(1.0, b"x"), 4, lambda: True, None)
    assert judged.data == b"x"
    assert run.network.quantisers is not None


def test_the_rate_of_learning_warms_up_and_falls() -> None:
    run = training()
    rates = [run.learning_rate(s) for s in (0.0, 0.02, 0.5, 0.9, 1.0)]
    peak = run.schedule.peak_rate
    assert 0 < rates[0] < 0.1 * peak
    assert rates[1] == pytest.approx(peak, rel=0.06)
    assert rates[1] > rates[2] > rates[3] > rates[4] > 0
    assert rates[4] == pytest.approx(0.02 * peak, rel=0.01)


def weights(settings: HnervSettings, size: float, first: float, count: int) -> list[float]:
    """The rate's weights while the size stays what it is."""
    control = RateControl(settings)
    control.weight(1.0, first)
    control.size = size
    return [control.weight(1.0, first + i / 500) for i in range(count)]


def test_the_rate_weighs_more_while_the_size_is_above_the_aim() -> None:
    above = weights(HnervSettings(bytes=1000), 2000.0, 0.4, 50)
    assert above == sorted(above)
    assert above[-1] > 1
    below = weights(HnervSettings(bytes=1000), 500.0, 0.5, 150)
    assert below == sorted(below, reverse=True)
    assert below[-1] < 1
    assert set(weights(HnervSettings(), 2000.0, 0.9, 10)) == {1.0}


def test_a_rate_that_is_not_scheduled_stays_off() -> None:
    control = RateControl(HnervSettings(bytes=1000))
    control.size = 2000.0
    assert control.weight(0.0, 0.4) == 0


def test_an_odd_last_pair_trains_on_pixels_only() -> None:
    run = training(9)
    batches, moved = run.batches(), torch.zeros(5)
    for _ in range(6):
        run.step(next(batches), 0.05)
        assert run.network.streams["latents"].grad is not None
        moved += run.network.streams["latents"].grad.abs().sum(1)
    assert bool((moved > 0).all())


def test_a_stack_without_pose_trains() -> None:
    stack = FakeStack()
    stack.has_pose = False
    run = training(stack=stack)
    made = run.step(next(run.batches()), 0.5)
    assert made.pose is None
    assert "pose" not in made.terms


def limited(excess: list[float]) -> tuple[Candidate, list[Candidate]]:
    """A run whose files exceed their limits so far; the file it gives, and all it judged."""
    run, waiting = training(settings=HnervSettings(max_seg=0.1)), iter(excess)
    made: list[Candidate] = []

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
    assert set(weights(HnervSettings(max_bytes=1000), 500.0, 0.5, 10)) == {1.0}
    assert weights(HnervSettings(max_bytes=1000), 2000.0, 0.6, 10)[-1] > 1.0


def by_limits(reach: float, settings: HnervSettings | None = None, size: float = 100.0) -> float:
    """The rate's weight after a while in which a figure stays such a multiple of its bound."""
    control = RateControl(settings or HnervSettings(max_seg=0.01), by_limits=True)
    control.weight(1.0, 0.9)
    control.size, control.reach = size, reach
    return [control.weight(1.0, 0.9 + i / 1000) for i in range(80)][-1]


def test_limits_choose_the_size() -> None:
    assert by_limits(2.0) < by_limits(1.3) < 1 < by_limits(0.3)
    assert by_limits(0.01) <= np.exp(TUNING.squeeze) * 1.001


def test_a_largest_size_comes_before_limits() -> None:
    settings = HnervSettings(max_seg=0.01, max_bytes=1000)
    assert by_limits(2.0, settings, 2000.0) > 1


def test_what_is_judged_corrects_what_was_running() -> None:
    control = RateControl(HnervSettings(max_seg=0.01), by_limits=True)
    control.weight(1.0, 0.9)
    control.reach, control.truth = 0.7, 3.0
    assert control.weight(1.0, 0.95) < 1


def test_among_files_that_keep_limits_the_cost_decides() -> None:
    small, good = Candidate(2.0, b"a", cost=10), Candidate(1.0, b"b", cost=20)
    missed = Candidate(0.5, b"c", excess=0.1, cost=1)
    assert min([missed, good, small], key=lambda one: one.rank) is small
