"""The bounds that a user sets on a file's figures."""

from dataclasses import dataclass

from seesame.metric.score import Score


@dataclass(frozen=True)
class Limits:
    """Upper bounds on a file's true figures; None is no bound.

    Args:
        score: the score that is good enough.
        seg: seg distortion, 0..1.
        pose: pose distortion.
        bytes: size of the file.
    """

    score: float | None = None
    seg: float | None = None
    pose: float | None = None
    bytes: int | None = None

    @property
    def given(self) -> bool:
        """True when there is any bound at all."""
        return any(bound is not None for bound in vars(self).values())

    def missed(self, score: Score, size: int) -> dict[str, float]:
        """Return the bounds that a file does not keep, and by how much it exceeds each."""
        figures = {"score": score.total, "seg": score.seg, "pose": score.pose, "bytes": size}
        bounds = {name: bound for name, bound in vars(self).items() if bound is not None}
        return {n: figures[n] - bound for n, bound in bounds.items() if figures[n] > bound}

    def excess(self, score: Score, size: int) -> float:
        """Return the sum of what each bound is exceeded by, as shares of it; 0 if all hold."""
        missed = self.missed(score, size)
        return sum(by / max(float(getattr(self, name)), 1e-9) for name, by in missed.items())
