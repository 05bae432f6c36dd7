"""The run of ``seesame compress``: one clip or several, and what is printed of each."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seesame.cli.compress_options import AUTO
from seesame.cli.hints import with_hint
from seesame.cli.judged import judged_figures, judged_values, print_limits
from seesame.cli.limits import leave
from seesame.cli.output import notes, print_figures, print_json, print_table
from seesame.cli.portable import VideoFlags, compress_video, is_video
from seesame.cli.progress import stages
from seesame.errors import UserError
from seesame.inputs import visible

if TYPE_CHECKING:
    from seesame.jobs.spec import Job, Outcome


def run_one(job: "Job", seconds: float | None, video: VideoFlags, json: bool, quiet: bool) -> None:
    """Compress one clip, print its figures, and end by the exit code that they mean."""
    assert job.out is not None
    if is_video(job.out):
        leave([compress_video(job, video, json, quiet)])
        return
    outcome = _run(job, seconds, quiet)
    _print(job, outcome, json)
    leave([outcome])


def attempt(jobs: "Sequence[Job]", seconds: float | None, json: bool, quiet: bool) -> None:
    """Compress several clips in a row, print a table, and end by the exit code that they mean."""
    done = [_attempt(job, seconds, json, quiet) for job in jobs]
    if not json:
        _print_table(done)
    leave([one.outcome for one in done if one.outcome], sum(not one.outcome for one in done))


@dataclass(frozen=True)
class _Done:
    """The outcome of one of several jobs; none where it failed."""

    job: "Job"
    outcome: "Outcome | None"


def _attempt(job: "Job", seconds: float | None, json: bool, quiet: bool) -> _Done:
    """Do one of several jobs; say on stderr why it failed."""
    try:
        outcome = _run(job, seconds, quiet)
    except (UserError, OSError) as error:
        text = with_hint(error) if isinstance(error, UserError) else str(error)
        line = f"{job.source.path}: {' '.join(text.split())}"
        print(f"seesame: error: {visible(line)}", file=sys.stderr)
        if json:
            print_json({"clip": job.source.path, "error": text})
        return _Done(job, None)
    _print(job, outcome, json)
    return _Done(job, outcome)


def _run(job: "Job", seconds: float | None, quiet: bool) -> "Outcome":
    told, note = stages(quiet, seconds), notes(quiet)
    if job.codec == AUTO:
        from seesame.jobs.store import usual_store
        from seesame.search.choose import compress_automatically
        from seesame.search.tuning import ChoiceTuning

        seconds = seconds or ChoiceTuning().seconds
        told = stages(quiet, seconds)
        return compress_automatically(job, usual_store(note), seconds, stages=told, note=note)
    from seesame.search.within.quality import do

    return do(job, told, note)


def _print_table(done: Sequence[_Done]) -> None:
    """Print a line for each of several clips."""
    rows = []
    for one in done:
        found = one.outcome
        if found is None:
            rows.append((str(one.job.source.path), "failed", "", ""))
            continue
        judged = found.evaluation is not None
        missed = ", ".join(held.name for held in found.missed) if judged else ""
        kept = f"no: {missed}" if missed else "yes"
        rows.append(
            (
                str(one.job.source.path),
                f"{found.bytes:,}",
                f"{found.figures.seg:.5f}" if judged else "",
                kept if judged and one.job.limits.given else "",
            )
        )
    print_table(("clip", "bytes", "seg", "limits kept"), rows, right=("bytes", "seg"))


def _print(job: "Job", outcome: "Outcome", json: bool) -> None:
    from seesame.files import beside

    if json:
        print_json(_values(job, outcome))
        return
    assert outcome.path is not None
    print_figures(_figures(job, outcome))
    if outcome.bytes >= outcome.source_bytes:
        print("size   the file is no smaller than its source: keep the source")
    print_limits(outcome)
    viewable = beside(outcome.path, ".mkv")
    command = ["seesame", "decompress", str(outcome.path), "-o", str(viewable)]
    print("next: " + shlex.join(command))


def _values(job: "Job", outcome: "Outcome") -> dict[str, Any]:
    """Return the outcome for ``--json``."""
    values: dict[str, Any] = {
        "clip": job.source.path,
        "file": outcome.path,
        "codec": outcome.codec,
        "settings": dict(outcome.settings),
        "bytes": outcome.bytes,
        "source_bytes": outcome.source_bytes,
        "rate": outcome.bytes / outcome.source_bytes,
        "encode_s": outcome.encode_s,
        **_scaled(outcome),
    }
    return values | judged_values(outcome)


def _scaled(outcome: "Outcome") -> dict[str, str]:
    """Return the coded size, where it is not that of the clip."""
    from seesame.codecs.registry import codec_by_id

    found = codec_by_id(outcome.container.codec_id).notes(outcome.container)
    return {name: found[name] for name in ("scaled",) if name in found}


def _figures(job: "Job", outcome: "Outcome") -> dict[str, str]:
    """Return the outcome for people."""
    from seesame.jobs.roundtrip import describe

    figures = {
        "clip": f"{job.source.path}  {describe(outcome.container)}",
        "file": f"{outcome.path}  {outcome.bytes:,} bytes, {outcome.codec}, "
        f"encoded in {outcome.encode_s:.1f} s",
        **_scaled(outcome),
        "rate": f"{outcome.bytes / outcome.source_bytes:.8f}",
    }
    return figures | judged_figures(outcome)
