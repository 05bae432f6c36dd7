import dataclasses
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_stack import FakeStack, tiny_clip

from seesame.bitstream.container import Container, Section, unpack_config
from seesame.bitstream.varint import pack_varint
from seesame.codecs.av.codec import AvCodec
from seesame.codecs.av.decode import AvClip
from seesame.codecs.hybrid.codec import HybridCodec
from seesame.codecs.hybrid.design import Design, unpack_design
from seesame.codecs.hybrid.model import PostNetwork
from seesame.codecs.registry import codec_by_id
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.metric.evaluator import evaluate
from seesame.metric.limits import Held, Limits
from seesame.neural.corrections.sidecar import Corrections, pack_sidecar
from seesame.video.clip import ArrayClip, Clip, Frames

BASE = {"base": "x264", "base.preset": "ultrafast", "base.crf": 44, "base.scale": 0.5}
SETTINGS = {**BASE, "steps": 60, "width": 8, "code": 3}
ADDED = (Section.MODEL, Section.WEIGHTS, Section.LATENTS, Section.SIDECAR)


def source(num_frames: int = 12, size: tuple[int, int] = (64, 128)) -> ArrayClip:
    """A clip of many bytes, so that even a few training steps pay for a network."""
    clip = tiny_clip(num_frames, size)
    clip.source_bytes = 10**7
    return clip


def encode(clip: Clip, settings: Mapping[str, Any] | None = None, **context: Any) -> Container:
    """A file, as read back from its bytes."""
    context.setdefault("stack", FakeStack())
    made = HybridCodec().encode(clip, settings or SETTINGS, EncodeContext(**context))
    return Container.from_bytes(made.to_bytes())


def frames(clip: Clip, batch_size: int = 16) -> Frames:
    return np.concatenate(list(clip.batches(batch_size)))


def score(clip: Clip, container: Container) -> float:
    size = len(container.to_bytes())
    decoded = HybridCodec().decode(container)
    return evaluate(clip, decoded, FakeStack(), size).score.total


@pytest.fixture(scope="module")
def odd() -> Container:
    """Nine frames at 61x127, with a network and corrections."""
    container = encode(source(9, (61, 127)))
    assert set(ADDED) <= container.sections.keys()
    return container


def test_each_part_lowers_the_score() -> None:
    clip = source()
    scores = {
        (network, sidecar): score(
            clip, encode(clip, {**SETTINGS, "network": network, "sidecar": sidecar})
        )
        for network in (False, True)
        for sidecar in (False, True)
    }
    base = scores[False, False]
    assert scores[False, True] < 0.95 * base
    assert scores[True, False] < 0.95 * base
    assert scores[True, True] < scores[True, False]


def test_the_base_alone_is_the_base() -> None:
    clip = source(7)
    container = encode(clip, {**BASE, "steps": 5, "network": False, "sidecar": False})
    assert not container.sections.keys() & set(ADDED)
    plain = AvCodec("x264").encode(
        clip, {"preset": "ultrafast", "crf": 44, "scale": 0.5}, EncodeContext()
    )
    np.testing.assert_array_equal(
        frames(HybridCodec().decode(container)), frames(AvCodec("x264").decode(plain))
    )
    assert container.sections[Section.STREAM][1:] == plain.sections[Section.STREAM]


def test_what_does_not_pay_is_left_out() -> None:
    """A source of so few bytes makes every byte dear: the file is the base."""
    clip = source()
    clip.source_bytes = 200
    assert not encode(clip).sections.keys() & set(ADDED)


