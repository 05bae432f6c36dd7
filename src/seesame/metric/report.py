"""An evaluation as text, in the challenge's own form, and as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from seesame.metric.evaluator import Evaluation


def text_report(evaluation: Evaluation, config: Mapping[str, object] | None = None) -> str:
    """The challenge's ``report.txt`` (comma_video_compression_challenge, ``evaluate.py``).

    Args:
        evaluation: the figures.
        config: what to print in the first block, sorted by key; the stack, its fingerprint,
            the frame size and rate when None.

    Returns:
        The lines, ended by a newline. The last line is ours: the score in full precision.
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
    """All figures as plain JSON values; the values of the single pairs under ``pairs``."""
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
    """One JSON object on one line; ``config``, where given, under ``config``.

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
