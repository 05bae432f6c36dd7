import dataclasses
import json
import signal
import threading
import tracemalloc
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_stack import FakeStack, tiny_clip

from seesame.bitstream.container import Container, Section, unpack_config
from seesame.bitstream.varint import pack_varint
from seesame.codecs.hnerv.architecture import Architecture, pack_architecture
from seesame.codecs.hnerv.codec import HnervCodec
from seesame.codecs.hnerv.sections import CODEC_ID
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.metric.evaluator import evaluate, reference_outputs
from seesame.metric.limits import Limits
from seesame.neural.fitting.checkpoint import NAME
from seesame.neural.fitting.prepare import of_the_budget
from seesame.processes import ending_as_ctrl_c
from seesame.video.clip import ArrayClip, Clip, Frames

SETTINGS = {"steps": 30, "latent": 4, "bytes": 2000}


def encode(
    clip: Clip, settings: Mapping[str, Any] | None = None, **context: Any
) -> tuple[Container, bytes]:
    """A file, as read back from its bytes."""
    context.setdefault("stack", FakeStack())
    made = HnervCodec().encode(clip, settings or SETTINGS, EncodeContext(**context))
    data = made.to_bytes()
    return Container.from_bytes(data), data


def frames(clip: Clip, batch_size: int = 16) -> Frames:
    return np.concatenate(list(clip.batches(batch_size)))


def decoded(container: Container, batch_size: int = 16) -> Frames:
    return frames(HnervCodec().decode(container), batch_size)


@pytest.fixture(scope="module")
def odd() -> Container:
    """Nine frames at 61x127, encoded with hardly any training."""
    return encode(ArrayClip(tiny_clip(9, (61, 127)).frames, fps=Fraction(30000, 1001)))[0]


def test_training_lowers_the_score() -> None:
    clip, losses = tiny_clip(16), []

    def note(share: float, text: str) -> None:
        if text.startswith("loss"):
            losses.append(float(text.split()[1].rstrip(",")))

    settings = {"steps": 300, "latent": 6, "bytes": 3000}
    container, data = encode(clip, settings, progress=note)
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])
    stack = FakeStack()
    after = evaluate(clip, HnervCodec().decode(container), stack, len(data)).score
    untrained, first = encode(clip, {**settings, "steps": 1})
    before = evaluate(clip, HnervCodec().decode(untrained), stack, len(first)).score
    assert after.seg < 0.15 < before.seg
    assert after.total < 0.4 * before.total


def test_the_same_seed_gives_the_same_bytes() -> None:
    clip = tiny_clip(6)
    same = {encode(clip, seed=3)[1] for _ in range(2)}
    assert len(same) == 1
    assert encode(clip, seed=4)[1] not in same


def test_the_header_is_the_clip_s(odd: Container) -> None:
    clip = HnervCodec().decode(odd)
    assert (clip.width, clip.height, clip.num_frames) == (127, 61, 9)
    assert clip.fps == Fraction(30000, 1001)
    assert clip.source_bytes == 9 * 61 * 127 * 3
    assert odd.codec_id == CODEC_ID


def test_the_file_holds_what_made_it(odd: Container) -> None:
    found = unpack_config(odd.sections[Section.CONFIG])
    assert found == {**SETTINGS, "stack": "fake", "seed": 0}


def test_an_odd_last_frame_is_kept(odd: Container) -> None:
    found = decoded(odd)
    assert found.shape == (9, 61, 127, 3)
    assert found.dtype == np.uint8
    assert found[-1].std() > 0


def test_decoding_twice_gives_the_same_frames(odd: Container) -> None:
    clip = HnervCodec().decode(odd)
    np.testing.assert_array_equal(frames(clip), frames(clip))
    np.testing.assert_array_equal(frames(clip), decoded(odd))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 8, 100])
def test_pixels_do_not_depend_on_the_reader_s_batches(odd: Container, batch_size: int) -> None:
    sizes = [len(b) for b in HnervCodec().decode(odd).batches(batch_size)]
    assert all(s == batch_size for s in sizes[:-1])
    assert sum(sizes) == 9
    np.testing.assert_array_equal(decoded(odd, batch_size), decoded(odd))


