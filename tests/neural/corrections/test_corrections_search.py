import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_stack import FakeStack, tiny_clip
from torch.overrides import TorchFunctionMode

from seesame.bitstream.container import Container, Section
from seesame.bitstream.entropy import SymbolEncoder
from seesame.codecs.hnerv.codec import HnervCodec
from seesame.codecs.hnerv.decode import unpack
from seesame.codecs.hnerv.file import HnervFile
from seesame.codecs.hnerv.file import corrected as corrected_file
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.metric.evaluator import ReferenceOutputs, evaluate, reference_outputs
from seesame.neural.corrections.apply import apply
from seesame.neural.corrections.prices import Prices
from seesame.neural.corrections.search import CorrectionSearch, Plan
from seesame.neural.corrections.sidecar import (
    FIELDS,
    KINDS,
    Corrections,
    pack_sidecar,
    read_sidecar,
)
from seesame.neural.corrections.slopes import Weights, linearise
from seesame.neural.weights.pack import pack_stream
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.unpack import unpack_stream

CLIP = tiny_clip(11)
SETTINGS = {"steps": 60, "latent": 4, "bytes": 2000, "sidecar": False}


def score(container: Container, outputs: ReferenceOutputs, stack: FakeStack) -> float:
    data = container.to_bytes()
    decoded = HnervCodec().decode(Container.from_bytes(data))
    return evaluate(outputs, decoded, stack, len(data)).score.total


@pytest.fixture(scope="module")
def trained() -> Container:
    return HnervCodec().encode(CLIP, SETTINGS, EncodeContext(stack=FakeStack()))


@pytest.fixture(scope="module")
def outputs() -> ReferenceOutputs:
    """Of a source so large that bits cost next to nothing."""
    return dataclasses.replace(reference_outputs(CLIP, FakeStack()), source_bytes=10**8)


def corrected(
    container: Container,
    outputs: ReferenceOutputs,
    stack: FakeStack,
    plan: Plan,
    stop: Callable[[], bool] = lambda: False,
) -> Container:
    return corrected_file(container, CorrectionSearch(outputs, stack, plan, stop))


PLANS = [
    Plan(rounds=2),
    Plan(rounds=2, kinds=()),
    *(Plan(rounds=2, kinds=(kind,), latents=False) for kind in KINDS),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: "+".join(p.kinds) or "latents")
def test_every_search_lowers_the_true_score(
    trained: Container, outputs: ReferenceOutputs, plan: Plan
) -> None:
    stack = FakeStack()
    found = corrected(trained, outputs, stack, plan)
    assert score(found, outputs, stack) < score(trained, outputs, stack)
    same = found.sections[Section.LATENTS] == trained.sections[Section.LATENTS]
    assert same == (not plan.latents)
    corrections = read_sidecar(found)
    used = {kind for kind, n in corrections.counts().items() if n} if corrections else set()
    assert used <= set(plan.kinds)
    if corrections:
        assert not corrections.values[5].any(), "the odd last frame is judged by nobody"


def test_the_same_search_finds_the_same(trained: Container, outputs: ReferenceOutputs) -> None:
    found = [corrected(trained, outputs, FakeStack(), Plan(rounds=2)).to_bytes() for _ in range(2)]
    assert found[0] == found[1]


def test_corrections_that_do_not_pay_are_not_written(
    trained: Container, outputs: ReferenceOutputs
) -> None:
    tiny = dataclasses.replace(outputs, source_bytes=50)
    found = corrected(trained, tiny, FakeStack(), Plan(rounds=1))
    assert Section.SIDECAR not in found.sections
    # Prices of latents are estimates; an encode judges the real file.
    assert len(found.to_bytes()) < len(trained.to_bytes()) + 4


def test_a_search_without_time_or_that_is_stopped_changes_nothing(
    trained: Container, outputs: ReferenceOutputs
) -> None:
    for plan, stop in ((Plan(seconds=0.0), False), (Plan(), True)):
        found = corrected(trained, outputs, FakeStack(), plan, stop=lambda stop=stop: stop)
        assert found.sections == trained.sections


def test_a_search_keeps_to_its_time(trained: Container, outputs: ReferenceOutputs) -> None:
    start = time.monotonic()
    corrected(trained, outputs, FakeStack(), Plan(seconds=1.0))
    assert time.monotonic() - start < 4


