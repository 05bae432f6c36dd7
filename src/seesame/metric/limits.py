"""The bounds that a user sets on a file's figures.

A bound on seg or pose is one of the mean, of a percentile or the worst (``p95``, ``worst``, over
single frames for seg and single pairs for pose) or, for seg, of one class: the share of its pixels
that get another class. Bounds on seg bind every frame, or by the challenge's rule the second frame
of each pair.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from seesame.errors import UserError
from seesame.metric.figures import EVERY_FRAME, SECOND_FRAMES, Figures

SETTINGS = {
    "target_score": "score",
    "max_seg": "seg",
    "max_pose": "pose",
    "max_bytes": "bytes",
}
"""Settings of codecs that are bounds, and the figure that each one bounds."""
RULE = "challenge_rule"
"""Setting of codecs: judge only the second frames of the pairs."""
LEAST = 1e-9
"""A bound below this counts as this where shares of it are taken."""


class Bound(NamedTuple):
    """A bound on something other than a mean.

    Args:
        figure: ``seg`` or ``pose``.
        of: ``p1`` to ``p99``, ``worst``, or the name of a class.
        most: the largest value that keeps it.
    """

    figure: str
    of: str
    most: float


class Held(NamedTuple):
    """A bound beside what a file has.

    Args:
        name: of the figure, as ``seg``, ``seg p95``, ``seg lane markings``.
        value: what the file has.
        bound: the largest value that keeps the limit.
    """

    name: str
    value: float
    bound: float

    @property
    def kept(self) -> bool:
        """True where the file keeps the limit."""
        return self.value <= self.bound

    @property
    def by(self) -> float:
        """By how much the value exceeds the bound; 0 or less if it is kept."""
        return self.value - self.bound

    @property
    def excess(self) -> float:
        """By how much the value exceeds the bound, as a share of it; 0 if it is kept."""
        return max(0.0, self.value - self.bound) / max(self.bound, LEAST)


@dataclass(frozen=True)
class Limits:
    """Upper bounds on a file's true figures; None is no bound.

    Args:
        score: the score that is good enough; it always follows the challenge's rule.
        seg: mean seg distortion of the judged frames, 0..1.
        pose: mean pose distortion of the pairs.
        bytes: size of the file.
        more: bounds on percentiles, the worst, and classes.
        challenge_rule: judge the second frames of the pairs for seg, not every frame.
    """

    score: float | None = None
    seg: float | None = None
    pose: float | None = None
    bytes: int | None = None
    more: tuple[Bound, ...] = ()
    challenge_rule: bool = False

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the limits among a codec's settings; other settings are ignored.

        ``max_seg`` and ``max_pose`` are a number, a text as ``p95=0.02``, or a list of these.

        Raises:
            UserError: a value that is no bound, or a figure that is bounded twice.
        """
        plain: dict[str, Any] = {}
        more: list[Bound] = []
        for name in ("target_score", "max_bytes"):
            if settings.get(name) is not None:
                plain[SETTINGS[name]] = _number(name, settings[name])
        if "bytes" in plain:
            if not plain["bytes"].is_integer() or plain["bytes"] < 1:
                raise UserError(
                    f"max_bytes must be a whole number of 1 or more, not {plain['bytes']}"
                )
            plain["bytes"] = int(plain["bytes"])
        for name in ("max_seg", "max_pose"):
            for one in _listed(settings.get(name)):
                of, most = _parsed(name, one)
                figure = SETTINGS[name]
                twice = figure in plain if of == "mean" else (figure, of) in [b[:2] for b in more]
                if twice:
                    raise UserError(f"{name}={one}: the {of} of {figure} has a bound already")
                if of == "mean":
                    plain[figure] = most
                else:
                    more.append(Bound(figure, of, most))
        rule = settings.get(RULE) or False
        if not isinstance(rule, bool):
            raise UserError(f"{RULE} must be true or false, not {rule!r}")
        return cls(**plain, more=tuple(more), challenge_rule=rule)

    @classmethod
    def split(cls, settings: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Return the limits among a codec's settings, and the other settings. Raises UserError."""
        names = (*SETTINGS, RULE)
        others = {name: value for name, value in settings.items() if name not in names}
        return cls.from_settings(settings), others

    def settings(self) -> dict[str, Any]:
        """Return the limits as settings, plain JSON values that :meth:`from_settings` reads."""
        found: dict[str, Any] = {}
        for name, figure in SETTINGS.items():
            mean = getattr(self, figure)
            texts = [f"{b.of}={b.most!r}" for b in self.more if b.figure == figure]
            if texts:
                found[name] = texts if mean is None else [mean, *texts]
            elif mean is not None:
                found[name] = mean
        return found | ({RULE: True} if self.challenge_rule else {})

    @property
    def given(self) -> bool:
        """True when there is any bound at all."""
        return bool(self.more) or any(getattr(self, name) is not None for name in SETTINGS.values())

    @property
    def on_seg(self) -> bool:
        """True when anything bounds seg."""
        return self.seg is not None or any(bound.figure == "seg" for bound in self.more)

    @property
    def on_distortion(self) -> bool:
        """True when anything but the size is bounded."""
        return replace(self, bytes=None).given

    @property
    def every_frame(self) -> bool:
        """True when the limits need every frame judged for segmentation."""
        return self.on_seg and not self.challenge_rule

    @property
    def rule(self) -> str:
        """The name of the rule by which frames are judged for segmentation."""
        return SECOND_FRAMES if self.challenge_rule else EVERY_FRAME

    @property
    def where(self) -> str:
        """The rule in words that follow a bound on seg."""
        return "on second frames (challenge rule)" if self.challenge_rule else "on every frame"

    def resolved(self, classes: Sequence[str]) -> Self:
        """Return the limits with the whole names of a stack's classes in the place of short ones.

        Raises:
            UserError: a name that is no percentile and that no class, or more than one, answers to.
        """
        more = tuple(
            bound._replace(of=class_named(bound.of, classes)) if _is_class(bound.of) else bound
            for bound in self.more
        )
        if len({bound[:2] for bound in more}) < len(more):
            raise UserError("two limits bound the same class")
        return replace(self, more=more)

    def held(self, figures: Figures) -> list[Held]:
        """Return every bound beside what a file has.

        A class that the source does not have loses nothing.

        Raises:
            ValueError: the figures follow another rule than bounds on seg do.
        """
        if self.on_seg and figures.every_frame != self.every_frame:
            raise ValueError(f"limits on {self.rule}, but figures of {figures.rule}")
        found = []
        for figure in SETTINGS.values():
            bound = getattr(self, figure)
            if bound is not None:
                found.append(Held(figure, getattr(figures, figure), bound))
        for figure, of, most in self.more:
            found.append(Held(f"{figure} {of}", _value(figures, figure, of), most))
        return found

    def missed(self, figures: Figures) -> list[Held]:
        """Return the bounds that a file does not keep."""
        return [held for held in self.held(figures) if not held.kept]

    def excess(self, figures: Figures) -> float:
        """Return the sum of what each bound is exceeded by, as shares of it; 0 if all hold."""
        return sum(held.excess for held in self.held(figures))

    def __str__(self) -> str:
        names = {name: getattr(self, name) for name in SETTINGS.values() if name != "bytes"}
        where = {"seg": f" {self.where}"}
        bounds = [
            f"{name} <= {most:g}{where.get(name, '')}"
            for name, most in names.items()
            if most is not None
        ]
        bounds += [f"{b.figure} {b.of} <= {b.most:g}{where.get(b.figure, '')}" for b in self.more]
        return ", ".join([*bounds, *([] if self.bytes is None else [f"bytes <= {self.bytes:,}"])])


def class_named(text: str, classes: Sequence[str]) -> str:
    """Return the class that a text names: in full, or by the beginning of one of its words.

    ``lane`` is ``lane markings``, ``car`` is ``my car``.

    Raises:
        UserError: no class, or more than one, answers to it.
    """
    wanted = _folded(text)
    exact = [name for name in classes if _folded(name) == wanted]
    folded = {name: _folded(name) for name in classes}
    found = exact or [
        name
        for name, whole in folded.items()
        if any(
            whole[at:].startswith(wanted)
            for at in range(len(whole))
            if at == 0 or whole[at - 1] == " "
        )
    ]
    if len(found) != 1:
        what = f"may be {' or '.join(found)}" if found else "is no class of the stack"
        raise UserError(
            f"limit on {text!r}: it {what}; bound a mean, p1 to p99, worst, or one of its classes: "
            f"{', '.join(classes)}"
        )
    return found[0]


def _folded(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def _is_class(of: str) -> bool:
    return of != "worst" and _percent(of) is None


def _percent(of: str) -> int | None:
    """Return the percentile that ``p95`` names; None for other texts."""
    digits = of[1:]
    if of[:1] == "p" and digits.isdecimal() and digits.isascii() and 1 <= int(digits) <= 99:
        return int(digits)
    return None


def _value(figures: Figures, figure: str, of: str) -> float:
    """Return what a file has of a figure's percentile, worst, or class."""
    at = figures.seg_at if figure == "seg" else figures.pose_at
    if of == "worst":
        return at[-1]
    percent = _percent(of)
    return dict(figures.lost).get(of, 0.0) if percent is None else at[percent]


def _listed(value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _parsed(name: str, value: Any) -> tuple[str, float]:
    """Return what a bound is of (``mean``, ``p95``, ``worst``, a class), and the bound."""
    of, equals, text = value.rpartition("=") if isinstance(value, str) else ("", "", value)
    of = " ".join(of.split()) if equals else "mean"
    if equals and of.lower() in ("mean", "worst", *(f"p{n}" for n in range(1, 100))):
        of = of.lower()
    most = _number(name, text, f"{name}={value}")
    allowed = _percent(of) is not None or of in ("mean", "worst")
    if not allowed and (not of or name != "max_seg" or (of[0] in "pP" and of[1:].isdecimal())):
        raise UserError(
            f"{name}={value}: give a number, or p1 to p99, worst"
            f"{' or a class' if name == 'max_seg' else ''} with a number, as p95=0.02"
        )
    return of, most


def _number(name: str, value: Any, shown: str = "") -> float:
    """Return a bound, a finite number of 0 or more. Raises UserError."""
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise UserError(f"{shown or f'{name}={value}'}: give a number of 0 or more, as 0.01")
    if name == "max_seg" and number > 1:
        raise UserError(f"{shown or f'{name}={value}'}: max_seg must be between 0 and 1")
    return number
