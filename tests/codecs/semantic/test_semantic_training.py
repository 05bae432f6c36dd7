from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_stack import TinyStack

from seesame.codecs.semantic.networks import Renderer, RendererDesign
from seesame.codecs.semantic.renderer_file import Part
from seesame.codecs.semantic.shared import SharedRenderer
from seesame.codecs.semantic.training import carrier
from seesame.codecs.semantic.training.augment import augment
from seesame.codecs.semantic.training.drives import Seen, seen_in_clip, seen_in_scenes
from seesame.codecs.semantic.training.loop import Run, disagreement
from seesame.codecs.semantic.training.losses import loss, margins
from seesame.codecs.semantic.training.settings import TrainingSettings
from seesame.codecs.semantic.training.train import Training, check_stack, train_shared
from seesame.errors import UserError
from seesame.neural.fitting.checkpoint import NAME
from seesame.perception.stack import Stack
from seesame.video.clip import ArrayClip


class NearStack(TinyStack):
    """TinyStack with classes so near each other that few steps lead from one to the next."""

    has_pose = False

    def segment(self, rgb: torch.Tensor) -> torch.Tensor:
        grey = rgb.mean(dim=1, keepdim=True)
        return torch.cat([-(grey - middle).abs() / 4 for middle in (108.0, 128.0, 148.0)], dim=1)


def blobs(count: int, seed: int = 0) -> Seen:
    """Return random masks of TinyStack's classes: a few boxes each."""
    masks = torch.ones(2 * count, 48, 64, dtype=torch.uint8)
    random = np.random.default_rng(seed)
    for mask in masks:
        for _ in range(3):
            top, left = random.integers(0, 40), random.integers(0, 56)
            mask[top : top + 12, left : left + 16] = int(random.integers(3))
    return Seen(
        masks[:count],
        masks[count:],
        torch.randn(count, 2, generator=torch.Generator().manual_seed(seed)),
    )


STEPS = 100


def stages(label: str) -> AbstractContextManager:
    return nullcontext(lambda share, text: None)


def trained(
    folder: Path, steps: int, resume: bool = False, stack: Stack | None = None, **named: object
) -> SharedRenderer:
    settings = TrainingSettings(steps=steps, seed=1)
    how = {"stages": stages, "folder": folder, "resume": resume}
    drives = [blobs(8)]
    return train_shared(Training(stack or NearStack(), drives, settings, "cpu", **(how | named)))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> SharedRenderer:
    return trained(tmp_path_factory.mktemp("work"), STEPS)


def test_training_teaches_to_draw(first: SharedRenderer) -> None:
    unseen = blobs(8, seed=5).masks
    torch.manual_seed(0)
    before = disagreement(Renderer(first.renderer.design), NearStack(), unseen, "cpu")
    after = disagreement(first.renderer, NearStack(), unseen, "cpu")
    assert before.mean() > 0.1
    assert after.mean() < 0.4 * before.mean()
    assert after.shape == (16,)


def test_the_same_seed_gives_the_same_file(first: SharedRenderer, tmp_path: Path) -> None:
    assert trained(tmp_path, STEPS).digest == first.digest


@pytest.mark.parametrize("stopped_at", [7, 85])  # before and after quantisation begins
def test_a_stopped_training_goes_on_to_the_same_file(
    first: SharedRenderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    step = Run._train_step

    def stop(self: Run) -> None:
        if self.step == stopped_at:
            raise KeyboardInterrupt
        step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path, STEPS)
    assert (tmp_path / NAME).exists()
    assert trained(tmp_path, STEPS, resume=True).digest == first.digest
    assert not tmp_path.exists() or not list(tmp_path.iterdir())


@pytest.mark.parametrize("stopped_at", [3, 8])  # in the renderer's stage, and in the carrier's
def test_a_stack_with_a_pose_network_gets_a_carrier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    monkeypatch.setattr(carrier, "TUNING", replace(carrier.TUNING, pictures=20))
    shared = trained(tmp_path / "whole", 5, stack=TinyStack())
    assert set(shared.parts) == {Part.RENDERER, Part.CARRIER, Part.PRIOR}
    assert shared.judged == shared.carrier.design.poses == 2
    step, taken = Run._train_step, 0

    def stop(self: Run) -> None:
        nonlocal taken
        if taken == stopped_at:
            raise KeyboardInterrupt
        taken += 1
        step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "parts", 5, stack=TinyStack())
    resumed = trained(tmp_path / "parts", 5, resume=True, stack=TinyStack())
    assert resumed.digest == shared.digest
    assert not list(tmp_path.rglob(NAME))


def test_a_training_that_diverges_is_told(tmp_path: Path) -> None:
    class Broken(NearStack):
        def segment(self, rgb: torch.Tensor) -> torch.Tensor:
            return super().segment(rgb) * torch.nan

    with pytest.raises(UserError, match="diverged"):
        trained(tmp_path, 5, stack=Broken())


def test_a_checkpoint_of_another_training_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Run) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path, STEPS)
    with pytest.raises(UserError, match="steps"):
        trained(tmp_path, 50, resume=True)


