"""One encode as a row of results: written, read back from disk, decoded and judged."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seesame.bitstream.container import Section
from seesame.jobs.spec import Job, Outcome, Source
from seesame.jobs.workbench import Workbench
from tasks import Row, find_clip

PAYLOAD = (Section.STREAM, Section.WEIGHTS, Section.LATENTS)


def terminal_progress(share: float, text: str) -> None:
    """Show progress where someone looks."""
    if sys.stderr.isatty():
        print(f"\r{share:6.1%} {text:60}", end="", file=sys.stderr)


def opened(clip: str, stack: str, device: str = "cpu") -> Workbench:
    """Return a clip and a stack for any number of encodes; the stack's outputs are computed now."""
    job = Job(Source(find_clip(clip)), "copy", stack=stack, device=device, cache=False)
    bench = Workbench.open(job)
    bench.reference()
    return bench


def measured(
    bench: Workbench, codec: str, settings: Mapping[str, Any], *, seed: int = 0, **more: Any
) -> Row:
    """Encode, write, read back, decode and judge; return the row of results.

    Args:
        bench: the clip and the stack.
        codec: name of the codec.
        settings: the codec's own.
        seed: of the codec.
        **more: further arguments of :meth:`Workbench.encode`, as ``out`` and ``progress``.
    """
    return row_of(bench, bench.encode(codec, settings, seed=seed, **more))


def row_of(bench: Workbench, outcome: Outcome) -> Row:
    """Return the figures of a judged outcome.

    ``payload_bytes`` are those that the codec coded, without header, settings and checksums.
    ``encode_s`` and ``encode_cpu_s`` are wall and CPU seconds of the encode and the writing; the
    stack's outputs for the source are computed before.
    """
    assert bench.stack is not None
    sections = outcome.container.sections
    return {
        "codec": outcome.codec,
        "settings": dict(outcome.settings),
        **figures(outcome.bytes, outcome.score),
        "payload_bytes": sum(len(sections.get(section, b"")) for section in PAYLOAD),
        "encode_s": round(outcome.encode_s, 2),
        "encode_cpu_s": round(outcome.encode_cpu_s, 2),
        "decode_and_score_s": round(outcome.judge_s, 2),
        "fingerprint": bench.stack.fingerprint[:16],
    }


def figures(size: int, score: Any) -> Row:
    """Return size, distortions, rate and score as every row has them."""
    parts = {"seg": score.seg, "pose": score.pose, "rate": score.rate}
    return {"bytes": size, **parts, "score": score.total}


def encode_task(
    clip: str, stack: str, codec: str, settings: Row, device: str = "cpu", seed: int = 0
) -> list[Row]:
    """Make one file, as the function of a :class:`tasks.Task`."""
    return [measured(opened(clip, stack, device), codec, settings, seed=seed)]


def name_of(clip: str) -> str:
    """Return the file name of a clip, by which results name it."""
    return Path(clip).name
