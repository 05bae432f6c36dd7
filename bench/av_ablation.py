"""What single settings of the classical codecs gain for a stack, each at its own best quality.

    python bench/av_ablation.py [--clips dusk.mp4] [--variants roi=2 "parts of 4 s"] [--go-on]
    python bench/av_ablation.py --table          # run nothing, print the table

The base is SVT-AV1 (x264 for what it alone has) at the scale that suits the clip. A setting changes
bytes and distortion at once, so every variant gets the CRF with which its own score is lowest: a
walk down from the base's in steps of four, then of two, then of one. The score is that of the file
on disk, decoded. Trials are kept in a store, so that a killed run goes on. Rows are appended to
``bench/results/av_ablation.jsonl``.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from common import HERE, Results
from jobs import Row, add_options, find_clip, rows_of
from seesame.jobs.runner import Runner, Source
from seesame.jobs.store import Store
from seesame.jobs.trial import Trial
from seesame.metric.cache import cached_reference_outputs
from seesame.metric.limits import Limits
from seesame.search.excerpt import even_cuts
from seesame.search.goal import Goal
from seesame.search.outcome import chosen_settings
from seesame.search.segmented import segmented
from seesame.search.space import complete

STORE = HERE.parent / "out" / "bench-av-ablation.sqlite"
BASES: dict[str, Row] = {
    "svtav1": {"preset": "8", "gop": 9999, "up": "lanczos"},
    "x264": {"preset": "medium", "gop": 9999, "up": "lanczos"},
}
SCALES = {"highway.mp4": 0.25, "dusk.mp4": 0.35, "forest.mp4": 0.35}
"""Others are coded at 0.3."""
FIRST_CRF = {"svtav1": 43, "x264": 31}
VARIANTS: dict[str, tuple[str, Row]] = {
    "base": ("svtav1", {}),
    "roi=1": ("svtav1", {"roi": 1}),
    "roi=2": ("svtav1", {"roi": 2}),
    "first_blur=0.5": ("svtav1", {"first_blur": 0.5}),
    "first_blur=1": ("svtav1", {"first_blur": 1}),
    "blur=0.5": ("svtav1", {"blur": 0.5}),
    "presharpen=0.5": ("svtav1", {"presharpen": 0.5}),
    "sharpen=0.4": ("svtav1", {"sharpen": 0.4}),
    "sharpen=0.85": ("svtav1", {"sharpen": 0.85}),
    "chroma=0.5": ("svtav1", {"chroma": 0.5}),
    "depth=10": ("svtav1", {"depth": 10}),
    "tune=ssim": ("svtav1", {"tune": "ssim"}),
    "qm": ("svtav1", {"qm": True}),
    "sharpness=2": ("svtav1", {"sharpness": 2}),
    "grain=8, denoise": ("svtav1", {"grain": 8, "denoise": True}),
    "x264": ("x264", {}),
    "x264, first_qp=3": ("x264", {"first_qp": 3}),
    "x264, first_qp=6": ("x264", {"first_qp": 6}),
    "x264, roi_qp=3": ("x264", {"roi_qp": 3}),
    "x264, roi_qp=6": ("x264", {"roi_qp": 6}),
}
PARTS = "parts of 4 s"
"""The base cut every four seconds, CRF and scale of each part chosen together."""
PART_SECONDS, PART_TRIALS = 4, 14
STEPS = (4, 2, 1)


def at_its_best(run: Callable[[Row], Trial], codec: str, settings: Row, start: int) -> Trial:
    """The trial with the lowest score along CRF, walking down from a start."""
    tried: dict[int, Trial] = {}

    def score(crf: int) -> float:
        if crf not in tried:
            tried[crf] = run(complete(codec, settings | {"crf": crf}))
        return tried[crf].score.total

    least, most = (8, 51) if codec == "x264" else (8, 63)
    best = start
    for step in STEPS:
        moved = True
        while moved:
            near = [crf for crf in (best - step, best, best + step) if least <= crf <= most]
            found = min(near, key=score)
            moved, best = found != best, found
    return tried[best]


def ablation(clip: str, args: argparse.Namespace, results: Results) -> None:
    """All variants on a clip, each added to the results as soon as it is done."""
    path, name = find_clip(clip), Path(clip).name
    place = Source(path, stack=args.stack)
    opened = source, eyes = place.open()
    outputs = cached_reference_outputs(path, source, eyes, device="cpu")
    scale, starts, bases = SCALES.get(name, 0.3), dict(FIRST_CRF), {}
    with Runner(place, opened, outputs, Store(args.store)) as runner:
        for variant in args.variants:
            key = {"clip": name, "stack": args.stack, "variant": variant}
            done = rows_of(results, key) if args.go_on else []
            codec, changed = VARIANTS.get(variant, VARIANTS["base"])
            if variant == PARTS:
                trial = in_parts(runner, bases["svtav1"], args.seed)
            else:

                def run(settings: Row, codec: str = codec) -> Trial:
                    (result,) = runner.run([(codec, settings)])
                    if result.trial is None:
                        raise SystemExit(f"{codec} {settings}: {result.why}")
                    return result.trial

                settings = BASES[codec] | {"scale": scale} | changed
                if done and changed:
                    continue
                trial = at_its_best(run, codec, settings, starts[codec])
            if not changed and variant != PARTS:
                bases[codec], starts[codec] = trial, trial.settings["crf"]
            if not done:
                results.add(key | row_of(trial, bases.get(codec, trial)))


def in_parts(runner: Runner, base: Trial, seed: int) -> Trial:
    """The base cut into parts."""
    cuts = even_cuts(runner.clip.num_frames, round(PART_SECONDS * runner.clip.fps))
    result = segmented(runner, Goal(Limits()), base, cuts, PART_TRIALS, seed, lambda _: None)
    if result.trial is None:
        raise SystemExit(result.why)
    return result.trial


def row_of(trial: Trial, base: Trial) -> Row:
    """A variant's figures, beside those of its base."""
    return {
        "codec": trial.codec,
        "settings": chosen_settings(trial),
        "bytes": trial.bytes,
        "seg": trial.seg,
        "pose": trial.pose,
        "rate": trial.score.rate,
        "score": trial.score.total,
        "encode_s": trial.encode_s,
        "of_base": trial.score.total / base.score.total,
        "run": 0,
    }


