"""Settings of every encode that trains against a stack, and the size that suits a clip."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from seesame.context import EncodeContext
from seesame.errors import UnsupportedSettingError, UserError
from seesame.metric.limits import Limits


@dataclass(frozen=True)
class SizeTuning:
    """The numbers behind the size that is aimed at.

    Args:
        under_cap: share of ``max_bytes`` to aim at: the file must not end a little above.
        bits_a_weight: bits that a weight costs after training with the rate in the loss; it only
            sizes networks.
        factor: of :func:`target_bytes`; found with minutes of training on two clips.
        least: bytes aimed at for the smallest clips.
        most: bytes aimed at for the largest clips.
        by_limits: multiple of that where a limit of ``usual_seg`` on the mean chooses the size.
            More is taken than a long training needs: the rate takes away again what is too much,
            but a network that is too small would have to be made anew.
        usual_seg: the limit that ``by_limits`` is for; a stricter one takes more.
        tail: a limit on a percentile, the worst frame or a class is as strict as one on the mean
            of so much of it.
        limit_bounds: least and most multiple.
    """

    under_cap: float = 0.97
    bits_a_weight: float = 3.5
    factor: float = 2.3
    least: int = 4000
    most: int = 400_000
    by_limits: float = 3.0
    usual_seg: float = 0.01
    tail: float = 0.4
    limit_bounds: tuple[float, float] = (0.75, 8.0)


TUNING = SizeTuning()

FOR_THIS_RUN = (
    *("resume", "preset", "budget_s", "steps"),
    *("target_score", "max_seg", "max_pose", "challenge_rule"),
)
"""Settings that only say when to end: a run may be resumed with others."""


@dataclass(frozen=True)
class TrainSettings:
    """Settings that say how long to train, what for, and when to stop.

    Args:
        preset: how much effort: draft, fast, medium, slow.
        budget_s: wall time in seconds instead of the preset's.
        steps: number of training steps instead of a wall time (repeatable on one machine).
        bytes: size to aim at; None chooses one from the clip.
        pixel_weight: weight of the pixel term kept to the end; above 0 the picture stays viewable.
        guard_weight: weight of what each guard adds to the loss; 1 is the stack's own.
        target_score: the score that is good enough: training stops when a file reaches it.
        max_seg: the seg distortion that is good enough; with other limits, all must hold. A number,
            a text as ``p95=0.02`` or ``lane=0.05``, or a list of these
            (:class:`~seesame.metric.limits.Limits`).
        max_pose: the same for the pose distortion.
        max_bytes: the same for the file's size; it also bounds the size to aim at.
        challenge_rule: limits on seg bind second frames alone, not every frame.
        resume: go on from the checkpoint in the work folder.
        sidecar: look for corrections after training.
    """

    CODEC: ClassVar[str] = ""
    PRESETS: ClassVar[Mapping[str, float]] = {}
    """Wall time in seconds of a whole encode, reference pass and final check included."""
    GPU_PRESETS: ClassVar[Mapping[str, float]] = {}
    """The same on a CUDA device, where that is not as on a CPU."""
    BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {
        "budget_s": (10, 30 * 86400),
        "steps": (1, 10**8),
        "bytes": (500, 10**8),
        "pixel_weight": (0, 1000),
        "guard_weight": (0, 100),
        "target_score": (0, 1e6),
        "max_bytes": (500, 10**8),
    }
    WHOLE: ClassVar[tuple[str, ...]] = ("steps", "bytes", "max_bytes")

    preset: str = "fast"
    budget_s: float | None = None
    steps: int | None = None
    bytes: int | None = None
    pixel_weight: float = 0.0
    guard_weight: float = 0.5
    target_score: float | None = None
    max_seg: Any = None
    max_pose: Any = None
    max_bytes: int | None = None
    challenge_rule: bool = False
    resume: bool = False
    sidecar: bool = True

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Check plain values and return settings made of them.

        Raises:
            UnsupportedSettingError: an unknown name or a value out of range.
        """
        known = {f.name for f in fields(cls)}
        for name in settings:
            if name not in known:
                raise UnsupportedSettingError(
                    f"{cls.CODEC} has no setting {name!r}; it has {', '.join(sorted(known))}"
                )
        made = replace(cls(), **{k: v for k, v in settings.items() if v is not None})
        made._check()
        return made

    def _check(self) -> None:
        if not isinstance(self.preset, str) or self.preset not in self.PRESETS:
            raise UnsupportedSettingError(
                f"unknown preset {self.preset!r}; one of {', '.join(self.PRESETS)}"
            )
        for name, (low, high) in self.BOUNDS.items():
            value = getattr(self, name)
            if value is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number:
                raise UnsupportedSettingError(
                    f"{self.CODEC}: {name} must be a number, not {value!r}"
                )
            if not low <= value <= high:
                raise UnsupportedSettingError(
                    f"{self.CODEC}: {name} must be between {low} and {high}, not {value!r}"
                )
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, bool) and not isinstance(value, bool):
                raise UnsupportedSettingError(
                    f"{self.CODEC}: {field.name} must be true or false, not {value!r}"
                )
        for name in self.WHOLE:
            value = getattr(self, name)
            if value is not None and not isinstance(value, int):
                raise UnsupportedSettingError(
                    f"{self.CODEC}: {name} must be a whole number, not {value!r}"
                )
        try:
            Limits.from_settings(vars(self))
        except UserError as error:
            raise UnsupportedSettingError(f"{self.CODEC}: {error}") from error

    @property
    def limits(self) -> Limits:
        """The limits of the user, with which training may end early."""
        return Limits.from_settings(vars(self))

    @property
    def by_limits(self) -> bool:
        """True where limits on distortion choose the size, as none was asked for."""
        return self.bytes is None and replace(self.limits, score=None, bytes=None).given

    @property
    def room(self) -> float:
        """The factor on the usual size where limits choose it; 1 where they do not."""
        if not self.by_limits:
            return 1.0
        limits = self.limits
        seg = [TUNING.tail * bound.most for bound in limits.more if bound.figure == "seg"]
        strictest = min([*seg, TUNING.usual_seg if limits.seg is None else limits.seg])
        least, most = TUNING.limit_bounds
        return min(max(TUNING.by_limits * TUNING.usual_seg / max(strictest, 1e-9), least), most)

    def aim(self, free: int) -> int:
        """Return the size to aim at in bytes; ``free`` is the size that suits without any wish."""
        wanted = self.bytes or free
        return (
            wanted
            if self.max_bytes is None
            else min(wanted, int(TUNING.under_cap * self.max_bytes))
        )

    def seconds(self, device: str = "cpu") -> float:
        """Return the wall time of the whole encode on a device, in seconds."""
        if self.budget_s is not None:
            return self.budget_s
        presets = self.GPU_PRESETS if device.startswith("cuda") else {}
        return presets.get(self.preset, self.PRESETS[self.preset])

    def chosen(self) -> dict[str, Any]:
        """Return the settings that shape a file and are not the defaults."""
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name != "resume" and getattr(self, f.name) != f.default
        }

    def shaping(self) -> dict[str, Any]:
        """Return the settings that must agree for a run to be resumed."""
        return {k: v for k, v in self.chosen().items() if k not in FOR_THIS_RUN}

    def stored(self, context: EncodeContext) -> dict[str, Any]:
        """Return the settings that the file keeps, with stack, seed and guards."""
        assert context.stack is not None
        made = self.chosen() | {"stack": context.stack.name, "seed": context.seed}
        return made | ({"guards": [g.name for g in context.guards]} if context.guards else {})


def target_bytes(num_pairs: int, source_bytes: int) -> int:
    """Return a size that suits a clip: ``factor * sqrt(pairs * source bytes)``.

    More pairs need more bytes, and the more bytes the source has, the less each one weighs in the
    score.
    """
    wanted = int(TUNING.factor * math.sqrt(num_pairs * source_bytes))
    return max(TUNING.least, min(wanted, TUNING.most))
