import json
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from tiny_stack import TinyStack

from seesame.errors import DamagedError, UserError
from seesame.metric import Evaluation, evaluate, evaluator, reference_outputs
from seesame.metric.figures import Figures, combined, percentiles
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


def test_a_class_without_a_name_is_refused() -> None:
    class Short(TinyStack):
        classes = ("dark", "grey")

    clip = ArrayClip(noise(4))
    with pytest.raises(UserError, match="names 2 classes, but its net gives more"):
        evaluate(clip, clip, Short(), 1)


def test_read_only_frames_pass_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    frames = noise(4)
    frames.flags.writeable = False
    measured: Evaluation = evaluate(ArrayClip(frames), ArrayClip(frames), TinyStack(), 1)
    assert measured.score.seg == 0
    assert not recwarn.list


@pytest.mark.parametrize("num_frames", [2, 3, 8, 9, 12, 13])
@pytest.mark.parametrize("held", [True, False])
def test_every_frame_is_judged_and_the_score_stays(num_frames: int, held: bool) -> None:
    source, decoded = noise(num_frames), noise(num_frames, seed=1)
    reference = ArrayClip(source, fps=20, source_bytes=1000)
    known = reference_outputs(reference, TinyStack(), every_frame=True, batch_pairs=3)
    second = evaluate(reference, ArrayClip(decoded), TinyStack(), 50, batch_pairs=3)
    found = evaluate(
        known if held else reference,
        ArrayClip(decoded),
        TinyStack(),
        50,
        every_frame=True,
        batch_pairs=3,
    )
    assert found.score == second.score
    np.testing.assert_array_equal(found.seg, second.seg)
    np.testing.assert_array_equal(found.pose, second.pose)
    brightness = np.array([42.0, 128.0, 213.0])

    def classes(frames: Frames) -> np.ndarray:
        return np.abs(frames.mean(axis=3)[..., None] - brightness).argmin(axis=3)

    ours, theirs = classes(source), classes(decoded)
    frames = (ours != theirs).mean(axis=(1, 2))
    figures = found.figures
    assert figures.every_frame
    assert found.frame_seg == pytest.approx(frames, abs=1e-6)
    assert figures.seg == pytest.approx(frames.mean(), rel=1e-5)
    assert figures.worst_frame == frames.argmax()
    assert figures.worst_s == frames.argmax() / 20
    assert figures.worst_seg == pytest.approx(frames.max(), rel=1e-5)
    lost = {
        name: (ours != theirs)[ours == number].mean()
        for number, name in enumerate(TinyStack.classes)
        if (ours == number).any()
    }
    assert dict(figures.lost) == pytest.approx(lost)
    # By the challenge's rule the same figures are those of second frames.
    assert not second.figures.every_frame
    assert second.figures.seg == second.score.seg
    assert second.figures.worst_frame == 1 + 2 * frames[1::2].argmax()


def test_percentiles_are_the_least_value_that_so_many_do_not_exceed() -> None:
    found = percentiles(np.arange(1, 21, dtype=np.float32))
    assert len(found) == 101
    assert (found[0], found[5], found[50], found[95], found[96], found[100]) == (
        1,
        1,
        10,
        19,
        20,
        20,
    )


def test_parts_foretell_the_whole() -> None:
    source, decoded = ArrayClip(noise(80), fps=20, source_bytes=1000), ArrayClip(noise(80, seed=1))
    whole = evaluate(source, decoded, TinyStack(), 50, every_frame=True)
    parts = []
    for cut in (slice(0, 20), slice(20, 80)):
        one, other = (ArrayClip(clip.frames[cut], fps=20) for clip in (source, decoded))
        found = evaluate(one, other, TinyStack(), 5, source_bytes=10, every_frame=True)
        parts.append((len(one.frames), found.figures))
    foretold = combined(parts, 1.0, 50)
    assert foretold.seg == pytest.approx(whole.figures.seg)
    assert foretold.pose == pytest.approx(whole.figures.pose, rel=1e-5)
    assert foretold.worst_seg == whole.figures.worst_seg
    assert foretold.seg_at[50] == pytest.approx(whole.figures.seg_at[50], rel=0.02)
    assert dict(foretold.lost) == pytest.approx(dict(whole.figures.lost), rel=0.01)


def test_figures_as_plain_values_and_back() -> None:
    clip = ArrayClip(noise(4))
    figures = evaluate(clip, ArrayClip(noise(4, seed=1)), TinyStack(), 1, source_bytes=9).figures
    assert Figures.from_plain(json.loads(json.dumps(figures.plain()))) == figures


def test_outputs_of_second_frames_do_not_do_for_every_frame() -> None:
    clip = ArrayClip(noise(4), source_bytes=5)
    reference = reference_outputs(clip, TinyStack())
    with pytest.raises(ValueError, match="second frames"):
        evaluate(reference, clip, TinyStack(), 1, every_frame=True)
