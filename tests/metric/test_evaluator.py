from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from tiny_stack import TinyStack

from seesame.errors import DamagedError, UserError
from seesame.metric import Evaluation, evaluate, evaluator, reference_outputs
from seesame.metric.prefetch import prefetched
from seesame.video.clip import ArrayClip, Frames


def noise(num_frames: int, seed: int = 0) -> Frames:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (num_frames, 48, 64, 3), dtype=np.uint8)


def by_hand(source: Frames, decoded: Frames) -> tuple[list[float], list[float]]:
    """The two distortions of TinyStack in plain numpy."""

    def classes(frame: Frames) -> np.ndarray:
        grey = frame.mean(axis=2)
        return np.argmin(np.abs(grey[..., None] - np.array([42.0, 128.0, 213.0])), axis=2)

    def pose(first: Frames, second: Frames) -> np.ndarray:
        return (second.astype(float) - first.astype(float)).mean(axis=(0, 1))[:2]

    starts = range(0, len(source) - 1, 2)
    seg = [float((classes(source[i + 1]) != classes(decoded[i + 1])).mean()) for i in starts]
    poses = [
        float(((pose(*source[i : i + 2]) - pose(*decoded[i : i + 2])) ** 2).mean()) for i in starts
    ]
    return seg, poses


def test_values_are_those_of_the_definition() -> None:
    source, decoded = noise(9), noise(9, seed=1)
    stack = TinyStack()
    measured = evaluate(
        ArrayClip(source, source_bytes=1000), ArrayClip(decoded), stack, 50, batch_pairs=3
    )
    seg, pose = by_hand(source, decoded)
    assert measured.seg.tolist() == pytest.approx(seg)
    assert measured.pose.tolist() == pytest.approx(pose, rel=1e-3)
    assert measured.score.seg == pytest.approx(np.mean(seg))
    assert measured.score.rate == 0.05
    assert measured.pairs == 4  # the ninth frame forms no pair
    assert stack.batches == [3, 3, 1, 1]  # the last partial batch counts


def test_the_same_clip_has_no_distortion() -> None:
    clip = ArrayClip(noise(6))
    score = evaluate(clip, clip, TinyStack(), 0).score
    assert (score.seg, score.pose, score.total) == (0.0, 0.0, 0.0)


def test_averages_are_in_float64() -> None:
    source, decoded = noise(40), noise(40, seed=1)
    measured = evaluate(ArrayClip(source), ArrayClip(decoded), TinyStack(), 1)
    assert measured.score.seg == sum(measured.seg.astype(float)) / 20
    assert measured.seg.dtype == measured.pose.dtype == np.float32


def test_known_reference_outputs_give_the_same_digits() -> None:
    source, decoded = ArrayClip(noise(37), fps=25, source_bytes=777), ArrayClip(noise(37, seed=1))
    reference = reference_outputs(source, TinyStack())
    assert reference.classes.shape == (18, 48, 64)
    assert reference.poses.shape == (18, 3)
    one = evaluate(source, decoded, TinyStack(), 10)
    other = evaluate(reference, decoded, TinyStack(), 10)
    assert one.score == other.score
    assert (one.fps, other.fps, one.source_bytes) == (Fraction(25), Fraction(25), 777)
    np.testing.assert_array_equal(one.seg, other.seg)
    np.testing.assert_array_equal(one.pose, other.pose)


def test_decoding_ahead_changes_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    source, decoded = ArrayClip(noise(37)), ArrayClip(noise(37, seed=1))
    plain = evaluate(source, decoded, TinyStack(), 10, batch_pairs=4)
    monkeypatch.setattr(evaluator, "_ahead", lambda batches, *_: prefetched(batches))
    ahead = evaluate(source, decoded, TinyStack(), 10, batch_pairs=4)
    np.testing.assert_array_equal(plain.seg, ahead.seg)
    np.testing.assert_array_equal(plain.pose, ahead.pose)


