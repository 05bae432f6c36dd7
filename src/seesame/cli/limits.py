"""Limits on a command line: their flags, what a file has beside each, and the exit code."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.spec import Judged
    from seesame.metric.limits import Held, Limits

MISSED = 4
"""Exit code where a file was made or judged, but misses a limit."""
PANEL = "Limits (a file that misses one: exit code 4)"

MaxSegOption = Annotated[
    list[str] | None,
    typer.Option(
        "--max-seg",
        rich_help_panel=PANEL,
        metavar="D|p95=D|worst=D|CLASS=D",
        help="Share of pixels that may change class: 0.01 on average over all frames; p95=0.02 or "
        "worst=0.05 of single frames; lane=0.05 of the pixels of one class of the stack. "
        "Repeatable.",
    ),
]
MaxPoseOption = Annotated[
    list[str] | None,
    typer.Option(
        "--max-pose",
        rich_help_panel=PANEL,
        metavar="D|p95=D|worst=D",
        help="Pose distortion that a file may have: 0.05 on average over all pairs of frames; "
        "p95=0.1 or worst=0.2 of single pairs. Repeatable.",
    ),
]
MaxBytesOption = Annotated[
    int | None,
    typer.Option(
        "--max-bytes",
        rich_help_panel=PANEL,
        min=1,
        metavar="N",
        help="Bytes that a file may have.",
    ),
]
ChallengeRuleOption = Annotated[
    bool,
    typer.Option(
        "--challenge-rule",
        rich_help_panel=PANEL,
        help="Judge segmentation on the second frame of each pair alone, as the score does and as "
        "the comma stack always does; else limits bind every frame.",
    ),
]


def parse_limits(settings: Mapping[str, Any]) -> "tuple[Limits, dict[str, Any]]":
    """Return the limits among settings, and the other settings.

    Raises:
        UserError: a text that is no limit, or the same limit twice; names the flag.
    """
    from seesame.metric.limits import SETTINGS, Limits

    try:
        return Limits.split(settings)
    except UserError as error:
        text = str(error)
        for name in SETTINGS:
            flag = "--" + name.replace("_", "-")
            text = text.replace(f"{name}=", f"{flag} ").replace(name, flag)
        raise UserError(text) from error


def limit_lines(held: "Sequence[Held]", where: str) -> list[str]:
    """Return a line for each limit: what the file has, the bound, and whether it is kept.

    Args:
        held: every limit beside what the file has.
        where: the rule in words that follow a limit on seg, as ``on every frame``.
    """
    lines = []
    for one in held:
        sign, word = ("<=", "kept") if one.kept else (">", "missed")
        value, bound = f"{one.value:.4g}", f"{one.bound:g}"
        if one.name == "bytes":
            value, bound = f"{one.value:,}", f"{one.bound:,}"
        elif (float(value) <= one.bound) != one.kept:
            value = repr(one.value)
        rule = f" {where}" if one.name.startswith("seg") else ""
        lines.append(f"limit  {one.name} {value} {sign} {bound}{rule}: {word}")
    return lines


def limit_values(limits: "Limits", held: "Sequence[Held]") -> dict[str, Any]:
    """Return the limits for ``--json``: nothing where there are none."""
    if not limits.given:
        return {}
    return {
        "rule": limits.rule,
        "limits": [
            {"name": one.name, "value": one.value, "bound": one.bound, "kept": one.kept}
            for one in held
        ],
        "missed": {one.name: one.by for one in held if not one.kept},
    }


def leave(outcomes: "Sequence[Judged]", failed: int = 0) -> None:
    """End the command by the exit code that its outcomes mean; return where all is well."""
    if failed:
        raise typer.Exit(2)
    if any(outcome.evaluation is not None and outcome.missed for outcome in outcomes):
        raise typer.Exit(MISSED)
