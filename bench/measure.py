"""One file on disk, read back, decoded and scored: a row of results."""

import sys
import time
from pathlib import Path
from typing import Any

from seesame.bitstream.container import Container, Section
from seesame.codecs.registry import codec_by_id, get_codec
from seesame.context import EncodeContext, Progress, no_progress
from seesame.metric.evaluator import ReferenceOutputs, evaluate
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

PAYLOAD = (Section.STREAM, Section.WEIGHTS, Section.LATENTS)


def judge(
    outputs: ReferenceOutputs, decoded: Clip, stack: Stack, size: int, device: str = "cpu"
) -> dict[str, Any]:
    """The figures of a decoded clip whose file has ``size`` bytes."""
    found = evaluate(outputs, decoded, stack, size, device=device)
    return {
        "bytes": size,
        "seg": found.score.seg,
        "pose": found.score.pose,
        "rate": found.score.rate,
        "score": found.score.total,
    }


def terminal_progress(share: float, text: str) -> None:
    """Show progress where someone looks."""
    if sys.stderr.isatty():
        print(f"\r{share:6.1%} {text:60}", end="", file=sys.stderr)


def measure(
    clip: Clip,
    outputs: ReferenceOutputs,
    stack: Stack,
    codec: str,
    settings: dict[str, Any],
    folder: Path,
    *,
    train_stack: Stack | None = None,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Encode, write, read back, decode and score.

    ``payload_bytes`` are those that the codec coded, without header, settings and checksums.
    ``encode_s`` and ``encode_cpu_s`` are wall and CPU seconds of the encode and the writing.

    Args:
        clip: the source.
        outputs: what ``stack`` sees in it.
        stack: judges.
        codec: by its name.
        settings: the codec's.
        folder: where the file is written.
        train_stack: what the codec gets to train against, ``stack`` when None.
        device: where nets run.
        seed: of the codec.
        progress: the codec's progress.
    """
    path = folder / f"{codec}.ssm"
    start, cpu = time.monotonic(), time.process_time()
    context = EncodeContext(train_stack or stack, device, seed, progress)
    get_codec(codec).encode(clip, settings, context).write(path, overwrite=True)
    encoded, encoded_cpu = time.monotonic(), time.process_time()
    container = Container.read(path)
    decoded = codec_by_id(container.codec_id).decode(container, device)
    figures = judge(outputs, decoded, stack, path.stat().st_size, device)
    return {
        "codec": codec,
        "settings": settings,
        **figures,
        "payload_bytes": sum(len(container.sections.get(s, b"")) for s in PAYLOAD),
        "encode_s": round(encoded - start, 2),
        "encode_cpu_s": round(encoded_cpu - cpu, 2),
        "decode_and_score_s": round(time.monotonic() - encoded, 2),
    }
