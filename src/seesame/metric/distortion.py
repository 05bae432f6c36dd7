"""The two distortions of the comma.ai video compression challenge, a value per pair."""

import torch
from torch import Tensor


def seg_distortion(reference_classes: Tensor, classes: Tensor) -> Tensor:
    """Return the share of pixels whose arg-max class differs.

    Args:
        reference_classes: integer ``(B, h, w)``, the arg-max classes of the source's second frames.
        classes: the same of the decoded clip.

    Returns:
        float32 ``(B,)`` in 0..1.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes(reference_classes, classes, "class maps")
    return (reference_classes != classes).float().mean(dim=(1, 2))


def pose_distortion(reference: Tensor, decoded: Tensor, judged: int) -> Tensor:
    """Return the mean squared difference over the first ``judged`` pose values.

    Args:
        reference: float ``(B, P)``, the pose values of the source's pairs.
        decoded: the same of the decoded clip.
        judged: how many leading values count; with 0 the distortion is 0 by definition.

    Returns:
        float ``(B,)``, 0 or more, in the squared unit of the pose values.

    Raises:
        ValueError: the shapes differ, or there are fewer than ``judged`` values.
    """
    _check_shapes(reference, decoded, "pose values")
    if not 0 <= judged <= reference.shape[1]:
        raise ValueError(f"{judged} judged pose values, but the net gives {reference.shape[1]}")
    if judged == 0:
        return torch.zeros(reference.shape[0], dtype=reference.dtype, device=reference.device)
    return (reference[:, :judged] - decoded[:, :judged]).pow(2).mean(dim=1)


def _check_shapes(first: Tensor, second: Tensor, what: str) -> None:
    if first.shape != second.shape:
        raise ValueError(f"{what} differ in shape: {tuple(first.shape)}, {tuple(second.shape)}")
