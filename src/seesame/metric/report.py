"""An evaluation as plain text, as the challenge's own report, and as JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from seesame.metric.evaluator import Evaluation


def plain_report(
    evaluation: Evaluation, clip: str, file: str, transfers: Sequence[Evaluation] = ()
) -> str:
    """Return an evaluation in plain words, one figure a line.

    Args:
        evaluation: the figures.
        clip: the name of the source.
        file: the name of the file that was scored.
        transfers: evaluations of the same file with other stacks.

    Returns:
        The lines, ended by a newline.
    """
    score = evaluation.score
    figures = {
        "clip": f"{clip}  {evaluation.width}x{evaluation.height}, "
        f"{float(evaluation.fps):.6g} fps, {evaluation.pairs} pairs of frames",
        "file": file,
        "bytes": f"{evaluation.compressed_bytes:,} of the source's {evaluation.source_bytes:,}",
        "rate": f"{score.rate:.6f}",
        "seg": f"{score.seg:.6f}  share of pixels whose class changes",
        "pose": f"{score.pose:.6f}  mean squared difference of the pose values",
        "score": f"{score.total:.4f}  100*seg + 25*rate + sqrt(10*pose); lower is better",
        "stack": evaluation.stack,
    }
    lines = [f"{name:<5}  {value}" for name, value in figures.items()]
    for other in transfers:
        lines.append(
            f"judged by {other.stack} as well: seg {other.score.seg:.6f}, "
            f"pose {other.score.pose:.6f}"
        )
    return "\n".join(lines) + "\n"


def text_report(evaluation: Evaluation, config: Mapping[str, object] | None = None) -> str:
    """Return the challenge's ``report.txt`` (comma_video_compression_challenge, ``evaluate.py``).

    Args:
        evaluation: the figures.
        config: what to print in the first block, sorted by key; the stack, its fingerprint,
            the frame size and rate when None.

    Returns:
        The lines, ended by a newline. The last line is not the challenge's: it gives the score in
        full precision.
    """
    score = evaluation.score
    shown = _default_config(evaluation) if config is None else config
    lines = [
        "=== Evaluation config ===",
        *(f"  {key}: {shown[key]}" for key in sorted(shown)),
        f"=== Evaluation results over {evaluation.pairs} samples ===",
        f"  Average PoseNet Distortion: {score.pose:.8f}",
        f"  Average SegNet Distortion: {score.seg:.8f}",
        f"  Submission file size: {evaluation.compressed_bytes:,} bytes",
        f"  Original uncompressed size: {evaluation.source_bytes:,} bytes",
        f"  Compression Rate: {score.rate:.8f}",
        f"  Final score: 100*segnet_dist + sqrt(10*posenet_dist) + 25*rate = {score.total:.2f}",
        f"  Score in full precision: {score.total!r}",
    ]
    return "\n".join(lines) + "\n"


def report_values(evaluation: Evaluation) -> dict[str, Any]:
    """Return all figures as plain JSON values; those of the single pairs are under ``pairs``."""
    score = evaluation.score
    return {
        "score": score.total,
        "seg": score.seg,
        "pose": score.pose,
        "rate": score.rate,
        "samples": evaluation.pairs,
        "compressed_bytes": evaluation.compressed_bytes,
        "source_bytes": evaluation.source_bytes,
        "stack": evaluation.stack,
        "fingerprint": evaluation.fingerprint,
        "width": evaluation.width,
        "height": evaluation.height,
        "fps": float(evaluation.fps),
        "pairs": {
            "seg": [float(value) for value in evaluation.seg],
            "pose": [float(value) for value in evaluation.pose],
        },
    }


def json_report(evaluation: Evaluation, config: Mapping[str, object] | None = None) -> str:
    """Return one JSON object on one line, with ``config``, where it is given, under ``config``.

    Values that JSON does not know (paths) are written as text.
    """
    values = report_values(evaluation)
    if config is not None:
        values["config"] = dict(config)
    return json.dumps(values, allow_nan=False, default=str)


def _default_config(evaluation: Evaluation) -> dict[str, object]:
    return {
        "fingerprint": evaluation.fingerprint,
        "fps": float(evaluation.fps),
        "size": f"{evaluation.width}x{evaluation.height}",
        "stack": evaluation.stack,
    }