def test_source_bytes_can_be_given() -> None:
    clip = ArrayClip(noise(2))
    assert evaluate(clip, clip, TinyStack(), 10, source_bytes=40).score.rate == 0.25
    with pytest.raises(UserError, match="0 bytes"):
        evaluate(clip, clip, TinyStack(), 10, source_bytes=0)


def test_a_stack_without_pose_has_no_pose_distortion() -> None:
    stack = TinyStack()
    stack.has_pose = False
    measured = evaluate(ArrayClip(noise(4)), ArrayClip(noise(4, seed=1)), stack, 1)
    assert measured.pose.tolist() == [0.0, 0.0]
    assert measured.score.seg > 0


def test_progress_ends_at_one() -> None:
    shares: list[float] = []
    clip = ArrayClip(noise(10))
    evaluate(
        clip, clip, TinyStack(), 1, batch_pairs=2, progress=lambda share, _: shares.append(share)
    )
    assert shares == pytest.approx([0.4, 0.8, 1.0])


@pytest.mark.parametrize(
    ("decoded", "numbers"),
    [
        (np.zeros((7, 48, 64, 3), np.uint8), "8 frames.* 7"),
        (np.zeros((9, 48, 64, 3), np.uint8), "8 frames.* 9"),
        (np.zeros((8, 48, 60, 3), np.uint8), "64x48.* 60x48"),
        (np.zeros((8, 50, 64, 3), np.uint8), "64x48.* 64x50"),
    ],
)
def test_clips_that_differ_in_size_are_refused(decoded: Frames, numbers: str) -> None:
    with pytest.raises(UserError, match=numbers):
        evaluate(ArrayClip(noise(8)), ArrayClip(decoded), TinyStack(), 1)


@pytest.mark.parametrize("num_frames", [0, 1])
def test_no_pair_no_score(num_frames: int) -> None:
    clip = ArrayClip(np.zeros((num_frames, 48, 64, 3), np.uint8))
    with pytest.raises(UserError, match="no pair"):
        evaluate(clip, clip, TinyStack(), 1, source_bytes=1)
    with pytest.raises(UserError, match="no pair"):
        reference_outputs(clip, TinyStack())


def test_outputs_of_another_stack_are_refused() -> None:
    clip = ArrayClip(noise(2))
    reference = reference_outputs(clip, TinyStack())
    other = TinyStack()
    other.fingerprint = "cd" * 32
    with pytest.raises(UserError, match="make them again"):
        evaluate(reference, clip, other, 1)


class ShortClip(ArrayClip):
    """Promises more frames than it has."""

    def batches(self, batch_size: int) -> Iterator[Frames]:
        yield from ArrayClip(self.frames[:-2]).batches(batch_size)


def test_a_clip_that_ends_early_is_refused() -> None:
    frames = noise(40)
    for source, decoded in [
        (ArrayClip(frames), ShortClip(frames)),
        (ShortClip(frames), ArrayClip(frames)),
        (ShortClip(frames), ShortClip(frames)),
    ]:
        with pytest.raises((DamagedError, ValueError)) as caught:
            evaluate(source, decoded, TinyStack(), 1, batch_pairs=19)
        assert isinstance(caught.value, DamagedError)
        assert "promises 40 frames, but gave 38" in str(caught.value)


def test_values_that_are_not_finite_are_refused() -> None:
    class Broken(TinyStack):
        def segment(self, rgb):  # type: ignore[no-untyped-def]
            return super().segment(rgb) * float("nan")

    clip = ArrayClip(noise(2))
    with pytest.raises(UserError, match="not finite"):
        evaluate(clip, clip, Broken(), 1)


def test_read_only_frames_pass_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    frames = noise(4)
    frames.flags.writeable = False
    measured: Evaluation = evaluate(ArrayClip(frames), ArrayClip(frames), TinyStack(), 1)
    assert measured.score.seg == 0
    assert not recwarn.list
