"""How far the segmentation network is from seeing the masks."""

import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.codecs.semantic.training.settings import TUNING, TrainingTuning


def margins(logits: Tensor, masks: Tensor) -> Tensor:
    """Return by how much the logit of each pixel's class leads the others, ``(B, h, w)``.

    Args:
        logits: ``(B, C, h, w)``, of two classes or more.
        masks: integer ``(B, h, w)``.
    """
    wanted = masks.long()[:, None]
    own = logits.gather(1, wanted)[:, 0]
    return own - logits.scatter(1, wanted, -torch.inf).amax(1)


def loss(logits: Tensor, masks: Tensor, share: float, tuning: TrainingTuning = TUNING) -> Tensor:
    """Return the loss at a share 0..1 of the training.

    Cross-entropy finds the way, margins concentrate on what is wrong or nearly so, and in the end
    a smooth count of the wrong pixels, with a temperature that falls, is what is judged.
    """
    if share < tuning.margin_from:
        return 20 * F.cross_entropy(logits, masks.long())
    lead = margins(logits, masks)
    if share < tuning.count_from:
        return 15 * F.softplus(-lead / 0.5).mean()
    start, end = tuning.temperature
    passed = (share - tuning.count_from) / (1 - tuning.count_from)
    temperature = start + (end - start) * passed
    # The count's slope vanishes where a pixel is wrong by far: margins keep one there.
    far = F.softplus((0.3 - lead) / 0.3).mean()
    return 100 * torch.sigmoid(-lead / temperature).mean() + 1.5 * far


def outside(pictures: Tensor) -> Tensor:
    """Return the mean of what grey levels have beyond 0..255."""
    return (F.relu(-pictures) + F.relu(pictures - 255)).mean()
