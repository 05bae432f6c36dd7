"""From what was observed to the page: its figures, its data, and its files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seesame.metric.classes import TUNING
from seesame.metric.evaluator import Evaluation
from seesame.metric.judges import Judgement
from seesame.metric.rates.front import pareto_front
from seesame.metric.report import report_values
from seesame.metric.score import Score
from seesame.perception.stack import Stack
from seesame.report.observe import Observed
from seesame.report.palette import hex_colours
from seesame.report.plan import Plan
from seesame.report.render import rendered
from seesame.report.tracks import FOLDER, PER_CHUNK, Tracks
from seesame.video.clip import Clip

WORST = 10
"""Pairs shown as the worst of a file."""
INDEX = "index.html"
Place = tuple[float, float]
"""Bytes, and the score without its rate term."""


@dataclass(frozen=True, eq=False)
class Shown:
    """One file on the page: its figures and pictures, and those of other judges."""

    observed: Observed
    transfer: tuple[Evaluation | Judgement, ...]


def file_values(shown: Shown) -> dict[str, Any]:
    """Return a file's figures as JSON values, in full precision and equal to those of ``score``."""
    seen = shown.observed
    values = report_values(seen.evaluation)
    del values["pairs"]
    return {
        "file": seen.subject.name,
        "codec": seen.subject.codec,
        **values,
        "psnr": seen.psnr if math.isfinite(seen.psnr) else None,
        "ms_ssim": seen.ms_ssim,
        "decode_fps": seen.decode_fps,
        "transfer": [
            other.values()
            if isinstance(other, Judgement)
            else {key: value for key, value in report_values(other).items() if key != "pairs"}
            for other in shown.transfer
        ],
    }


def write_page(
    place: Path,
    source: Clip,
    source_name: str,
    stack: Stack,
    shown: Sequence[Shown],
    plan: Plan,
    tracks: Tracks,
    tried: Sequence[Place] = (),
) -> None:
    """Write the page into the file ``place``, or with its chunks into the folder ``place``.

    Args:
        place: the file, or the folder in which ``tracks`` keeps its chunks.
        source: the source clip.
        source_name: as shown; not trusted.
        stack: the networks that judged.
        shown: the files, in the order of the tracks' numbers.
        plan: of the previews.
        tracks: with all that was kept of them.
        tried: other files of the source, which are only dots in the plot.
    """
    sizes = tracks.close()
    data = page_data(source, source_name, stack, shown, plan, sizes, tried)
    confusions = [one.observed.confusion for one in shown]
    text = rendered(
        "report.html",
        data,
        chunks=tracks.chunks,
        source_name=source_name,
        best=min(range(len(shown)), key=lambda i: shown[i].observed.evaluation.score.total),
        transfers=_columns(shown),
        judges=[
            other.judge if isinstance(other, Judgement) else other.stack
            for other in shown[0].transfer
        ],
        subjects=[one.observed.subject for one in shown],
        least=TUNING.present,
        means=[(one.mean_iou, one.mean_boundary_iou) for one in confusions],
        losses=[[asdict(loss) for loss in confusion.losses()] for confusion in confusions],
        confusions=[confusion.rows() for confusion in confusions],
    )
    # Half a surrogate pair, from a file's name or its settings, has no form in UTF-8.
    page = place if plan.one_file else place / INDEX
    page.write_text(text, encoding="utf-8", errors="replace")


def _columns(shown: Sequence[Shown]) -> list[tuple[int, str, str]]:
    """Return the columns of other stacks and judges: number of the judge, title, figure."""
    found = []
    for number, other in enumerate(shown[0].transfer):
        if isinstance(other, Judgement):
            found.append((number, f"{other.judge}: {other.name}", other.name))
            continue
        found.append((number, f"{other.stack}: seg", "seg"))
        evaluations = (one.transfer[number] for one in shown)
        if any(isinstance(one, Evaluation) and one.score.pose for one in evaluations):
            found.append((number, f"{other.stack}: pose", "pose"))
    return found


def page_data(
    source: Clip,
    source_name: str,
    stack: Stack,
    shown: Sequence[Shown],
    plan: Plan,
    sizes: Mapping[str, list[int]],
    tried: Sequence[Place] = (),
) -> dict[str, Any]:
    """Return everything that the page's script reads, as plain JSON values."""
    first = shown[0].observed
    places = [*(_place(one.observed.evaluation) for one in shown), *tried]
    return {
        "source": {
            "name": source_name,
            "frames": source.num_frames,
            "fps": float(source.fps),
            "width": source.width,
            "height": source.height,
            "bytes": source.source_bytes,
            "pose": _floats(first.source_poses),
        },
        "stack": {
            "name": stack.name,
            "fingerprint": stack.fingerprint,
            "classes": list(stack.classes),
            "judged": stack.judged if stack.has_pose else 0,
            "colours": hex_colours(),
        },
        "preview": {
            "picture": plan.picture,
            "difference": plan.difference,
            "mask": list(first.mask_size),
            "perChunk": PER_CHUNK,
            "sizes": dict(sizes),
            "folder": None if plan.one_file else FOLDER,
        },
        "files": [_file_data(one) for one in shown],
        "front": pareto_front(places, lambda place: place),
        "tried": list(tried),
    }


def _file_data(shown: Shown) -> dict[str, Any]:
    seen = shown.observed
    return {
        **file_values(shown),
        "distortion": _place(seen.evaluation)[1],
        "pairs": report_values(seen.evaluation)["pairs"],
        "poses": _floats(seen.poses),
        "framePsnr": [value if math.isfinite(value) else None for value in seen.frame_psnr],
        "worst": worst_pairs(seen.evaluation),
        "parts": [{"part": name, "bytes": size} for name, size in seen.subject.parts],
        "tensors": dict(seen.subject.tensors),
        "pairBytes": _pair_bytes(seen.subject.frame_bytes),
    }


def _pair_bytes(frames: tuple[int, ...]) -> list[int] | None:
    """Return bytes of each pair; None where they cannot be told."""
    pairs = list(zip(frames[0::2], frames[1::2], strict=False))
    return [first + second for first, second in pairs] or None


def _place(evaluation: Evaluation) -> Place:
    """Return bytes, and the score without its rate term."""
    score = evaluation.score
    return evaluation.compressed_bytes, Score(score.seg, score.pose, 0.0).total


def _floats(values: NDArray[np.float32]) -> list[list[float]]:
    """Return float32 values, each written with the digits that tell it from its neighbours."""
    return [[float(str(value)) for value in row] for row in values]


def worst_pairs(evaluation: Evaluation, count: int = WORST) -> list[int]:
    """Return the pairs with the highest ``100 seg + sqrt(10 pose)`` of their own, worst first."""
    order = np.argsort(-evaluation.pair_scores, kind="stable")
    return [int(index) for index in order[:count]]
