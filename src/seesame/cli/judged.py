"""The figures of a judged file, as every kind of output of ``seesame compress`` prints them."""

from typing import TYPE_CHECKING, Any

from seesame.cli.limits import limit_lines, limit_values

if TYPE_CHECKING:
    from seesame.jobs.spec import Judged


def judged_values(outcome: "Judged") -> dict[str, Any]:
    """Return the figures for ``--json``; nothing for a file that was not judged."""
    from seesame.metric.report import frame_values

    evaluation = outcome.evaluation
    if evaluation is None:
        return {}
    values = {
        "seg": evaluation.score.seg,
        "pose": evaluation.score.pose,
        "score": evaluation.score.total,
        "pairs": evaluation.pairs,
        "stack": evaluation.stack,
        "fingerprint": evaluation.fingerprint,
        "frames": frame_values(evaluation.figures),
        **limit_values(outcome.limits, outcome.held),
    }
    return values | ({"advice": outcome.advice} if outcome.missed and outcome.advice else {})


def judged_figures(outcome: "Judged") -> dict[str, str]:
    """Return the figures for people; nothing for a file that was not judged."""
    from seesame.metric.report import frame_lines

    if outcome.evaluation is None:
        return {}
    score = outcome.score
    return {
        "seg": f"{score.seg:.8f}  on second frames",
        **frame_lines(outcome.figures, digits=8),
        "pose": f"{score.pose:.8f}",
        "score": f"{score.total:.8f}  (100*seg + 25*rate + sqrt(10*pose), stack "
        f"{outcome.evaluation.stack}; lower is better)",
    }


def print_limits(outcome: "Judged") -> None:
    """Print a line for each limit of a judged file, and what would help where one is missed."""
    if outcome.evaluation is None or not outcome.limits.given:
        return
    print(*limit_lines(outcome.held, outcome.limits.where), sep="\n")
    if outcome.missed and outcome.advice:
        print(f"try    {outcome.advice}")
