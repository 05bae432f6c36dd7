"""An evaluation as plain text, as the challenge's own report, and as JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from seesame.inputs import visible
from seesame.metric.evaluator import Evaluation
from seesame.metric.figures import Figures
from seesame.metric.judges import Judgement


def plain_report(
    evaluation: Evaluation, clip: str, file: str, transfers: Sequence[Evaluation | Judgement] = ()
) -> str:
    """Return an evaluation in plain words, one figure a line.

    Args:
        evaluation: the figures.
        clip: the name of the source.
        file: the name of the file that was scored.
        transfers: what other stacks and judges say of the same file.

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
        "seg": f"{score.seg:.6f}  share of pixels whose class changes, on second frames",
        **frame_lines(evaluation.figures),
        "pose": f"{score.pose:.6f}  mean squared difference of the pose values",
        "score": f"{score.total:.4f}  100*seg + 25*rate + sqrt(10*pose); lower is better",
        "stack": evaluation.stack,
    }
    lines = [f"{name:<6}  {visible(value)}" for name, value in figures.items()]
    for other in transfers:
        if isinstance(other, Judgement):
            lines.append(f"judged by {other.judge} as well: {other.text}")
            continue
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
        *(f"  {key}: {visible(str(shown[key]))}" for key in sorted(shown)),
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
        "frames": frame_values(evaluation.figures),
        "pairs": {
            "seg": [float(value) for value in evaluation.seg],
            "pose": [float(value) for value in evaluation.pose],
        },
    }


def frame_lines(figures: Figures, digits: int = 6) -> dict[str, str]:
    """Return lines on the judged frames, by their names: mean, worst class, worst moment."""
    mean = f"{figures.seg:.{digits}f}  seg on every frame" if figures.every_frame else None
    lines = {"frames": mean, "class": worst_class(figures), "worst": worst_moment(figures)}
    return {name: text for name, text in lines.items() if text is not None}


def frame_values(figures: Figures) -> dict[str, Any]:
    """Return the figures that limits bind as plain JSON values."""
    found = figures.worst_class
    return {
        "rule": figures.rule,
        "seg": figures.seg,
        "seg_p95": figures.seg_at[95],
        "seg_worst": figures.worst_seg,
        "pose_p95": figures.pose_at[95],
        "pose_worst": figures.pose_at[-1],
        "lost": dict(figures.lost),
        "worst_class": None if found is None else {"name": found[0], "lost": found[1]},
        "worst_moment": {
            "frame": figures.worst_frame,
            "seconds": figures.worst_s,
            "seg": figures.worst_seg,
        },
    }


def worst_class(figures: Figures) -> str | None:
    """Return in words the class that loses most of its pixels; None where no class is known."""
    found = figures.worst_class
    return None if found is None else f"{found[0]} loses {found[1]:.2%} of its pixels"


def worst_moment(figures: Figures) -> str:
    """Return in words where most pixels change class."""
    return (
        f"at {figures.worst_s:.2f} s (frame {figures.worst_frame}) "
        f"{figures.worst_seg:.2%} of the pixels change class"
    )


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
