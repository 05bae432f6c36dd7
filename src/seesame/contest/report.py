"""The reports of an evaluation: the challenge's text form, and all figures as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av

from seesame import __version__
from seesame.contest.entries import printable
from seesame.contest.evaluate import Bench, Result, bench_digest
from seesame.contest.submission import FORMAT, REPORT, REPORT_JSON
from seesame.files import replacing, write_text
from seesame.metric.evaluator import BATCH_PAIRS
from seesame.metric.report import report_values, text_report
from seesame.perception.stack import Stack

AXIS = "cpu"
"""The challenge's name for scores against PyAV's frames; its CUDA axis takes DALI's."""


def decoder() -> str:
    """Return the name of the reference frames' decoder, on which every score depends."""
    libavcodec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__}, libavcodec {libavcodec}"


def contest_text(result: Result, config: Mapping[str, object]) -> str:
    """Return ``report.txt``: the figures of a scored submission, the verdict of another.

    Args:
        result: from :func:`seesame.contest.evaluate.evaluate_submission`.
        config: the first block's lines, which are sorted by key.
    """
    if result.total is None:
        lines = [f"  {key}: {config[key]}" for key in sorted(config)]
        results = f"=== Evaluation results ===\n  Not scored: {printable(result.verdict)}"
        text = "\n".join(["=== Evaluation config ===", *lines, results]) + "\n"
    else:
        text = text_report(result.total, config)
    submission = result.submission
    if submission is None or not submission.uncounted:
        return text
    lines = [f"  Bytes outside the archive that could be payload: {submission.uncounted_bytes:,}"]
    lines += [f"    {ascii(f.path)[1:-1]}: {f.bytes:,} ({f.why})" for f in submission.uncounted]
    if result.total is not None:
        lines.append(f"  Score with them counted: {counted_score(result)!r}")
    return text + "\n".join(lines) + "\n"


def counted_score(result: Result) -> float | None:
    """Return the score with every byte counted that could be payload; None without a score."""
    if result.total is None or result.submission is None:
        return None
    more = result.submission.uncounted_bytes / result.total.source_bytes
    return result.total.score.total + 25 * more


def contest_values(
    result: Result, bench: Bench, fingerprint: str, official: bool, isolated: bool
) -> dict[str, Any]:
    """Return everything about a result as plain JSON values, the content of ``report.json``."""
    total, outcome = result.total, result.outcome
    figures = ("score", "seg", "pose", "rate", "samples")
    values = {} if total is None else report_values(total)
    submission = result.submission
    files = submission.uncounted if submission else ()
    return {
        "format": FORMAT,
        "name": printable(result.name),
        "verdict": printable(result.verdict),
        "scored": total is not None,
        **{name: values.get(name) for name in figures},
        "compressed_bytes": submission and submission.archive_bytes,
        "source_bytes": bench.source_bytes,
        "stack": bench.stack.partition(":")[0],
        "fingerprint": fingerprint,
        "official": official,
        "decoder": decoder(),
        "device": bench.device,
        "axis": AXIS,
        "bench": bench_digest(bench, fingerprint, decoder()),
        "uncounted_bytes": sum(file.bytes for file in files),
        "uncounted": [{**asdict(file), "path": printable(file.path)} for file in files],
        "score_with_uncounted": counted_score(result),
        "inflate_seconds": outcome and outcome.seconds,
        "inflate_peak_memory": outcome and outcome.peak_memory,
        "memory_counted": outcome and outcome.counted,
        "inflate_log": outcome.log if outcome else "",
        "network": "cut off" if isolated else "open",
        "source_hidden": isolated,
        "videos": [
            {"name": printable(name), **{key: found[key] for key in (*figures, "pairs")}}
            for name, found in ((name, report_values(one)) for name, one in result.videos)
        ],
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seesame": __version__,
    }


def report_files(folder: Path) -> tuple[Path, Path]:
    """Return the paths of ``report.txt`` and ``report.json`` in a folder."""
    return folder / REPORT, folder / REPORT_JSON


def write_reports(
    result: Result,
    bench: Bench,
    stack: Stack,
    folder: Path,
    config: Mapping[str, object],
    *,
    isolated: bool,
    overwrite: bool = False,
) -> tuple[str, dict[str, Any]]:
    """Write ``report.txt`` and ``report.json``, and return their contents.

    Args:
        result: from :func:`seesame.contest.evaluate.evaluate_submission`.
        bench: what it was judged by.
        stack: the loaded networks.
        folder: takes the reports.
        config: lines for the first block of ``report.txt`` beyond those that follow from
            ``bench``, in the challenge's keys.
        isolated: the script ran in the sandbox.
        overwrite: replace reports that are there.

    Raises:
        UserError: a report exists or cannot be written.
    """
    report, report_json = report_files(folder)
    lines = {
        "batch_size": BATCH_PAIRS,
        "decoder": decoder(),
        "device": bench.device,
        "fingerprint": stack.fingerprint,
        "network": "cut off" if isolated else "open",
        "report": report,
        "stack": bench.stack,
        "uncompressed_dir": bench.folder,
        **config,
    }
    if result.outcome is not None:
        lines["memory"] = f"counted {result.outcome.counted}"
    text = contest_text(result, {key: printable(str(value)) for key, value in lines.items()})
    official = bool(getattr(stack, "official", False))
    values = contest_values(result, bench, stack.fingerprint, official, isolated)
    for path, content in ((report, text), (report_json, json_text(values))):
        with replacing(path, overwrite) as temporary:
            write_text(temporary, content)
    return text, values


def json_text(values: Mapping[str, Any]) -> str:
    """Return one JSON object on one line."""
    return json.dumps(values, allow_nan=False, default=str) + "\n"