def test_a_file_without_its_settings_decodes(odd: Container) -> None:
    """The contest profile drops them."""
    sections = {k: v for k, v in odd.sections.items() if k != Section.CONFIG}
    bare = dataclasses.replace(odd, sections=sections, contest=True, source_bytes=0)
    np.testing.assert_array_equal(decoded(Container.from_bytes(bare.to_bytes())), decoded(odd))


@pytest.mark.parametrize(("num_frames", "size"), [(2, (64, 128)), (3, (20, 40)), (2, (1, 1))])
def test_the_smallest_clips(num_frames: int, size: tuple[int, int]) -> None:
    container, _ = encode(tiny_clip(num_frames, size), {"steps": 4, "latent": 1, "bytes": 500})
    assert decoded(container).shape == (num_frames, *size, 3)


def test_a_clip_of_one_grey_compresses() -> None:
    clip = ArrayClip(np.full((4, 40, 80, 3), 77, np.uint8))
    container, _ = encode(clip, {"steps": 40, "latent": 2})
    assert decoded(container).shape == clip.frames.shape


def test_the_size_is_aimed_at() -> None:
    """So few steps come only near it; the steps of a real run come nearer."""
    sizes = {}
    for wanted in (1500, 3000, 6000):
        settings = {"steps": 80, "bytes": wanted, "latent": 6}
        sizes[wanted] = len(encode(tiny_clip(16), settings)[1])
        assert 0.65 * wanted < sizes[wanted] < 1.55 * wanted
    assert list(sizes.values()) == sorted(sizes.values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_ctrl_c_gives_the_best_file_so_far(
    tmp_path: Path, number: signal.Signals
) -> None:
    """SIGTERM, as of ``docker stop``, does the same in a command."""
    usual, seen = signal.getsignal(signal.SIGINT), []

    def interrupt(share: float, text: str) -> None:
        seen.append(share)
        if len(seen) == 20:
            signal.raise_signal(number)

    clip = tiny_clip(8)
    with ending_as_ctrl_c():
        container, _ = encode(clip, {**SETTINGS, "steps": 1000}, progress=interrupt, work=tmp_path)
    assert len(seen) == 20
    assert decoded(container).shape == clip.frames.shape
    assert signal.getsignal(signal.SIGINT) == usual
    # The state is kept, and the run goes on from it.
    assert (tmp_path / NAME).exists()
    seen.clear()
    settings = {**SETTINGS, "steps": 40, "resume": True}
    again = {"progress": lambda share, text: seen.append(share), "work": tmp_path}
    encode(clip, settings, **again)
    assert seen[0] == 0.0  # the look at the source
    assert 0.01 < seen[1] < 0.1
    assert not (tmp_path / NAME).exists()


def test_the_second_ctrl_c_stops_at_once() -> None:
    usual = signal.getsignal(signal.SIGINT)

    def interrupt(share: float, text: str) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        encode(tiny_clip(4), progress=interrupt)
    assert signal.getsignal(signal.SIGINT) == usual


def test_encoding_in_another_thread() -> None:
    """Signals belong to the main thread; elsewhere an encode must do without them."""
    made: list[bytes] = []
    worker = threading.Thread(target=lambda: made.append(encode(tiny_clip(4))[1]))
    worker.start()
    worker.join()
    assert made == [encode(tiny_clip(4))[1]]


def test_another_clip_s_checkpoint_is_refused(tmp_path: Path) -> None:
    def interrupt(share: float, text: str) -> None:
        if share > 0.5:
            signal.raise_signal(signal.SIGINT)

    stack = FakeStack()
    stack.has_pose = False  # so that the classes alone tell the clips apart
    encode(tiny_clip(8), progress=interrupt, work=tmp_path, stack=stack)
    settings = {**SETTINGS, "resume": True}
    with pytest.raises(UserError, match="an encode with another source;"):
        encode(tiny_clip(8, seed=9), settings, work=tmp_path, stack=stack)
    with pytest.raises(UserError, match="an encode with another settings;"):
        encode(tiny_clip(8), {**settings, "pixel_weight": 0.5}, work=tmp_path, stack=stack)
    # How long to train, and when to stop, may be another.
    encode(tiny_clip(8), {**settings, "steps": 60, "max_seg": 0.9}, work=tmp_path, stack=stack)
    assert not (tmp_path / NAME).exists()


def test_limits_are_judged_on_every_frame_as_the_outside_judges(tmp_path: Path) -> None:
    clip, log, advice = tiny_clip(9), tmp_path / "run.jsonl", []
    settings = {"steps": 40, "latent": 4, "max_seg": ["red=0.001", "p90=0.0001"], "sidecar": False}
    container, data = encode(clip, settings, log=log, advise=advice.append)
    clip_again = HnervCodec().decode(container)
    found = evaluate(clip, clip_again, FakeStack(), len(data), every_frame=True).figures
    limits = Limits.from_settings(settings)
    told = [json.loads(line) for line in log.read_text().splitlines()]
    chosen = [one for one in told if one.get("number") == told[-1]["number"]]
    assert chosen[0]["excess"] == pytest.approx(limits.excess(found))
    assert {"seg", "limits"} <= next(one for one in told if one["kind"] == "step")["terms"].keys()
    assert len(advice) == bool(limits.missed(found)) == 1
    assert advice[0].startswith("--set steps=")


def test_without_limits_nothing_of_them_is_trained(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    encode(tiny_clip(6), {**SETTINGS, "steps": 3, "target_score": -0.0}, log=log)
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert "limits" not in next(one for one in told if one["kind"] == "step")["terms"]


def test_progress_is_of_the_whole_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the stages before and after the training are."""
    told: list[float] = []
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    tell = of_the_budget(lambda share, text: told.append(share), 990.0, 40.0)
    tell(0.0, "reading the source")
    now = 1020.0
    tell(0.01, "loss 1.0")
    now = 1100.0
    tell(0.9, "loss 1.0")
    assert told == pytest.approx([0.25, 0.75, 1.0])


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    notes: list[str] = []
    settings = {**SETTINGS, "steps": 4, "resume": True}
    encode(tiny_clip(4), settings, work=tmp_path / "a.work", note=notes.append)
    assert len(notes) == 1
    assert "no checkpoint there" in notes[0]


class Counting(FakeStack):
    """Counts the second frames that it has judged without training."""

    judged_frames = 0

    def segment(self, rgb: torch.Tensor) -> torch.Tensor:
        if torch.is_inference_mode_enabled():
            self.judged_frames += len(rgb)
        return super().segment(rgb)


def test_outputs_that_are_known_are_not_made_again() -> None:
    clip, settings = tiny_clip(40), {**SETTINGS, "steps": 2}
    outputs = reference_outputs(clip, FakeStack())
    first, second = Counting(), Counting()
    made = encode(clip, settings, stack=first)[1]
    assert encode(clip, settings, stack=second, outputs=outputs)[1] == made
    # All 20 pairs less those few on which the networks are timed.
    assert second.judged_frames <= first.judged_frames - 20 + 8


def without_gradients() -> FakeStack:
    stack = FakeStack()
    stack.differentiable = False
    return stack


@pytest.mark.parametrize(
    ("settings", "context", "num_frames", "word"),
    [
        ({}, {"stack": None}, 4, "none was given"),
        ({}, {"stack": without_gradients()}, 4, "no gradients"),
        ({"stesp": 3}, {}, 4, "stesp"),
        ({"preset": "turbo"}, {}, 4, "turbo"),
        ({"steps": -1}, {}, 4, "steps"),
        ({"resume": True, "steps": 2}, {}, 4, "work folder"),
        ({"steps": 2}, {}, 1, "two frames"),
    ],
)
def test_mistakes_get_one_line(
    settings: dict[str, Any], context: dict[str, Any], num_frames: int, word: str
) -> None:
    with pytest.raises(UserError, match=word) as caught:
        encode(tiny_clip(num_frames), settings or {"steps": 2}, **context)
    assert "\n" not in str(caught.value)


def hostile(odd: Container, **changes: Any) -> Container:
    """The file with some sections or header fields replaced."""
    sections = dict(odd.sections)
    for name in ("model", "weights", "latents"):
        if name in changes:
            payload = changes.pop(name)
            sections.pop(Section[name.upper()])
            if payload is not None:
                sections[Section[name.upper()]] = payload
    return dataclasses.replace(odd, sections=dict(sorted(sections.items())), **changes)


def shape(*numbers: int) -> bytes:
    return b"".join(pack_varint(n) for n in numbers)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": None},
        {"weights": None},
        {"latents": None},
        {"model": b""},
        {"weights": b""},
        {"latents": b"\xff" * 40},
        {"model": shape(2048, 2048, 256, 256, 256, 256, 256, 256)},
        {"model": shape(61, 127, 256, 256, 256, 256, 256, 256)},
        {"model": shape(2**60, 2**60, 4, 4, 4, 4, 4, 4)},
        {"model": pack_architecture(Architecture((62, 127), 4, (4,) * 5))},
        {"num_frames": 2**31 - 1},
        {"num_frames": 2_000_000},
        {"num_frames": 3},
        {"num_frames": 90},
        {"width": 60000},
        {"width": 63},
        {"height": 31},
    ],
)
def test_hostile_files_are_refused_cheaply(odd: Container, changes: dict[str, Any]) -> None:
    bad = Container.from_bytes(hostile(odd, **changes).to_bytes())
    tracemalloc.start()
    try:
        with pytest.raises(DamagedError):
            HnervCodec().decode(bad)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200e6


@pytest.mark.parametrize("section", ["weights", "latents"])
def test_a_changed_byte_never_crashes_the_decoder(odd: Container, section: str) -> None:
    payload = bytearray(odd.sections[Section[section.upper()]])
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(payload), 12):
        changed = payload.copy()
        changed[place] ^= int(rng.integers(1, 256))
        try:
            list(HnervCodec().decode(hostile(odd, **{section: bytes(changed)})).batches(16))
        except DamagedError:
            refused += 1
    assert refused > 0


def test_a_stack_that_could_train_stays_as_it_is() -> None:
    stack = FakeStack()
    weight = torch.ones(1, requires_grad=True)
    plain = stack.segment
    stack.segment = lambda rgb: plain(rgb) * weight  # type: ignore[method-assign]
    encode(tiny_clip(4), {"steps": 6, "latent": 2, "bytes": 600}, stack=stack)
    assert float(weight.detach()) == 1


def test_progress_rises_to_the_end() -> None:
    shares: list[float] = []
    encode(tiny_clip(4), progress=lambda share, text: shares.append(share))
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.9 < shares[-1] <= 1


def test_another_clips_file_is_a_start(tmp_path: Path) -> None:
    path = tmp_path / "old.ssm"
    old = HnervCodec().encode(tiny_clip(16), {**SETTINGS, "steps": 200}, EncodeContext(FakeStack()))
    old.write(path)
    clip, short = tiny_clip(12, seed=0), {**SETTINGS, "steps": 25}
    cold, warm = (encode(clip, s)[0] for s in (short, {**short, "init": str(path)}))
    scores = [
        evaluate(clip, HnervCodec().decode(c), FakeStack(), 1).score.total for c in (cold, warm)
    ]
    assert scores[1] < scores[0]
    assert "init" not in unpack_config(warm.sections[Section.CONFIG])


def test_a_start_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    for name, data in (("text.ssm", b"no file of ours"), ("gone.ssm", None)):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(UserError, match=name):
            encode(tiny_clip(4), {**SETTINGS, "init": str(path)})
    with pytest.raises(UserError, match="init"):
        encode(tiny_clip(4), {**SETTINGS, "init": 3})