def test_stacks_without_pose_and_sizes_between(trained: Container) -> None:
    """Where the source has fewer than two rows a row, the stack sees what the eye sees."""
    stack = FakeStack()
    stack.has_pose = False
    size = {"width": 100, "height": 50}
    clip = tiny_clip(11, (50, 100))
    outputs = dataclasses.replace(reference_outputs(clip, stack), source_bytes=10**8)
    container = dataclasses.replace(trained, **size)
    found = corrected(container, outputs, stack, Plan(rounds=1))
    assert score(found, outputs, stack) < score(container, outputs, stack)


def test_files_of_an_older_layout_keep_their_latents() -> None:
    golden = Path(__file__).resolve().parents[2] / "golden" / "hnerv" / "small.ssm"
    container = Container.read(golden)
    clip = tiny_clip(container.num_frames, (container.height, container.width))
    outputs = dataclasses.replace(reference_outputs(clip, FakeStack()), source_bytes=10**8)
    found = corrected(container, outputs, FakeStack(), Plan(rounds=1))
    assert found.sections.keys() - container.sections.keys() == {Section.SIDECAR}
    assert found.sections[Section.LATENTS] == container.sections[Section.LATENTS]
    assert score(found, outputs, FakeStack()) < score(container, outputs, FakeStack())


def test_an_encode_corrects_and_never_makes_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tiny_clip(11)
    clip.source_bytes = 10**8
    plain = HnervCodec().encode(clip, SETTINGS, EncodeContext(stack=FakeStack()))
    settings = {**SETTINGS, "sidecar": True}
    made = HnervCodec().encode(clip, settings, EncodeContext(stack=FakeStack()))
    outputs = reference_outputs(clip, FakeStack())
    assert score(made, outputs, FakeStack()) < score(plain, outputs, FakeStack())

    def spoil(file: HnervFile, container: Container, search: CorrectionSearch) -> Container:
        bad = Corrections.none(6)
        bad.values[:, 1, 4] = 100
        payload = {Section.SIDECAR: pack_sidecar(bad)}
        return dataclasses.replace(container, sections=container.sections | payload)

    monkeypatch.setattr(HnervFile, "corrections", spoil)
    kept = HnervCodec().encode(clip, settings, EncodeContext(stack=FakeStack()))
    for section in (Section.WEIGHTS, Section.LATENTS):
        assert kept.sections[section] == plain.sections[section]
    assert Section.SIDECAR not in kept.sections


class Breaks(FakeStack):
    """Its pose network fails once slopes are asked for, as on a device that lacks an operation."""

    def pose(self, pairs: torch.Tensor) -> torch.Tensor:
        values = super().pose(pairs)
        if values.requires_grad and len(pairs) > 3:  # training takes three pairs at a time
            raise RuntimeError("aten::float64 is not implemented\non this device")
        return values


def test_a_search_that_fails_does_not_lose_what_was_trained() -> None:
    clip, notes = tiny_clip(12), list[str]()
    settings = {**SETTINGS, "sidecar": True}
    context = EncodeContext(stack=Breaks(), note=notes.append)
    made = HnervCodec().encode(clip, settings, context)
    plain = HnervCodec().encode(clip, SETTINGS, EncodeContext(stack=FakeStack()))
    assert made.sections[Section.WEIGHTS] == plain.sections[Section.WEIGHTS]
    assert Section.SIDECAR not in made.sections
    assert len(notes) == 1
    assert "aten::float64 is not implemented on this device" in notes[0]


