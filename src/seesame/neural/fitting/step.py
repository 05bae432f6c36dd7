"""The figures of one training step, for the progress line and for the log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class Step:
    """Figures of one step. Tensors stay on their device until someone asks for the values.

    Args:
        loss: all terms together.
        terms: of the loss, weighted as in it; detached.
        logits: what the segmentation net made of the batch, ``(B, C, h, w)``; detached.
        classes: the reference's, ``uint8 (B, h, w)``.
        pose: running mean of the pose distortion; None without a pose net.
        bytes: estimate of the file's size; None before weights are quantised.
        learning_rate: of this step.
        temperature: of the smooth disagreement.
    """

    loss: float
    terms: Mapping[str, Tensor]
    logits: Tensor = field(repr=False)
    classes: Tensor = field(repr=False)
    pose: float | None
    bytes: float | None
    learning_rate: float
    temperature: float

    def text(self, best: tuple[float, int] | None = None) -> str:
        """Return words for the progress line; ``best`` is the best file's true score and bytes."""
        words = [f"loss {self.loss:.3f}"]
        if best is not None:
            words.append(f"best score {best[0]:.4f} in {best[1]:,} bytes")
        if self.bytes is not None:
            words.append(f"{'now ' if best else ''}{self.bytes:,.0f} bytes")
        return ", ".join(words)

    def values(self, number: int, share: float) -> dict[str, Any]:
        """Return plain values for the log. ``seg`` is of this batch alone."""
        seg = None
        if len(self.classes):
            seg = float((self.logits.argmax(1) != self.classes).float().mean())
        return {
            "step": number,
            "share": round(share, 6),
            "loss": self.loss,
            "terms": {name: float(term) for name, term in self.terms.items()},
            "seg": seg,
            "pose": self.pose,
            "bytes": None if self.bytes is None else round(self.bytes),
            "learning_rate": self.learning_rate,
            "temperature": self.temperature,
        }
