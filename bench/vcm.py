"""Rate-accuracy curves in the style of video coding for machines, and BD-rates between them.

    python bench/vcm.py [--clips highway.mp4 ...] [--curves svtav1 portable ...] [--go-on]
    python bench/vcm.py --table       # the tables of docs/vcm.md from the results
    python bench/vcm.py --plot        # docs/vcm.png from the results

The first ``--frames`` frames of each clip are coded at five rates or more by every codec. The
anchors (``x264``, ``x265``, ``svtav1``) are classical codecs at source size. ``portable`` is what
``seesame compress CLIP -o FILE.mp4 --max-seg D`` finds with SVT-AV1 at the anchor's preset;
``hybrid``, ``hnerv`` and ``semantic`` write .ssm files. Every file is read back from disk and
judged: mean IoU of the stack's classes against those that it sees in the source (pseudo labels),
pose distortion, the share of NanoDet's detections that are found again, and optical flow. The last
two need onnxruntime and opencv-python-headless. Rows are appended to ``bench/results/vcm.jsonl``.
It claims no conformance to any test conditions.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import HERE, SHARED, Results
from measure import name_of
from seesame.context import EncodeMemory, no_progress
from seesame.decoders import decode_file, open_clip
from seesame.jobs.portable import write_portable
from seesame.jobs.workbench import Workbench
from seesame.metric.classes import ClassCounts
from seesame.metric.evaluator import evaluate
from seesame.metric.judges import judgement, observations
from seesame.metric.limits import Limits
from seesame.perception.judge import Judge
from seesame.perception.registry import load_judge, load_stack
from seesame.search.within.portable import find_portable
from seesame.video.clip import Clip
from seesame.video.span import Span
from tasks import Row, Task, find_clip, options, run_tasks
from vcm_table import draw, vcm_table

CLIPS = "highway.mp4", "dusk.mp4", "forest.mp4", "motorway.mp4"
FRAMES = 120
PRESET = "8"
"""SVT-AV1's, of the anchor and of portable files."""
ANCHORS: dict[str, tuple[str, Sequence[int]]] = {
    "svtav1": (PRESET, (25, 35, 43, 50, 57, 63)),
    "x265": ("medium", (22, 28, 34, 39, 44)),
    "x264": ("medium", (22, 28, 34, 39, 44)),
}
"""Preset and CRFs of the codecs at source size."""
BOUNDS = 0.03, 0.02, 0.014, 0.009, 0.006
"""Bounds on seg, every frame, of portable files."""
SIMPLIFY = 0, 2, 4, 7, 10
SIZES = 0.35, 0.7, 1.4, 2.8, 5.6
"""Sizes of hybrid and hnerv, in units of what they would choose."""
CURVES = (*ANCHORS, "portable", "semantic", "hybrid", "hnerv")
NANODET = HERE.parent / "out" / "nanodet"
STEP = 8
"""Frames from one that NanoDet and the flow look at to the next."""
PLOT = HERE.parent / "docs" / "vcm.png"


def nanodet(folder: Path = NANODET) -> str:
    """Make NanoDet a judge in a folder, as docs/stacks.md describes it; return its name."""
    import re

    text = (HERE.parent / "docs" / "stacks.md").read_text(encoding="utf-8")
    found = re.search(r"```toml\n(name = \"nanodet\".*?)```", text, re.DOTALL)
    assert found is not None
    place = SHARED / "models" / "nanodet"
    labels = (place / "labels.txt").read_text().split("\n")[:80]
    quoted = ", ".join(f'"{label}"' for label in labels)
    folder.mkdir(parents=True, exist_ok=True)
    stack = re.sub(r"(?m)^classes = .*$", f"classes = [{quoted}]", found[1])
    (folder / "stack.toml").write_text(stack, encoding="utf-8")
    shutil.copyfile(place / "nanodet_416.onnx", folder / "nanodet_416.onnx")
    return f"onnx:{folder}"


class Judged:
    """A clip's bench and judges, for any number of files."""

    def __init__(self, clip: str, frames: int, stack: str) -> None:
        whole = open_clip(find_clip(clip))
        self.clip: Clip = Span(whole, 0, min(frames, whole.num_frames))
        self.stack = load_stack(stack)
        self.bench = Workbench(self.clip, self.stack, cache=False, memory=EncodeMemory())
        self.known = self.bench.reference()
        self.judges: list[Judge] = []
        for name in (nanodet(), "flow"):
            judge: Any = load_judge(name)
            judge.step = STEP
            self.judges.append(judge)
        self.seen = [observations(judge, self.clip) for judge in self.judges]

    def row(self, file: Path, setting: float, seconds: float) -> Row:
        """Return the figures of a file."""
        ssm = file.suffix == ".ssm"
        counts = ClassCounts(self.stack.classes)
        found = evaluate(
            self.known,
            self._opened(file),
            self.stack,
            file.stat().st_size,
            every_frame=True,
            watch=counts.watch,
            as_read=not ssm,
        )
        row: Row = {
            "setting": setting,
            "bytes": file.stat().st_size,
            "seg": found.figures.seg,
            "pose": found.score.pose,
            "score": found.score.total,
            "miou": counts.mean_iou,
            "boundary_miou": counts.mean_boundary_iou,
            "ious": {one.name: one.iou for one in counts.figures if one.present},
            "encode_s": round(seconds, 1),
            "frames": self.clip.num_frames,
        }
        for judge, seen in zip(self.judges, self.seen, strict=True):
            row |= judgement(judge, seen, self._opened(file)).figures
        return row

    def _opened(self, file: Path) -> Clip:
        return decode_file(file, "cpu") if file.suffix == ".ssm" else open_clip(file)