def test_a_training_goes_on_from_a_renderer(first: SharedRenderer, tmp_path: Path) -> None:
    unseen = blobs(8, seed=5).masks
    later = trained(tmp_path, 10, start=first)
    assert later.digest != first.digest
    assert disagreement(later.renderer, NearStack(), unseen, "cpu").mean() < 0.05


def test_a_renderer_of_another_stack_is_no_start(first: SharedRenderer, tmp_path: Path) -> None:
    class Other(TinyStack):
        fingerprint = "cd" * 32

    with pytest.raises(UserError, match="belongs to stack tiny"):
        train_shared(
            Training(
                Other(), [blobs(2)], TrainingSettings(steps=1), "cpu", stages, tmp_path, start=first
            )
        )


def test_a_stack_without_gradients_is_refused(tmp_path: Path) -> None:
    class Frozen(TinyStack):
        differentiable = False

    with pytest.raises(UserError, match="not differentiable"):
        train_shared(Training(Frozen(), [blobs(2)], TrainingSettings(), "cpu", stages, tmp_path))


def test_a_stack_that_the_codec_cannot_take_is_refused() -> None:
    class Many(TinyStack):
        classes = tuple(f"class {number}" for number in range(31))

    class Wide(TinyStack):
        input_size = (48, 2049)

    for stack, said in ((Many(), "31 classes"), (Wide(), "2049x48 pixels")):
        with pytest.raises(UserError, match=said):
            check_stack(stack)


def test_margins_are_the_lead_over_the_best_other_class() -> None:
    logits = torch.tensor([3.0, 1.0, 2.5])[None, :, None, None]
    for mask, lead in ((0, 0.5), (1, -2.0), (2, -0.5)):
        assert margins(logits, torch.full((1, 1, 1), mask)).item() == pytest.approx(lead)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.65, 1.0])
def test_the_loss_falls_with_right_pixels(share: float) -> None:
    mask = torch.randint(0, 3, (1, 8, 8))
    right = torch.nn.functional.one_hot(mask, 3).permute(0, 3, 1, 2).float() * 6
    values = [float(loss(scale * right, mask, share)) for scale in (-1.0, 0.0, 1.0)]
    assert values == sorted(values, reverse=True)
    assert values[2] < 0.2 * values[0]


def test_augmented_masks_hold_only_classes_and_vary() -> None:
    masks = blobs(8).masks
    before = masks.clone()
    random = torch.Generator().manual_seed(0)
    found = [augment(masks, 3, random) for _ in range(4)]
    assert torch.equal(masks, before)
    for one in found:
        assert (one.shape, one.dtype) == (masks.shape, torch.uint8)
        assert one.max() < 3
    assert not torch.equal(found[0], found[1])
    again = augment(masks, 3, torch.Generator().manual_seed(0))
    assert torch.equal(again, found[0])


def test_pairs_are_spread_over_a_clip() -> None:
    grey = np.arange(21, dtype=np.uint8) * 12
    frames = np.broadcast_to(grey[:, None, None, None], (21, 48, 64, 3)).copy()
    stack = TinyStack()
    seen = seen_in_clip(ArrayClip(frames), stack, "cpu", 4)
    assert len(seen.first) == len(seen.second) == len(seen.poses) == 4
    wanted = [np.abs(grey[i].astype(float) - [42, 128, 213]).argmin() for i in (1, 7, 13, 19)]
    assert seen.second[:, 0, 0].tolist() == wanted
    assert torch.allclose(seen.poses, torch.tensor(12.0))
    assert len(seen_in_clip(ArrayClip(frames), stack, "cpu", 100).masks) == 20


@pytest.mark.parametrize("most", [4, 8, 20, 39])
def test_no_more_pairs_of_a_clip_are_seen_than_wanted_in_runs(most: int) -> None:
    grey = np.arange(80, dtype=np.uint8) * 3
    frames = np.broadcast_to(grey[:, None, None, None], (80, 48, 64, 3)).copy()
    shown: list[int] = []

    class Watching(TinyStack):
        def pose(self, pairs: torch.Tensor) -> torch.Tensor:
            shown.extend((pairs[:, 0, 0, 0, 0] / 6).round().int().tolist())
            return super().pose(pairs)

    seen_in_clip(ArrayClip(frames), Watching(), "cpu", most)
    run = min(8, most // 4)
    assert most / 3 <= len(shown) <= most
    assert shown == sorted(set(shown))
    assert all(pair + 1 in shown for pair in shown if pair % run < run - 1)


def test_synthetic_drives_are_seen_by_the_stack() -> None:
    seen = seen_in_scenes(TinyStack(), 1, "cpu", 0)
    assert seen.masks.shape[1:] == (48, 64)
    assert len(seen.masks.unique()) == 3
    assert torch.equal(seen.masks, seen_in_scenes(TinyStack(), 1, "cpu", 0).masks)


def test_the_design_is_that_of_the_stack(first: SharedRenderer) -> None:
    assert first.renderer.design == RendererDesign(3, 48, 64)
