from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seesame.bitstream.container import Section
from seesame.codecs.av.codec import AvCodec
from seesame.codecs.av.encoding.roi import Focus, kept, offsets, sensitivity
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.perception.lite.stack import LiteStack
from seesame.perception.stack import Stack
from seesame.video.clip import ArrayClip
from seesame.video.resize import to_float

SIZE = (64, 128)


class LeftStack(Stack):
    """Judges the left half alone: two classes by brightness, two pose values."""

    name = "left"
    fingerprint = "ab" * 32
    classes = ("dark", "bright")
    input_size = SIZE
    has_pose = True
    judged = 2
    differentiable = True

    def segment(self, rgb: Tensor) -> Tensor:
        light = (rgb.mean(1) - 128) / 64
        light[..., SIZE[1] // 2 :] = 3.0
        return torch.stack([-light, light], 1)

    def pose(self, pairs: Tensor) -> Tensor:
        left = pairs[..., : SIZE[1] // 2].square().mean((2, 3, 4)) / 1000
        return torch.stack([left[:, 1] - left[:, 0], left[:, 0], pairs.mean((1, 2, 3, 4))], 1)

    def to(self, device: torch.device) -> "LeftStack":
        return self


def noise(num_frames: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num_frames, *size, 3), dtype=np.uint8)


def keeping(num_frames: int) -> Tensor:
    """Return the share of each pixel of noise that is to be kept: ``(T, H, W)``."""
    return Focus(EncodeContext(LeftStack()))(to_float(noise(num_frames)), 0, SIZE)[:, 0]


def test_only_what_matters_to_the_stack_is_kept() -> None:
    keep = keeping(4)
    assert keep[:, :, :48].min() > 0.99  # a block beside the border is still its neighbour's
    assert keep[:, :, 88:].max() == 0


def test_nothing_of_a_last_frame_without_a_partner_is_kept() -> None:
    keep = keeping(3)
    assert keep[:2, :, :48].min() > 0.99
    assert keep[2].max() == 0


def test_the_seg_net_counts_on_second_frames_alone() -> None:
    stack = LeftStack()
    stack.has_pose = False
    found = sensitivity(stack, to_float(noise(4)))
    assert found.shape == (4, 1, *SIZE)
    assert not found[0::2].any()
    torch.testing.assert_close(found[1::2].mean((1, 2, 3)), torch.ones(2))


def test_a_sensitive_block_is_kept_whole_and_its_surroundings_fade() -> None:
    sensitive = torch.zeros(1, 1, 64, 128)
    sensitive[..., 20, 40] = 5.0  # in the block of rows 16..31 and columns 32..47
    keep = kept(sensitive, (64, 128))[0, 0]
    assert keep[16:32, 32:48].min() == 1
    assert keep[:, 88:].max() == 0
    assert kept(torch.zeros(1, 1, 64, 128), (30, 50)).max() == 0


def test_some_places_matter_to_the_lite_stack() -> None:
    stack = LiteStack.load()
    found = sensitivity(stack, to_float(noise(4, (90, 120))))
    assert found.shape == (4, 1, *stack.input_size)
    assert (found.mean((1, 2, 3)) > 0.9).all()
    assert found.isfinite().all()


def test_memory_is_bounded_by_pairs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stack, seen = LeftStack(), []
    pose = stack.pose
    monkeypatch.setattr(stack, "pose", lambda pairs: (seen.append(len(pairs)), pose(pairs))[1])
    frames = to_float(noise(14))
    Focus(EncodeContext(stack))(frames, 0, SIZE)
    assert seen == [2, 2, 2, 1]


def test_a_stack_without_gradients_is_refused() -> None:
    stack = LeftStack()
    stack.differentiable = False
    with pytest.raises(UserError, match="left has no gradients"):
        Focus(EncodeContext(stack))


def errors(name: str, **settings: Any) -> tuple[int, float, float]:
    """Bytes, and mean errors of the left half, which the stack judges, and of the right edge."""
    frames = noise(6)
    clip = ArrayClip(frames, source_bytes=10**6)
    chosen = {"preset": "veryfast", "crf": 30, "scale": 1, **settings}
    container = AvCodec(name).encode(clip, chosen, EncodeContext(LeftStack()))
    shown = np.concatenate(list(AvCodec(name).decode(container).batches(6)))
    error = np.abs(shown.astype(float) - frames).mean((0, 1, 3))
    return len(container.sections[Section.STREAM]), error[:48].mean(), error[96:].mean()


@pytest.mark.parametrize("name", ["x264", "x265"])
def test_fewer_bits_where_the_stack_does_not_look(name: str) -> None:
    size, left, right = errors(name)
    less, still, coarser = errors(name, roi_qp=12)
    assert less < 0.9 * size
    assert coarser > 1.1 * right
    assert still < 1.05 * left
    assert errors(name, roi_qp=12) == (less, still, coarser)


@pytest.mark.parametrize(
    ("name", "settings"),
    [(name, {"preset": p}) for name in ("x264", "x265") for p in ("ultrafast", "superfast", "fast")]
    + [(name, {"tune": "psnr"}) for name in ("x264", "x265")],
)
def test_no_preset_or_tuning_ignores_regions(name: str, settings: dict[str, Any]) -> None:
    assert errors(name, roi_qp=12, **settings)[0] < 0.95 * errors(name, **settings)[0]


def test_offsets_of_blocks() -> None:
    keep = torch.ones(2, 1, 40, 50)
    keep[0, 0, :16, :16] = 0.0
    keep[0, 0, :, 48:] = 0.5
    found = offsets(keep, 8)
    assert found.shape == (2, 3, 4)
    assert found[0].tolist() == [[8, 0, 0, 4], [0, 0, 0, 4], [0, 0, 0, 4]]
    assert not found[1].any()
