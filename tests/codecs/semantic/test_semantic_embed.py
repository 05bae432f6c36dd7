import math
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Ran
from fake_stack import tiny_clip
from tiny_stack import TinyStack
from torch import Tensor

from seesame.bitstream.container import Container, Section
from seesame.codecs.semantic import installed
from seesame.codecs.semantic.codec import SemanticCodec
from seesame.codecs.semantic.labels import read_labels
from seesame.codecs.semantic.renderer_file import pack_file, read_file
from seesame.codecs.semantic.sections import read_head
from seesame.codecs.semantic.training import loop
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UnsupportedSettingError, UserError
from seesame.metric.evaluator import evaluate
from seesame.perception.stack import Stack
from seesame.video.clip import ArrayClip, Frames
from seesame.video.resize import resize


class NearStack(TinyStack):
    """TinyStack with classes so near each other that few steps lead from one to the next."""

    def segment(self, rgb: Tensor) -> Tensor:
        grey = resize(rgb, self.input_size).mean(dim=1, keepdim=True)
        return torch.cat([-(grey - middle).abs() / 4 for middle in (108.0, 128.0, 148.0)], dim=1)


CODEC = SemanticCodec()


def clip_of(count: int, size: tuple[int, int] = (48, 64)) -> ArrayClip:
    """Return a clip whose three classes move, of a source large enough that bytes are cheap."""
    frames = tiny_clip(count, size).frames
    return ArrayClip(frames, source_bytes=10**7)


def encode(clip: ArrayClip, stack: Stack | None = None, **settings: Any) -> Container:
    """Return a file with an embedded renderer, as read back from its bytes."""
    context = EncodeContext(stack=stack or NearStack())
    made = CODEC.encode(clip, {"embed": True, "steps": 3} | settings, context)
    return Container.from_bytes(made.to_bytes())


def frames(container: Container) -> Frames:
    return np.concatenate(list(CODEC.decode(container).batches(4)))


@pytest.fixture(scope="module")
def small() -> Container:
    return encode(clip_of(7, (40, 56)))


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(installed, "installed", lambda *_: [])


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("every_frame", [False, True])
@pytest.mark.parametrize("contest", [False, True])
def test_a_file_is_decoded_with_nothing_installed(every_frame: bool, contest: bool) -> None:
    clip = clip_of(7, (40, 56))
    made = encode(clip, every_frame=every_frame)
    container = Container.from_bytes(made.to_bytes(contest=contest))
    assert frames(container).shape == clip.frames.shape
    assert read_head(container).embedded
    labels = read_labels(container)
    assert labels.classes == NearStack.classes
    assert len(list(labels)) == (7 if every_frame else 3)


def test_training_lowers_the_score() -> None:
    clip, stack = clip_of(8), NearStack()
    few, many = (encode(clip, stack, steps=steps) for steps in (1, 120))
    before, after = (
        evaluate(clip, CODEC.decode(one), stack, len(one.to_bytes())).score for one in (few, many)
    )
    assert after.seg < 0.5 * before.seg
    assert after.total < before.total


def test_the_same_seed_gives_the_same_bytes(small: Container) -> None:
    assert encode(clip_of(7, (40, 56))).to_bytes() == small.to_bytes()


def test_a_stack_without_pose_gets_no_carrier() -> None:
    class Blind(NearStack):
        has_pose = False

    made = encode(clip_of(4), Blind())
    assert Section.LATENTS not in made.sections
    assert "carrier" not in CODEC.notes(made)["renderer"]
    assert len(frames(made)) == 4


def test_notes_say_what_the_renderer_takes(small: Container) -> None:
    text = CODEC.notes(small)["renderer"]
    size = len(small.sections[Section.RENDERER])
    assert text.startswith(f"in the file, {size:,} bytes: renderer ")
    assert "carrier" in text
    assert small.config() == {"embed": True, "steps": 3, "simplify": 10, "every_frame": False}


def test_the_renderer_in_a_file_says_nothing_of_the_stack(small: Container) -> None:
    header, _ = read_file(small.sections[Section.RENDERER], "it")
    assert header["stack"] == header["fingerprint"] == ""


