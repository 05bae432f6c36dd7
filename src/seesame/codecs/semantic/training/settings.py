"""The settings and the tuning of the training of a renderer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """What a user chooses.

    Args:
        seconds: wall time of the training, masks not included.
        steps: the same as a number of steps, for runs that can be repeated; None goes by time.
        synthetic: synthetic drives beside the user's.
        masks: the most masks of all drives together.
        seed: of every random step.

    Raises:
        ValueError: a value is out of its range.
    """

    seconds: float = 1200.0
    steps: int | None = None
    synthetic: int = 80
    masks: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.seconds > 0 or (self.steps is not None and self.steps < 1):
            raise ValueError("a training takes a time or a number of steps above 0")
        if self.synthetic < 0 or self.masks < 1:
            raise ValueError("the drives are 0 or more, the masks 1 or more")


@dataclass(frozen=True)
class TrainingTuning:
    """The numbers of the loop, chosen on ``lite``; shares are of the whole training.

    Args:
        carrier_share: share of the time that a carrier gets, where the stack has a pose network.
        prior_masks: the most masks from which the prior is learned.
        batch: masks a step, at most.
        pixels: of the masks of a step, at most: larger masks come fewer at once, and oftener.
        rate: the learning rate at its highest, of Adam and NorMuon alike.
        warm_up: steps over which it rises.
        last_rate: what is left of it at the end of the cosine.
        average: steps over which the weights are averaged, for what is shipped.
        clip: largest norm of the gradients.
        margin_from: share at which the loss turns from cross-entropy to margins.
        again_from: share at which the training of a renderer begins that was trained before.
        count_from: share at which it turns to the smooth count of wrong pixels.
        exact_from: share from which the networks run in full precision where half is quicker.
        quantise_from: share at which the weights begin to be quantised.
        first_step: the quantisers' first step as a share of a row's root mean square; weights
            then take about five bits.
        varied: share of the masks that are varied at random.
        small: share of the steps that show clips of fewer pixels than the network reads.
        smallest: the least share of the rows, and of the columns, that these have.
        outside: weight of grey levels beyond 0..255, which would be cut off.
        temperature: of the smooth count at its start and at the end of the training, in logits.
        save_every: seconds between checkpoints.
    """

    carrier_share: float = 0.4
    prior_masks: int = 800
    batch: int = 4
    pixels: int = 200_000
    rate: float = 3e-3
    warm_up: int = 50
    last_rate: float = 0.02
    average: int = 200
    clip: float = 5.0
    margin_from: float = 0.3
    again_from: float = 0.55
    count_from: float = 0.6
    exact_from: float = 0.7
    quantise_from: float = 0.7
    first_step: float = 0.15
    varied: float = 1.0
    small: float = 0.2
    smallest: float = 0.4
    outside: float = 0.02
    temperature: tuple[float, float] = (0.45, 0.1)
    save_every: float = 60.0


TUNING = TrainingTuning()
