"""The challenge's score: one number from the two distortions and the rate."""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Score:
    """Averages over a clip's pairs, and the rate; lower is better everywhere."""

    seg: float
    """Average seg distortion, 0..1."""
    pose: float
    """Average pose distortion, 0 or more."""
    rate: float
    """Compressed bytes / bytes of the source file."""

    @property
    def total(self) -> float:
        """``100·seg + 25·rate + sqrt(10·pose)`` (comma.ai video compression challenge, 2026)."""
        return 100 * self.seg + 25 * self.rate + sqrt(10 * self.pose)
