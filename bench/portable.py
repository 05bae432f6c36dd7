"""Portable files within limits against the same codecs at source size, and against VMAF.

    python bench/portable.py [--clips highway.mp4 dusk.mp4] [--stacks lite twinlitenet]
    python bench/portable.py --table

For each clip, stack and bound on seg (every frame), four files are made:

``av1``, ``hevc``: the codec at source size (SVT-AV1 preset 8, x265 medium; a key frame every two
seconds), with the highest CRF that keeps the bound. ``vmaf``: SVT-AV1 preset 8 at source size with
the highest CRF whose VMAF is 95 or more, as ab-av1 chooses it (both clips are enlarged to 1920
pixels a row for the measurement); it knows no bound. ``ours``: what
``seesame compress CLIP -o FILE.mp4`` finds within the bound and, where the stack has a pose
network, within the pose distortion of the smaller of ``av1`` and ``hevc``.

Files are read back and judged as their users will read them. Judges that no encoder knew see all of
them: TwinLiteNet where it is not the stack, and NanoDet (share of its boxes that are found again).
It needs imageio-ffmpeg, which brings libvmaf, and opencv-python-headless and onnxruntime for the
judges. Rows are appended to ``bench/results/portable.jsonl``.
"""

import argparse
import importlib.util
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common import HERE, SHARED, Results, twinlitenet
from seesame.context import EncodeMemory, no_progress
from seesame.decoders import open_clip
from seesame.jobs.portable import Portable, write_portable
from seesame.jobs.spec import Job, Source
from seesame.jobs.trial import Trial
from seesame.jobs.workbench import Workbench
from seesame.metric.evaluator import evaluate
from seesame.metric.limits import Limits
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack
from seesame.search.within.cheapest import cheapest
from seesame.search.within.portable import find_portable
from seesame.video.clip import Clip
from tasks import find_clip

CLIPS = "highway.mp4", "dusk.mp4", "forest.mp4", "motorway.mp4"
BOUNDS = 0.01, 0.02
PLAIN: Mapping[str, Mapping[str, Any]] = {
    "av1": {"codec": "svtav1", "preset": "8", "crfs": range(20, 64), "start": 55},
    "hevc": {"codec": "x265", "preset": "medium", "crfs": range(18, 52), "start": 40},
}
VMAF = 95
FOLDER = HERE.parent / "out" / "twinlitenet"
STEP = 4
"""Frames from one that NanoDet looks at to the next."""
ROAD = (0, 1, 2, 3, 5, 6, 7)
"""COCO's classes on a road: people, bicycles, cars, motorcycles, buses, trains, trucks."""


def at_source_size(
    bench: Workbench, name: str, limits: Limits, folder: Path
) -> tuple[Portable, int, float]:
    """Return a codec's file at source size within limits, how many were made, and the seconds."""
    how, made, start = PLAIN[name], {}, time.monotonic()

    def measure(crf: int) -> Trial:
        made[crf] = written(bench, how, crf, folder / f"{name}-{crf}.mp4")
        return Trial.of(made[crf])

    best = cheapest(measure, bench.bound(limits), how["crfs"], how["start"])
    return made[best.settings["crf"]], len(made), time.monotonic() - start


def written(bench: Workbench, how: Mapping[str, Any], crf: int, out: Path) -> Portable:
    """Return a judged file at source size."""
    settings = {"preset": how["preset"], "crf": crf, "scale": 1.0}
    return write_portable(
        bench,
        how["codec"],
        settings,
        out,
        overwrite=True,
        tracks=False,
        max_share=np.inf,
        progress=no_progress,
    )


def at_vmaf(bench: Workbench, folder: Path) -> tuple[Portable, int, float]:
    """Return AV1's file at source size with the highest CRF whose VMAF is high enough."""
    start, low, high = time.monotonic(), 10, 63
    made: dict[int, Portable] = {}
    while high - low > 1:
        crf = (low + high) // 2
        made[crf] = written(bench, PLAIN["av1"], crf, folder / f"vmaf-{crf}.mp4")
        if vmaf(bench.path, made[crf].path) >= VMAF:
            low = crf
        else:
            high = crf
    if low not in made:
        made[low] = written(bench, PLAIN["av1"], low, folder / f"vmaf-{low}.mp4")
    return made[low], len(made), time.monotonic() - start


def vmaf(source: Path | None, file: Path) -> float:
    """Return the mean VMAF of a file by libvmaf's own model."""
    import imageio_ffmpeg

    # Frame by frame: the two files count time in different ticks.
    scale = "scale=1920:-2:flags=bicubic,settb=1/25,setpts=N,format=yuv420p"
    graph = f"[0:v]{scale}[a];[1:v]{scale}[b];[a][b]libvmaf=n_threads=2:n_subsample=5"
    with tempfile.NamedTemporaryFile(suffix=".json") as log:
        graph += f":log_fmt=json:log_path={log.name}"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(file)]
        command += ["-i", str(source), "-lavfi", graph, "-f", "null", "-"]
        subprocess.run(command, check=True, capture_output=True)
        return float(json.loads(Path(log.name).read_text())["pooled_metrics"]["vmaf"]["mean"])