def test_a_network_that_does_harm_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = source()
    plain = score(clip, encode(clip, {**SETTINGS, "network": False, "sidecar": False}))
    unpacked = PostNetwork.forward

    def spoiled(self: PostNetwork, codes: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        made = unpacked(self, codes, base)
        return made if torch.is_grad_enabled() else 255 - made

    monkeypatch.setattr(PostNetwork, "forward", spoiled)
    container = encode(clip, {**SETTINGS, "sidecar": False})
    assert Section.WEIGHTS not in container.sections
    assert score(clip, container) <= plain + 1e-3  # its settings take a few bytes more


@pytest.mark.parametrize("base", ["x264", "svtav1"])
def test_the_base_gets_the_quality_that_a_size_wants(base: str) -> None:
    clip = source(16, (128, 256))
    blocks = np.random.default_rng(0).integers(0, 120, (16, 16, 32, 3))
    texture = blocks.repeat(8, axis=1).repeat(8, axis=2)
    clip.frames = (clip.frames // 2 + texture).astype(np.uint8)
    preset = {"x264": "ultrafast", "svtav1": 10}[base]
    settings = {"base": base, "base.preset": preset, "network": False, "sidecar": False, "steps": 1}
    for wanted in (3000, 6000):
        container = encode(clip, {**settings, "bytes": wanted})
        assert 0.75 * wanted < len(container.sections[Section.STREAM]) < 1.35 * wanted
        assert "base.crf" in unpack_config(container.sections[Section.CONFIG])


def test_the_same_seed_gives_the_same_bytes() -> None:
    same = {encode(source(6), {**SETTINGS, "steps": 15}, seed=3).to_bytes() for _ in range(2)}
    assert len(same) == 1


def test_the_file_holds_what_made_it(odd: Container) -> None:
    found = unpack_config(odd.sections[Section.CONFIG])
    assert found == {**SETTINGS, "stack": "fake", "seed": 0}
    assert (odd.width, odd.height, odd.num_frames) == (127, 61, 9)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8, 100])
def test_pixels_do_not_depend_on_the_reader_s_batches(odd: Container, batch_size: int) -> None:
    clip = codec_by_id(odd.codec_id).decode(odd)
    found = frames(clip, batch_size)
    assert found.shape == (9, 61, 127, 3)
    np.testing.assert_array_equal(found, frames(clip))


def test_a_file_without_its_settings_decodes(odd: Container) -> None:
    """The contest profile drops them."""
    sections = {k: v for k, v in odd.sections.items() if k != Section.CONFIG}
    bare = dataclasses.replace(odd, sections=sections, contest=True, source_bytes=0)
    again = HybridCodec().decode(Container.from_bytes(bare.to_bytes()))
    np.testing.assert_array_equal(frames(again), frames(HybridCodec().decode(odd)))


def test_corrections_alone_move_the_base(odd: Container) -> None:
    brighter = Corrections.none(5)
    brighter.values[3, 1, 4] = 40
    parts = {Section.STREAM: odd.sections[Section.STREAM]}
    parts[Section.MODEL] = Design((32, 64)).pack()
    plain = HybridCodec().decode(dataclasses.replace(odd, sections=parts))
    corrected = {**parts, Section.SIDECAR: pack_sidecar(brighter)}
    moved = HybridCodec().decode(dataclasses.replace(odd, sections=corrected))
    change = frames(moved).astype(int) - frames(plain)
    assert change[7].mean() > 8
    assert not change[:7].any()
    assert not change[8:].any()


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_the_smallest_clips(num_frames: int) -> None:
    clip = source(num_frames, (20, 40))
    if num_frames < 2:
        with pytest.raises(UserError, match="pair"):
            encode(clip, {**SETTINGS, "steps": 2})
        return
    assert frames(HybridCodec().decode(encode(clip, {**SETTINGS, "steps": 2}))).shape == (
        num_frames,
        20,
        40,
        3,
    )


def test_limits_end_it_early() -> None:
    clip, texts = source(), []
    context = {"progress": lambda share, text: texts.append(text)}
    encode(clip, {**SETTINGS, "target_score": 1e5}, **context)
    assert not any(text.startswith("loss") for text in texts)


