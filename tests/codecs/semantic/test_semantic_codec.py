"""Files of the semantic codec, from a small clip to the frames that are decoded from them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_semantic import SIZE, SmallStack, StillStack, put, small_clip, small_renderer
from torch import Tensor

from seesame.bitstream.container import Container, Section, unpack_config
from seesame.codecs.registry import codec_by_id, get_codec
from seesame.codecs.semantic.decode import read_codes
from seesame.codecs.semantic.installed import find_renderer, install, renderer_for
from seesame.codecs.semantic.renderer_file import Part
from seesame.codecs.semantic.sections import read_head
from seesame.codecs.semantic.shared import SharedRenderer, Weights
from seesame.context import EncodeContext
from seesame.errors import (
    MissingRendererError,
    MissingStackError,
    UnsupportedSettingError,
    UserError,
)
from seesame.metric.evaluator import evaluate, reference_outputs
from seesame.metric.limits import Limits
from seesame.neural.weights.unpack import unpack_weights
from seesame.video.clip import ArrayClip, Clip, Frames
from seesame.video.span import batches_from, entry

EXACT = {"simplify": 0}
EVERY = {"simplify": 0, "every_frame": True}
CODEC = get_codec("semantic")
pytestmark = pytest.mark.usefixtures("renderers")


def encode(clip: Clip, settings: dict[str, Any] = EXACT, **context: Any) -> Container:
    """A file, as read back from its bytes."""
    context.setdefault("stack", SmallStack())
    made = CODEC.encode(clip, settings, EncodeContext(**context))
    return Container.from_bytes(made.to_bytes())


def frames(clip: Clip, batch_size: int = 16) -> Frames:
    return np.concatenate(list(clip.batches(batch_size)))


@pytest.mark.parametrize("stack", [SmallStack(), StillStack()], ids=["pose", "no pose"])
@pytest.mark.parametrize("settings", [EXACT, EVERY], ids=["second frames", "every frame"])
@pytest.mark.parametrize(
    ("count", "size"),
    [
        (12, (96, 128)),  # two pixels for each that the net reads
        (9, (61, 127)),  # an odd number of frames, of odd sides
        (8, SIZE),
        (8, (40, 56)),  # fewer pixels than the net reads
        (7, (40, 130)),  # fewer rows alone
        (2, (100, 50)),  # fewer columns alone, a lone pair
        (3, (2, 2)),
    ],
)
def test_the_stack_sees_what_it_saw(
    stack: SmallStack, settings: dict[str, Any], count: int, size: tuple[int, int]
) -> None:
    clip = small_clip(count, size)
    container = encode(clip, settings, stack=stack)
    decoded = codec_by_id(container.codec_id).decode(container)
    shown = frames(decoded)
    assert shown.shape == (count, *size, 3)
    assert (decoded.num_frames, decoded.fps, decoded.height) == (count, clip.fps, size[0])
    judged = evaluate(
        clip, decoded, stack, len(container.to_bytes()), every_frame="every_frame" in settings
    )
    # Four pixels cannot show all of a mask, nor light in steps finer than a quarter.
    few = min(size) < 40
    assert judged.seg.max() < (0.05 if few else 0.002)
    assert judged.pose.max() < (0.2 if few else 0.04)
    head = read_head(container)
    assert (head.size, head.classes, head.changed) == (SIZE, 3, 0)
    assert head.num_masks(container) == (count if head.every_frame else count // 2)
    assert head.code == (4 if stack.has_pose else 0)
    assert (Section.LATENTS in container.sections) == stack.has_pose


def test_codes_bring_the_poses() -> None:
    clip = small_clip()
    container = encode(clip)
    blank = dict(container.sections)
    head = read_head(container)
    other = encode(ArrayClip(np.repeat(clip.frames[1::2], 2, axis=0), source_bytes=60_000))
    blank[Section.LATENTS] = other.sections[Section.LATENTS]
    blank[Section.MODEL] = other.sections[Section.MODEL]
    still = Container(**{**vars(container), "sections": blank})
    with_codes, without = (
        evaluate(clip, CODEC.decode(one), SmallStack(), 1).score.pose for one in (container, still)
    )
    assert read_codes(container, head).any()
    assert with_codes < 0.01 * without


def test_dear_pixels_are_given_up() -> None:
    clip = small_clip(16)
    clip.source_bytes = 3000
    exact, simple = (encode(clip, {"simplify": value}) for value in (0, 30))
    assert len(simple.sections[Section.MASKS]) < 0.95 * len(exact.sections[Section.MASKS])
    changed = [read_head(one).changed for one in (exact, simple)]
    assert changed[0] == 0 < changed[1]
    seg = evaluate(clip, CODEC.decode(simple), SmallStack(), 1).seg.mean()
    assert changed[1] / (8 * SIZE[0] * SIZE[1]) == pytest.approx(seg, rel=0.1)


@pytest.mark.parametrize("settings", [EXACT, EVERY], ids=["second frames", "every frame"])
def test_any_frame_is_that_of_one_pass(settings: dict[str, Any]) -> None:
    container = encode(small_clip(21), settings)
    whole = frames(CODEC.decode(container), 7)
    assert np.array_equal(frames(CODEC.decode(container), 64), whole)
    again = CODEC.decode(container)
    for number in (20, 3, 11, 0, 8, 19):
        (frame,) = next(batches_from(again, number, 1))
        assert np.array_equal(frame, whole[number]), number
        assert entry(again, number) == number - number % 8
    for start in (1, 9, 16):
        later = np.concatenate(list(batches_from(CODEC.decode(container), start, 5)))
        assert np.array_equal(later, whole[start:])


@pytest.mark.parametrize("settings", [{}, EVERY])
def test_threads_seeds_and_repetition_change_no_byte(settings: dict[str, Any]) -> None:
    clip = small_clip(4, (61, 127))
    made = []
    for threads, seed in ((1, 0), (2, 0), (1, 5)):
        torch.set_num_threads(threads)
        made.append(encode(clip, settings, seed=seed).to_bytes())
        torch.set_num_threads(1)
    assert made[0] == made[1] == made[2]


def test_outputs_that_are_known_are_not_made_again() -> None:
    clip, stack = small_clip(), StillStack()
    for settings, every in ((EXACT, False), (EXACT, True), (EVERY, True)):
        known = reference_outputs(clip, stack, every_frame=every)
        stack.batches.clear()
        made = encode(clip, settings, stack=stack, outputs=known)
        assert not stack.batches
        assert made.to_bytes() == encode(clip, settings, stack=StillStack()).to_bytes()
    encode(clip, EVERY, stack=stack, outputs=reference_outputs(clip, stack))
    assert sum(stack.batches) == 12 + 6


def test_a_file_says_how_it_was_made() -> None:
    container = encode(small_clip(), {"simplify": 4})
    stored = unpack_config(container.sections[Section.CONFIG], "the file")
    assert stored == {"simplify": 4, "every_frame": False}
    notes = CODEC.notes(container)
    assert notes["masks"] == "6 of 64x48, 3 classes, every second frame"
    assert notes["changed"] == "none of their pixels differ from what the stack saw"
    assert notes["renderer"] == f"SHA-256 {renderer_for(SmallStack()).digest}"


def test_limits_choose_every_frame() -> None:
    assert CODEC.within({}, Limits(seg=0.01))["every_frame"] is True
    assert CODEC.within({}, Limits(seg=0.01, challenge_rule=True))["every_frame"] is False
    assert CODEC.within({"every_frame": False}, Limits(seg=0.01))["every_frame"] is False


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"simplify": -1}, "from 0 to 30, not -1"),
        ({"simplify": 31}, "simplify"),
        ({"simplify": True}, "simplify"),
        ({"simplify": 2.0}, "simplify"),
        ({"simplify": "10"}, "simplify"),
        ({"every_frame": 1}, "true or false"),
        ({"every_frame": "yes"}, "true or false"),
        ({"renderer": 7}, "a name or a path"),
        ({"crf": 30}, "no setting 'crf'; its settings: renderer, simplify, every_frame"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    for attempt in (lambda: encode(small_clip(2), settings), lambda: CODEC.needs_stack(settings)):
        with pytest.raises(UnsupportedSettingError, match=said) as caught:
            attempt()
        assert "\n" not in str(caught.value)


def test_a_setting_that_is_none_is_the_default() -> None:
    made = encode(small_clip(4), {"simplify": None, "renderer": None, "every_frame": None})
    assert made.to_bytes() == encode(small_clip(4), {}).to_bytes()


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(MissingStackError, match="semantic needs perception networks"):
        encode(small_clip(), stack=None)
    with pytest.raises(UserError, match="one frame forms no pair"):
        encode(small_clip(1))
    container = encode(small_clip())
    digest = read_head(container).renderer.hex()
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path))
    for attempt in (lambda: CODEC.decode(container), lambda: encode(small_clip())):
        with pytest.raises(MissingRendererError, match="seesame renderer install") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    with pytest.raises(MissingRendererError, match=digest):
        find_renderer(digest)


def test_a_renderer_that_is_named_must_be_installed(tmp_path: Path, renderers: Path) -> None:
    other = small_renderer(seed=3)
    path = tmp_path / "other.renderer"
    other.write(path)
    named = {"renderer": str(path)}
    with pytest.raises(MissingRendererError, match=other.digest):
        encode(small_clip(4), named)
    put(other, renderers.parent)
    for one in (named, {"renderer": other.digest[:12]}):
        made = encode(small_clip(4), one)
        assert read_head(made).renderer.hex() == other.digest
        assert frames(CODEC.decode(made)).shape == (4, 96, 128, 3)
    (renderers / f"{other.digest[:16]}.renderer").unlink()
    with pytest.raises(UserError, match="belongs to stack still"):
        encode(small_clip(4), {"renderer": renderer_for(StillStack()).digest})


class HalfStack(SmallStack):
    """SmallStack whose masks have half the rows and columns of what it reads."""

    def segment(self, rgb: Tensor) -> Tensor:
        return super().segment(rgb)[:, :, ::2, ::2]


def test_masks_may_be_smaller_than_what_the_stack_reads() -> None:
    container = encode(small_clip(8), stack=HalfStack())
    assert read_head(container).size == (SIZE[0] // 2, SIZE[1] // 2)
    shown = frames(CODEC.decode(container))
    assert shown.shape == (8, 96, 128, 3)
    clip, stack = small_clip(8), HalfStack()
    judged = evaluate(clip, CODEC.decode(container), stack, len(container.to_bytes()))
    assert judged.seg.max() < 0.03


def test_a_renderer_without_a_carrier_is_refused_where_the_stack_has_a_pose(
    tmp_path: Path,
) -> None:
    still = small_renderer(StillStack())
    rows = {Part.RENDERER: _rows_of(still)}
    bare = SharedRenderer.make(SmallStack(), rows, still.parts[Part.PRIOR])
    bare.write(tmp_path / "bare.renderer")
    install(tmp_path / "bare.renderer")
    with pytest.raises(UserError, match="has no carrier"):
        encode(small_clip(8), {"renderer": str(tmp_path / "bare.renderer")})


def _rows_of(shared: SharedRenderer) -> Weights:
    design = shared.renderer.design
    return Weights(design, unpack_weights(shared.parts[Part.RENDERER], design.specs(), "a test"))


@pytest.mark.parametrize("settings", [EXACT, EVERY], ids=["second frames", "every frame"])
def test_more_frames_than_a_decoder_takes_are_refused(settings: dict[str, Any]) -> None:
    clip = small_clip(2)
    clip.num_frames = 300_000
    with pytest.raises(UserError, match="at most 262,144 frames, not 300,000"):
        encode(clip, settings)