def boxes_found(source: Clip, file: Path) -> float:
    """Return the share of NanoDet's boxes in the source that it finds in a file again.

    A box of score 0.4 or more is found where one of the same class, of score 0.25 or more, overlaps
    it by an intersection over union of 0.5.
    """
    place = SHARED / "models" / "nanodet" / "nanodet.py"
    spec = importlib.util.spec_from_file_location("nanodet", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.NanoDet(threads=2)
    there = found = 0
    decoded = open_clip(file)
    zoom = source.width / decoded.width, source.height / decoded.height
    for before, after in zip(source.batches(STEP), decoded.batches(STEP), strict=True):
        boxes, _, kinds = net(np.ascontiguousarray(before[0][..., ::-1]), 0.4, classes=ROAD)
        other, _, others = net(np.ascontiguousarray(after[0][..., ::-1]), 0.25, classes=ROAD)
        other = other * np.array([*zoom, *zoom])
        for box, kind in zip(boxes, kinds, strict=True):
            there += 1
            found += any(overlap(box, one) >= 0.5 for one in other[others == kind])
    return found / max(1, there)


def overlap(one: Any, other: Any) -> float:
    """Return the intersection over union of two boxes ``(left, top, right, bottom)``."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    both = float(np.prod(sides.clip(0)))
    areas = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]))
    return both / (areas - both) if areas > both else 0.0


def row_of(file: Portable, encodes: float, seconds: float, bench: Workbench) -> dict[str, Any]:
    """Return what is recorded of a file."""
    figures = file.figures
    row = {
        "bytes": file.bytes - file.other_bytes,
        "settings": dict(file.settings),
        "size": f"{file.width}x{file.height}",
        "seg": figures.seg,
        "worst_seg": figures.worst_seg,
        "lost": dict(figures.lost),
        "pose": figures.pose,
        "encodes": encodes,
        "seconds": round(seconds, 1),
        "nanodet": boxes_found(bench.clip, file.path),
    }
    assert bench.stack is not None
    if not bench.stack.name.startswith("onnx"):
        row["twinlitenet"] = transfer(bench.clip, file, load_stack(twinlitenet(FOLDER)))
    return row


def transfer(source: Clip, file: Portable, judge: Stack) -> float:
    """Return a file's seg distortion on every frame for a judge."""
    found = evaluate(
        source, open_clip(file.path), judge, file.bytes, every_frame=True, as_read=True
    )
    return found.figures.seg


def run(clip: str, stack: str, bounds: list[float], add: Callable[[dict[str, Any]], None]) -> None:
    """Make and record all files of one clip for one stack."""
    name = twinlitenet(FOLDER) if stack == "twinlitenet" else stack
    bench = Workbench.open(Job(Source(find_clip(clip)), "svtav1", stack=name))
    bench.memory = EncodeMemory()
    bench.reference()
    with tempfile.TemporaryDirectory() as made:
        folder, key = Path(made), {"clip": clip, "stack": stack}
        file, encodes, seconds = at_vmaf(bench, folder)
        add({**key, "kind": "vmaf", **row_of(file, encodes, seconds, bench)})
        for bound in bounds:
            limits = Limits(seg=bound)
            plain = {kind: at_source_size(bench, kind, limits, folder) for kind in PLAIN}
            for kind, found in plain.items():
                add({**key, "bound": bound, "kind": kind, **row_of(*found, bench)})
            kept = [one for one, *_ in plain.values() if one.figures.seg <= bound]
            best = min(kept or [one for one, *_ in plain.values()], key=lambda one: one.bytes)
            assert bench.stack is not None
            if bench.stack.has_pose:
                limits = Limits(seg=bound, pose=best.figures.pose)
            out = folder / f"ours-{bound}.mp4"
            ours = find_portable(
                bench, "svtav1", {}, limits, out, tracks=False, progress=no_progress
            )
            row = row_of(ours.file, ours.encodes, ours.seconds, bench)
            row |= {"rounds": ours.rounds, "max_pose": limits.pose}
            assert ours.forecast is not None
            row |= {"forecast": ours.forecast.bytes, "first_bytes": ours.first_bytes}
            add({**key, "bound": bound, "kind": "ours", **row})


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a table: bytes, and for ours the share of the better codec's."""
    lines = [
        "| clip | stack | seg at most | AV1 | HEVC | AV1 at VMAF 95 | seesame | of the better |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    latest = {(r["clip"], r["stack"], r.get("bound"), r["kind"]): r for r in rows}
    for clip, stack, bound, kind in latest:
        if kind != "ours":
            continue
        found = {k: latest[clip, stack, bound, k] for k in ("av1", "hevc", "ours")}
        texts, kept = [], []
        for one in ("av1", "hevc"):
            row, good = found[one], found[one]["seg"] <= bound
            kept += [row["bytes"]] if good else []
            texts.append(f"{row['bytes']:,}" + ("" if good else f" (seg {row['seg']:.4f})"))
        ours = found["ours"]
        share = f"{ours['bytes'] / min(kept):.2f}" if kept else ""
        own = f"{ours['bytes']:,}" + ("" if ours["seg"] <= bound else f" (seg {ours['seg']:.4f})")
        vmaf_bytes = latest[clip, stack, None, "vmaf"]["bytes"]
        lines.append(
            f"| {Path(clip).stem} | {stack} | {bound} | {' | '.join(texts)} | {vmaf_bytes:,} | "
            f"{own} | {share} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark, or print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", nargs="+", default=list(CLIPS))
    parser.add_argument("--stacks", nargs="+", default=["lite", "twinlitenet"])
    parser.add_argument("--bounds", nargs="*", type=float, default=list(BOUNDS))
    parser.add_argument("--table", action="store_true", help="print the table of the results")
    args = parser.parse_args()
    results = Results("portable", append=True)
    if args.table:
        print(table(results.rows()))
        return
    for clip in args.clips:
        for stack in args.stacks:
            run(clip, stack, args.bounds, results.add)


if __name__ == "__main__":
    main()
