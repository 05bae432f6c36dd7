"""The curriculum of a training run: which loss terms count how much, and when."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """The weights of the loss from ``start`` on, blended linearly into the next phase's.

    Args:
        start: share of the training, 0..1, at which these weights hold.
        weights: by their names; a name that is left out has the weight 0. The names that the usual
            terms read are ``pixel`` (mean absolute pixel difference, 0..255), ``entropy``
            (cross-entropy against the reference classes), ``margin`` (softplus of the reference
            class's missing margin), ``smooth`` (smooth disagreement; 100 makes it the score's own
            term) and ``rate`` (1 makes it the score's own term).
    """

    start: float
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Schedule:
    """The curriculum of one training run, as shares of its length. It prints itself.

    Args:
        phases: the weights of the loss terms; the first starts at 0 and the last at 1.
        quantise_from: share from which weights are multiples of their quantiser's steps.
        exact_from: share from which the networks run in float32 on every device.
        evaluate_from: share of the first evaluation of a candidate.
        look_from: the same where the user gave limits, which may end training early.
        evaluations: candidates that are judged at most, the last one included.
        evaluation_share: most of an encode's time that judging may take.
        batch_pairs: pairs a step on a CPU: the smallest number whose gradients are steady enough.
        gpu_batch_pairs: the same on a GPU, which is idle with fewer.
        peak_rate: learning rate after the warm-up.
        temperature: of the smooth disagreement at the start and at the end, in logits.
    """

    phases: tuple[Phase, ...] = (
        Phase(0.00, {"pixel": 0.20, "entropy": 20.0}),
        Phase(0.10, {"pixel": 0.05, "entropy": 20.0, "margin": 10.0}),
        Phase(0.35, {"pixel": 0.02, "entropy": 10.0, "margin": 30.0, "rate": 0.3}),
        Phase(0.55, {"pixel": 0.01, "margin": 20.0, "smooth": 80.0, "rate": 1.0}),
        Phase(0.75, {"smooth": 100.0, "rate": 1.0}),
        Phase(1.00, {"smooth": 100.0, "rate": 1.0}),
    )
    quantise_from: float = 0.35
    exact_from: float = 0.9
    evaluate_from: float = 0.80
    look_from: float = 0.60
    evaluations: int = 4
    evaluation_share: float = 0.08
    batch_pairs: int = 3
    gpu_batch_pairs: int = 8
    peak_rate: float = 4e-3
    temperature: tuple[float, float] = (1.0, 0.1)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all weights, in the order in which the phases first mention them."""
        return tuple(dict.fromkeys(name for phase in self.phases for name in phase.weights))

    def affordable(self, seconds: float, one: float) -> int:
        """Return how many evaluations of ``one`` second each fit into an encode; 1 at least."""
        return max(1, min(self.evaluations, int(self.evaluation_share * seconds / one)))

    def stage(self, share: float) -> str:
        """Return what training does at a share of it, in a word or two."""
        if share < self.quantise_from:
            return "training"
        return "quantised" if share < self.evaluate_from else "judging"

    def at(self, share: float) -> dict[str, float]:
        """Return all weights by name at a share of the training."""
        for left, right in zip(self.phases, self.phases[1:], strict=False):
            if share <= right.start:
                t = (share - left.start) / (right.start - left.start)
                return {
                    name: (1 - t) * left.weights.get(name, 0.0) + t * right.weights.get(name, 0.0)
                    for name in self.names
                }
        return {name: self.phases[-1].weights.get(name, 0.0) for name in self.names}

    def __str__(self) -> str:
        rows = [" ".join([f"{'share':>7}", *(f"{name:>8}" for name in self.names)])]
        for phase in self.phases:
            values = (f"{phase.weights.get(name, 0.0):8.2f}" for name in self.names)
            rows.append(" ".join([f"{phase.start:7.0%}", *values]))
        return "\n".join([*rows, f"quantised from {self.quantise_from:.0%}"])