FREE = {"base": "x264", "base.preset": "ultrafast", "steps": 12, "width": 8, "code": 3}
"""No quality of the base is asked for."""


def every_frame(clip: Clip, container: Container, settings: Mapping[str, Any]) -> list[Held]:
    """The limits beside what a file has, measured from outside."""
    decoded, size = HybridCodec().decode(container), len(container.to_bytes())
    found = evaluate(clip, decoded, FakeStack(), size, every_frame=True)
    return Limits.from_settings(settings).held(found.figures)


def test_limits_choose_the_size() -> None:
    clip, sizes = source(16, (128, 256)), []
    for bound in (0.05, 0.02, 0.01):
        advice: list[str] = []
        settings = {**FREE, "max_seg": [bound, f"worst={3 * bound}"]}
        made = encode(clip, settings, advise=advice.append)
        held = every_frame(clip, made, settings)
        assert [one.kept for one in held] == [True, True], held
        assert not advice
        sizes.append(len(made.to_bytes()))
    assert sizes == sorted(set(sizes))


def test_a_limit_that_cannot_be_kept_ends_with_advice() -> None:
    clip = source(8, (128, 256))
    for more, flag in (({}, "--set steps="), ({"bytes": 2000}, "--bytes ")):
        advice: list[str] = []
        settings = {**FREE, "base.scale": 0.06, "max_seg": 1e-6, "steps": 3, **more}
        made = encode(clip, settings, advise=advice.append)
        assert [one.kept for one in every_frame(clip, made, settings)] == [False]
        assert len(advice) == 1
        assert advice[0].startswith(flag)


def test_ctrl_c_writes_the_best_so_far() -> None:
    clip, seen = source(), []

    def stop(share: float, text: str) -> None:
        if text.startswith("loss"):
            seen.append(text)
            if len(seen) == 3:
                signal.raise_signal(signal.SIGINT)

    container = encode(clip, {**SETTINGS, "steps": 10**6}, progress=stop)
    assert len(seen) == 3
    assert frames(HybridCodec().decode(container)).shape == (12, 64, 128, 3)


def test_nothing_to_resume_is_said_though_nothing_is_trained(tmp_path: Path) -> None:
    notes: list[str] = []
    settings = {**SETTINGS, "target_score": 1e5, "resume": True}
    encode(source(), settings, work=tmp_path / "a.work", note=notes.append)
    assert len(notes) == 1
    assert "starts afresh" in notes[0]