def print_table(args: argparse.Namespace, results: Results) -> None:
    """Each variant's score on each clip, and what it is of its base's."""
    names = [Path(clip).name for clip in args.clips]
    print("| variant | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(names))
    for variant in args.variants:
        cells = []
        for name in names:
            rows = rows_of(results, {"clip": name, "stack": args.stack, "variant": variant})
            change = f" ({100 * (rows[-1]['of_base'] - 1):+.1f} %)" if rows else ""
            cells.append(f"{rows[-1]['score']:.3f}{change}" if rows else "")
        print(f"| {variant} | " + " | ".join(cells) + " |")


def main() -> None:
    """Run the variants and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, "av_ablation", ("highway.mp4", "dusk.mp4", "forest.mp4"))
    names = [*VARIANTS, PARTS]
    parser.add_argument("--variants", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--store", type=Path, default=STORE)
    parser.add_argument("--stack", default="lite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="run nothing")
    args = parser.parse_args()
    for first in ("x264", "base"):  # what others are measured against
        codec = VARIANTS[first][0]
        if any(VARIANTS.get(v, VARIANTS["base"])[0] == codec for v in args.variants):
            args.variants = [first, *(v for v in args.variants if v != first)]
    results = Results(args.name, append=True, folder=args.folder)
    for clip in [] if args.table else args.clips:
        print(f"{clip}: {len(args.variants)} variants", file=sys.stderr)
        ablation(clip, args, results)
    print_table(args, results)


if __name__ == "__main__":
    main()