class NoFloat64(TorchFunctionMode):
    """A device without float64, as Apple's GPUs: only what came to the CPU may become float64."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func is torch.Tensor.double and not getattr(args[0], "on_cpu", False):
            raise TypeError("this device has no float64")
        made = func(*args, **(kwargs or {}))
        if func is torch.Tensor.cpu:
            made = made.clone()
            made.on_cpu = True
        return made


def test_slopes_need_no_float64_on_the_device(
    trained: Container, outputs: ReferenceOutputs
) -> None:
    decoder, latents = unpack(trained)
    none = torch.zeros(2, 2, len(FIELDS), dtype=torch.int8)
    wanted = (outputs.classes[:2], outputs.poses[:2, :2])
    with NoFloat64():
        slopes = linearise(decoder, FakeStack(), latents[:2], none, wanted, Weights(1, 1), None)
    assert slopes.linear.dtype == np.float64


def test_the_file_s_frames_are_corrected(trained: Container) -> None:
    brighter = Corrections.none(6)
    brighter.values[4, 1, 4] = 40
    payload = {Section.SIDECAR: pack_sidecar(brighter)}
    container = dataclasses.replace(trained, sections=trained.sections | payload)
    before = np.concatenate(list(HnervCodec().decode(trained).batches(3))).astype(int)
    after = np.concatenate(list(HnervCodec().decode(container).batches(7))).astype(int)
    change = (after - before).mean((1, 2, 3))
    assert 8 < change[9] <= 10
    assert not np.delete(change, 9).any()
    contest = Container.from_bytes(container.to_bytes(contest=True))
    same = np.concatenate(list(HnervCodec().decode(contest).batches(4)))
    np.testing.assert_array_equal(same, after)
    (note,) = HnervCodec().notes(container).values()
    assert note.endswith("of 6 pairs corrected: colour 1")
    assert HnervCodec().notes(trained) == {}


def test_a_damaged_sidecar_is_refused(trained: Container) -> None:
    coder = SymbolEncoder()
    coder.adaptive([0] * 14, 3)
    sections = trained.sections | {Section.SIDECAR: coder.to_bytes()}
    container = dataclasses.replace(trained, sections=sections)
    with pytest.raises(DamagedError, match="corrects nothing"):
        HnervCodec().decode(container)


def test_the_setting_is_checked() -> None:
    with pytest.raises(UserError, match="sidecar must be true or false"):
        HnervCodec().encode(CLIP, {"sidecar": 1}, EncodeContext(stack=FakeStack()))


def test_prices_are_near_what_the_coder_takes() -> None:
    random = np.random.default_rng(0)
    walk = random.integers(-3, 4, (2, 4000)).cumsum(axis=1)
    noise = np.rint(random.normal(0, 5, (2, 4000))).astype(np.int64)
    symbols = np.concatenate([walk, noise]).T
    values = Corrections.none(4000).values
    values[::5, 0, 0] = random.integers(-5, 6, 800)
    prices = Prices(values, symbols, known=True)
    rows = unpack_stream(pack_stream(Rows(symbols.T, np.zeros(4, int))), (4, 4000), "l")
    pairs = np.arange(0, 4000, 2)
    moves = np.zeros((2000, 4), np.int64)
    moves[:, 2] = np.sign(symbols[pairs, 2])
    new = rows.symbols.T.copy()
    new[pairs] += moves
    exponents = np.zeros(4, int)
    grown = len(pack_stream(Rows(new.T, exponents)))
    grown -= len(pack_stream(Rows(symbols.T, exponents)))
    told = prices.change(pairs, (values, symbols), (values[pairs], new[pairs])).sum() / 8
    assert told == pytest.approx(grown, rel=0.35)
    size = len(pack_sidecar(Corrections(values)))
    bare = np.zeros_like(values)
    told = prices.change(np.arange(4000), (bare, symbols), (values, symbols)).sum() / 8
    told += prices.fields[0, 127] * 4000 / 8
    assert told == pytest.approx(size, rel=0.15)


def test_slopes_foretell_small_changes(trained: Container, outputs: ReferenceOutputs) -> None:
    """A step of each number changes the pose values as the jacobian says."""
    stack = FakeStack()
    decoder, latents = unpack(trained)
    none = torch.zeros(2, 2, len(FIELDS), dtype=torch.int8)
    wanted = (outputs.classes[:2], outputs.poses[:2, : stack.judged])
    slopes = linearise(decoder, stack, latents[:2], none, wanted, Weights(1.0, 1.0), None)
    with torch.no_grad():
        rendered = decoder(latents[:2])
        for number in range(2 * len(FIELDS)):
            moved = []
            for sign in (-4, 4):
                values = none.flatten(1).clone()
                values[:, number] = sign
                frames = apply(rendered, values.view(2, 2, -1)).clamp(0, 255)
                moved.append(stack.pose(frames)[:, : stack.judged])
            found = (moved[1] - moved[0]) / 8
            torch.testing.assert_close(
                slopes.jacobian[:, :, number], found, rtol=0.1, atol=2e-4, msg=str(number)
            )