def curve_task(clip: str, curve: str, frames: int, stack: str, budget: float) -> list[Row]:
    """Make and judge the files of one curve."""
    judged, rows = Judged(clip, frames, stack), []
    with tempfile.TemporaryDirectory() as folder:
        for setting, make in settings_of(curve, judged.bench, budget):
            start = time.monotonic()
            file = make(Path(folder))
            rows.append(judged.row(file, setting, time.monotonic() - start))
            print(clip, curve, rows[-1], flush=True)
    return rows


def settings_of(
    curve: str, bench: Workbench, budget: float
) -> Iterable[tuple[float, Callable[[Path], Path]]]:
    """Yield the settings of a curve, and what makes the file of each in a folder."""
    if curve in ANCHORS:
        preset, crfs = ANCHORS[curve]
        for crf in crfs:
            settings = {"preset": preset, "crf": crf, "scale": 1.0}
            yield (
                crf,
                lambda folder, s=settings: classical(bench, curve, s, folder / f"{s['crf']}.mp4"),
            )
    elif curve == "portable":
        for bound in BOUNDS:
            yield bound, lambda folder, d=bound: portable(bench, d, folder)
    elif curve == "semantic":
        for simplify in SIMPLIFY:
            yield simplify, lambda folder, s=simplify: ssm(bench, curve, {"simplify": s}, folder)
    else:
        from seesame.codecs.hybrid.config import TUNING
        from seesame.neural.fitting.settings import target_bytes

        pairs, size = -(-bench.clip.num_frames // 2), bench.clip.source_bytes
        usual = (TUNING.over_hnerv if curve == "hybrid" else 1) * target_bytes(pairs, size)
        for factor in SIZES:
            settings = {"bytes": round(factor * usual), "budget_s": budget}
            yield factor, lambda folder, s=settings: ssm(bench, curve, s, folder)


def classical(bench: Workbench, codec: str, settings: Row, out: Path) -> Path:
    """Return a file of a classical codec."""
    how = {"tracks": False, "max_share": np.inf, "judge": False}
    write_portable(bench, codec, settings, out, progress=no_progress, **how)
    return out


def portable(bench: Workbench, bound: float, folder: Path) -> Path:
    """Return the smallest plain file that keeps a bound on seg."""
    out, limits = folder / f"portable-{bound}.mp4", Limits(seg=bound)
    how = {"overwrite": True, "tracks": False, "max_share": np.inf}
    find_portable(bench, "svtav1", {"preset": PRESET}, limits, out, progress=no_progress, **how)
    return out


def ssm(bench: Workbench, codec: str, settings: Row, folder: Path) -> Path:
    """Return a file of one of seesame's own codecs."""
    out = folder / f"{codec}.ssm"
    if codec == "semantic":
        settings = settings | {"every_frame": True}
    bench.encode(codec, settings, out=out, overwrite=True, judge=False, progress=no_progress)
    return out


def main() -> None:
    """Run the tasks, or print the tables, or draw."""
    assert __doc__ is not None
    parser = options(__doc__, "vcm", CLIPS)
    parser.add_argument("--curves", nargs="+", choices=CURVES, default=list(CURVES))
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of a trained file")
    parser.add_argument("--table", action="store_true", help="run nothing; print the tables")
    parser.add_argument("--plot", action="store_true", help="run nothing; draw")
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    if not args.table and not args.plot:
        run_tasks(tasks_of(args), results, args)
    print(vcm_table(results.rows()))
    if args.plot:
        draw(results.rows(), PLOT)


def tasks_of(args: argparse.Namespace) -> list[Task]:
    """Return a task for each clip and curve."""
    made = []
    for clip in args.clips:
        for curve in args.curves:
            key = {"clip": name_of(clip), "curve": curve, "stack": args.stack}
            values = {"clip": clip, "curve": curve, "frames": args.frames, "stack": args.stack}
            made.append(Task(key, curve_task, values | {"budget": args.budget}))
    return made


if __name__ == "__main__":
    main()
