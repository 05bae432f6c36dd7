"""``seesame compress --codec auto``: the best file for a clip within a time."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seesame.cli.output import print_note
from seesame.cli.progress import progress
from seesame.errors import UserError
from seesame.jobs.roundtrip import Encoded

if TYPE_CHECKING:
    from seesame.context import EncodeContext, Progress
    from seesame.jobs.runner import Result, Source
    from seesame.jobs.trial import Trial
    from seesame.metric.limits import Limits
    from seesame.perception.stack import Stack

AUTO = "auto"
BUDGET = 480.0
"""Seconds, where the user gives none."""


def encode_automatically(
    place: "Source",
    out: Path,
    limits: "Limits",
    seconds: float,
    context: "EncodeContext",
    *,
    overwrite: bool,
    quiet: bool,
) -> "tuple[Encoded, Mapping[str, Any], Stack]":
    """Search, train, and write the best file; what it is, its settings, and the stack.

    Raises:
        UserError: Optuna is not installed, no encode succeeded, or the output cannot be written.
        DamagedError: the clip cannot be decoded to its end.
    """
    from seesame.jobs.runner import Runner
    from seesame.jobs.store import Store, store_path
    from seesame.metric.cache import cached_reference_outputs
    from seesame.search.choose import SEARCH_SHARE, choose
    from seesame.search.goal import Goal

    start = time.monotonic()
    opened = source, eyes = place.open()
    if source.num_frames < 2:
        raise UserError(f"{place.path}: one frame forms no pair to judge")
    context = replace(context, stack=eyes)
    with progress("source", quiet) as bar:
        outputs = cached_reference_outputs(
            place.path, source, eyes, device=place.device, progress=bar
        )
    goal, count = Goal(limits), 0
    best: Trial | None = None
    with Runner(place, opened, outputs, Store(store_path())) as runner:
        with progress("auto", quiet) as bar:

            def tell(result: "Result") -> None:
                nonlocal count, best
                count += 1
                best = goal.best([trial for trial in (best, result.trial) if trial is not None])
                figures = ""
                if best is not None:
                    figures = f", best score {best.score.total:.4f}, {best.bytes:,} bytes"
                share = (time.monotonic() - start) / seconds
                bar(min(share, SEARCH_SHARE), f"{count} trials of classical settings{figures}")

            def training(codec: str) -> Progress:
                began = (time.monotonic() - start) / seconds
                return lambda share, text: bar(
                    min(1.0, began + (1 - began) * share), f"{codec}: {text}"
                )

            left = seconds - (time.monotonic() - start)
            chosen = choose(runner, goal, left, context, tell, training)
        size = chosen.container.write(out, overwrite)
    for trial in chosen.others:
        if trial is not chosen.trial:
            figures = f"score {trial.score.total:.4f}, {trial.bytes:,} bytes"
            print_note(f"auto also tried {trial.codec}: {figures}", quiet)
    encoded = Encoded(out, chosen.trial.codec, size, time.monotonic() - start)
    return encoded, chosen.trial.settings, eyes
