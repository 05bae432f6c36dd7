import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seesame.metric.distortion import pose_distortion, seg_distortion


def test_seg_distortion_is_the_share_of_changed_pixels() -> None:
    reference = torch.zeros(2, 4, 5, dtype=torch.uint8)
    classes = reference.clone()
    classes[1, 0, :3] = 2
    assert seg_distortion(reference, classes).tolist() == pytest.approx([0.0, 3 / 20])


def test_pose_distortion_reads_only_the_judged_values() -> None:
    reference = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    decoded = torch.tensor([[1.0, 4.0, 99.0], [3.0, 1.0, 0.0]])
    assert pose_distortion(reference, decoded, 2).tolist() == [2.0, 5.0]
    assert pose_distortion(reference, decoded, 1).tolist() == [0.0, 9.0]


def test_no_judged_value_is_no_distortion() -> None:
    nothing = torch.zeros(3, 0)
    assert pose_distortion(nothing, nothing, 0).tolist() == [0.0, 0.0, 0.0]


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="class maps differ"):
        seg_distortion(torch.zeros(1, 4, 4), torch.zeros(1, 4, 5))
    with pytest.raises(ValueError, match="pose values differ"):
        pose_distortion(torch.zeros(1, 6), torch.zeros(1, 1), 1)
    with pytest.raises(ValueError, match="7 judged"):
        pose_distortion(torch.zeros(1, 6), torch.zeros(1, 6), 7)


@given(st.lists(st.integers(0, 4), min_size=12, max_size=12), st.integers(0, 10**6))
def test_seg_distortion_agrees_with_counting(first: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    second = torch.randint(0, 5, (12,), generator=generator)
    expected = sum(a != b for a, b in zip(first, second.tolist(), strict=True)) / 12
    measured = seg_distortion(torch.tensor(first).view(1, 3, 4), second.view(1, 3, 4))
    assert measured.item() == pytest.approx(expected)