def test_another_base_is_not_resumed(tmp_path: Path) -> None:
    def interrupt(share: float, text: str) -> None:
        if share > 0.5:
            signal.raise_signal(signal.SIGINT)

    settings = {**SETTINGS, "sidecar": False}
    work = tmp_path / "a.work"
    encode(source(), settings, progress=interrupt, work=work)
    changed = {**settings, "resume": True, "base.crf": 40}
    with pytest.raises(UserError, match="an encode with another settings, base;"):
        encode(source(), changed, work=work)
    encode(source(), {**settings, "resume": True}, work=work)
    assert not work.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base": "hnerv"}, "base must be one of x264, x265, svtav1, vp9"),
        ({"base.crf": 99}, "crf must be a whole number from 0 to 63"),
        ({"base.quality": 1}, "no setting 'quality'"),
        ({"quality": 1}, "hybrid has no setting 'quality'"),
        ({"bytes": 2000, "base.crf": 30}, "leave out base.crf"),
        ({"base.sharpen": 0.5}, "the network is what sharpens"),
        ({"base_settings": {}}, "set as base.crf"),
        ({"width": 0}, "width must be between 1 and 128"),
        ({"depth": 1.5}, "depth must be a whole number"),
        ({"network": 1}, "network must be true or false"),
        ({"preset": "hasty"}, "unknown preset 'hasty'; one of draft, fast"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        encode(source(2), settings)


def test_a_stack_is_needed() -> None:
    with pytest.raises(UserError, match="none was given"):
        encode(source(2), stack=None)
    blind = FakeStack()
    blind.differentiable = False
    with pytest.raises(UserError, match="no gradients"):
        encode(source(2), stack=blind)


def test_notes_say_what_is_in_it(odd: Container) -> None:
    notes = HybridCodec().notes(odd)
    assert notes["base"].startswith("x264, ")
    assert notes["base"].endswith("coded at 64x30")
    assert "weights" in notes["network"]
    assert "of 5 pairs corrected" in notes["sidecar"]


def test_missing_and_extra_sections_are_damage(odd: Container) -> None:
    for section in (Section.STREAM, Section.MODEL, Section.WEIGHTS, Section.LATENTS):
        sections = {k: v for k, v in odd.sections.items() if k != section}
        with pytest.raises(DamagedError):
            HybridCodec().decode(dataclasses.replace(odd, sections=sections))
    bare = {**odd.sections, Section.MODEL: Design((32, 64)).pack()}
    with pytest.raises(DamagedError, match="do not fit its MODEL"):
        HybridCodec().decode(dataclasses.replace(odd, sections=bare))


def test_damaged_sections_are_refused_or_decode(odd: Container) -> None:
    """Damage that the container's checksums would catch."""
    generator = np.random.default_rng(0)
    for section in (*ADDED, Section.STREAM):
        payload = odd.sections[section]
        for _ in range(12):
            noisy = bytearray(payload)
            noisy[int(generator.integers(len(noisy)))] ^= 1 << int(generator.integers(8))
            sections = {**odd.sections, section: bytes(noisy)}
            try:
                clip = HybridCodec().decode(dataclasses.replace(odd, sections=sections))
                assert frames(clip).shape == (9, 61, 127, 3)
            except DamagedError as error:
                assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "numbers",
    [
        (2, 32, 64, 3, 8, 1),  # layout
        (1, 0, 64, 3, 8, 1),
        (1, 32, 4000, 3, 8, 1),
        (1, 32, 64, 0, 8, 1),
        (1, 32, 64, 3, 0, 1),
        (1, 32, 64, 65, 8, 1),
        (1, 32, 64, 3, 129, 1),
        (1, 32, 64, 3, 8, 7),
        (1, 32, 64, 3, 8, 1, 0),
        (1, 32, 64),
    ],
)
def test_impossible_designs_are_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(DamagedError):
        unpack_design(b"".join(map(pack_varint, numbers)), "it")


def test_designs_come_back() -> None:
    for design in (Design((32, 64)), Design((192, 256), 4, 24, 2)):
        assert unpack_design(design.pack(), "it") == design


def test_a_render_size_beyond_the_source_is_refused(odd: Container) -> None:
    sections = {**odd.sections, Section.MODEL: Design((62, 64), 3, 8, 1).pack()}
    with pytest.raises(DamagedError, match="renders 62 pixels for 61"):
        HybridCodec().decode(dataclasses.replace(odd, sections=sections))


def test_a_stream_of_no_base_is_refused(odd: Container) -> None:
    for codec_id in (0, 16, 17):
        stream = pack_varint(codec_id) + odd.sections[Section.STREAM][1:]
        sections = {**odd.sections, Section.STREAM: stream}
        with pytest.raises(DamagedError, match="is no base"):
            HybridCodec().decode(dataclasses.replace(odd, sections=sections))


def test_the_network_starts_as_nothing() -> None:
    design = Design((9, 15), 3, 8, 1)
    base = 255 * torch.rand(2, 2, 3, 9, 15)
    found = PostNetwork(design)(torch.randn(2, 3), base)
    torch.testing.assert_close(found, base)


def test_coded_pictures_are_lazy(odd: Container) -> None:
    clip = HybridCodec().decode(odd)
    assert not isinstance(clip, AvClip)
    first = next(iter(clip.batches(2)))
    np.testing.assert_array_equal(first, frames(clip)[:2])