def test_a_damaged_renderer_is_refused(small: Container) -> None:
    """Every kind of damage is told in one line: none crashes, none is decoded."""
    whole = small.sections[Section.RENDERER]
    header, parts = read_file(whole, "it")
    random = np.random.default_rng(0)
    damaged = [whole[:-1], whole + b"\0", b"", whole[:40]]
    for _ in range(40):
        at = int(random.integers(len(whole)))
        wrong = bytes([whole[at] ^ int(random.integers(1, 256))])
        damaged.append(whole[:at] + wrong + whole[at + 1 :])
    for change in ({"classes": ["a", "b"]}, {"networks": {}}, {"judged": -1}):
        damaged.append(pack_file({**header, **change}, parts))
    for part in parts:  # sound checksums, other weights
        damaged.append(pack_file(header, {**parts, part: parts[part][: len(parts[part]) // 2]}))
    for data in damaged:
        sections = {**small.sections, Section.RENDERER: data}
        with pytest.raises(DamagedError, match="renderer"):
            frames(replace(small, sections=sections))


def test_a_file_without_its_renderer_is_refused(small: Container) -> None:
    sections = {k: v for k, v in small.sections.items() if k != Section.RENDERER}
    with pytest.raises(DamagedError, match="RENDERER section is missing"):
        frames(replace(small, sections=sections))
    with pytest.raises(DamagedError, match="RENDERER section is missing"):
        CODEC.notes(replace(small, sections=sections))


def test_a_renderer_smaller_than_the_masks_is_refused(small: Container) -> None:
    class Large(NearStack):
        input_size = (64, 64)

    other = encode(clip_of(4, (64, 64)), Large())
    renderer = small.sections[Section.RENDERER]
    with pytest.raises(DamagedError, match="does not fit its renderer"):
        frames(replace(other, sections={**other.sections, Section.RENDERER: renderer}))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"embed": 1}, "embed must be true or false"),
        ({"embed": True, "renderer": "x.renderer"}, "leave renderer out"),
        ({"budget_s": 60}, "budget_s is for embed=true"),
        ({"steps": 5}, "steps is for embed=true"),
        ({"embed": True, "budget_s": 1}, "budget_s must be a number from 10"),
        ({"embed": True, "budget_s": math.nan}, "budget_s must be a number"),
        ({"embed": True, "budget_s": "8m"}, "budget_s must be a number"),
        ({"embed": True, "steps": 0}, "steps must be a whole number"),
        ({"embed": True, "steps": 2.5}, "steps must be a whole number"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnsupportedSettingError, match=problem):
        CODEC.needs_stack(settings)


def test_a_stack_without_gradients_is_refused() -> None:
    class Frozen(NearStack):
        differentiable = False

    with pytest.raises(UserError, match="not differentiable"):
        encode(clip_of(4), Frozen())


def test_a_clip_of_no_bytes_is_refused() -> None:
    clip = ArrayClip(clip_of(4).frames, source_bytes=0)
    with pytest.raises(UserError, match="no bytes"):
        encode(clip)


def test_ctrl_c_ends_the_training_and_keeps_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    step, taken = loop.Run._train_step, []

    def stop(self: loop.Run) -> None:
        taken.append(type(self).__name__)
        step(self)
        if len(taken) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop.Run, "_train_step", stop)
    made = encode(clip_of(4), steps=10**6)
    assert taken == ["Run", "Run"]
    assert len(frames(made)) == 4


def test_the_time_bounds_the_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        """Time that passes with the steps of the training alone."""

        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock, step = Clock(), loop.Run._train_step

    def count(self: loop.Run) -> None:
        step(self)
        clock.now += 4

    monkeypatch.setattr(loop.Run, "_train_step", count)
    for module in ("training.loop", "encode", "embed"):
        monkeypatch.setattr(f"seesame.codecs.semantic.{module}.time", clock)
    encode(clip_of(4), steps=None, budget_s=40)
    assert 36 <= clock.now <= 48


def test_the_budget_of_the_command_line_is_taken(
    seesame: Callable[..., Ran], drive: Path, tmp_path: Path
) -> None:
    words = ["compress", drive, "-o", tmp_path / "a.ssm", "--codec", "semantic", "--quiet"]
    made = seesame(*words, "--budget", "10s", "--set", "embed=true")
    assert made.code == 0, made.err
    assert Container.read(tmp_path / "a.ssm").config()["budget_s"] == 10
    refused = seesame(*words, "--budget", "10s", "--overwrite")
    assert refused.code == 2
    assert "--budget is for" in refused.err


def test_decoding_loads_no_training(small: Container, tmp_path: Path) -> None:
    path = tmp_path / "small.ssm"
    small.write(path)
    code = """
import sys
from pathlib import Path
from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id
container = Container.read(Path(sys.argv[1]))
for _ in codec_by_id(container.codec_id).decode(container).batches(4):
    pass
print(*sorted(sys.modules))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    loaded = ran.stdout.split()
    assert "seesame.codecs.semantic.decode" in loaded
    assert not [name for name in loaded if "training" in name or "fitting" in name]
