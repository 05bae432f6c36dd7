"""The semantic codec against hnerv, with renderers that never saw the clip.

    python bench/semantic.py [--renderers FOLDER] [--embed] [--hnerv] [--clips highway.mp4 ...]
    python bench/semantic.py --table

FOLDER holds the files that ``bench/renderers.py`` makes: a clip is reported with the one whose
training left it out. Each encode begins with nothing known: its time has the reference pass in it.
``--embed`` makes files that hold a renderer of their own, in ``--budget`` seconds each. ``--hnerv``
makes the files of ``hnerv`` with its preset ``fast``. Both go without ``--renderers`` too. Rows are
appended to ``bench/results/semantic.jsonl``.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Results
from measure import measured, name_of
from seesame.bitstream.container import Container, Section
from seesame.codecs.registry import codec_by_id
from seesame.codecs.semantic.installed import install
from seesame.jobs.spec import Job, Source
from seesame.jobs.workbench import Workbench
from tasks import Row, Task, find_clip, options, run_tasks

CLIPS = "highway.mp4", "dusk.mp4", "motorway.mp4", "forest.mp4", "comma_minute.mp4"
HELD_OUT = {"fold_a": ("highway.mp4", "forest.mp4")}
OTHERS = "fold_b"


def renderer_for(clip: str, folder: Path) -> Path:
    """Return the renderer that never saw a clip."""
    name = next((fold for fold, clips in HELD_OUT.items() if name_of(clip) in clips), OTHERS)
    return folder / f"{name}.renderer"


def semantic(clip: str, stack: str, renderer: str, settings: Row, seed: int) -> list[Row]:
    """Make, judge and time one file of the semantic codec."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["SEESAME_HOME"] = home  # of this process alone
        install(Path(renderer))
        row = made(clip, stack, {**settings, "renderer": renderer}, seed, Path(home, "clip.ssm"))
    return [row | {"settings": {**settings, "renderer": Path(renderer).name}}]


def embedded(clip: str, stack: str, settings: Row, seed: int) -> list[Row]:
    """Make, judge and time one file with a renderer of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return [made(clip, stack, settings, seed, Path(folder, "clip.ssm"))]


def made(clip: str, stack: str, settings: Row, seed: int, out: Path) -> Row:
    """Return the row of one file of the semantic codec."""
    job = Job(Source(find_clip(clip)), "semantic", stack=stack, device="cpu", cache=False)
    bench = Workbench.open(job)
    row = measured(bench, "semantic", settings, seed=seed, out=out, overwrite=True)
    container = Container.read(out)
    parts = {part.name.lower(): len(data) for part, data in container.sections.items()}
    start, frames = time.perf_counter(), 0
    for batch in codec_by_id(container.codec_id).decode(container).batches(16):
        frames += len(batch)
    seconds = time.perf_counter() - start
    row |= {"masks_bytes": parts.get(Section.MASKS.name.lower()), "sections": parts}
    return row | {"decode_fps": round(frames / seconds, 1), "frames": frames}


def hnerv(clip: str, stack: str, seed: int) -> list[Row]:
    """Make and judge the file of hnerv's preset ``fast``."""
    job = Job(Source(find_clip(clip)), "hnerv", stack=stack, device="cpu", cache=False)
    return [measured(Workbench.open(job), "hnerv", {"preset": "fast"}, seed=seed)]


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a table."""
    latest = {(row["clip"], row["what"]): row for row in rows}
    lines = [
        "| clip | codec | bytes | seg | pose | rate term | score | encode | of hnerv's score |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for (clip, what), row in latest.items():
        other = latest.get((clip, "hnerv"))
        share = f"{row['score'] / other['score']:.2f}" if other and what != "hnerv" else ""
        lines.append(
            f"| {Path(clip).stem} | {what} | {row['bytes']:,} | {row['seg']:.5f} | "
            f"{row['pose']:.5f} | {25 * row['rate']:.3f} | {row['score']:.3f} | "
            f"{row['encode_s']:.0f} s | {share} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark, or print its table."""
    assert __doc__ is not None
    parser = options(__doc__, "semantic", CLIPS)
    parser.add_argument("--renderers", type=Path, help="folder of the renderers")
    parser.add_argument("--simplify", type=int, nargs="+", default=[10])
    parser.add_argument("--embed", action="store_true", help="files with their own renderer too")
    parser.add_argument("--budget", type=float, default=480.0, help="seconds of their encode")
    parser.add_argument("--hnerv", action="store_true", help="hnerv's files too")
    parser.add_argument("--table", action="store_true", help="print the table of the results")
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    if args.table:
        print(table(results.rows()))
        return
    if args.renderers is None and not (args.embed or args.hnerv):
        parser.error("--renderers, --embed or --hnerv is missing")
    tasks = []
    for clip in args.clips:
        common = {"clip": clip, "stack": args.stack, "seed": args.seed}
        for simplify in args.simplify if args.renderers else []:
            what = "semantic" if simplify == 10 else f"semantic, simplify {simplify}"
            more = {"settings": {"simplify": simplify}}
            more["renderer"] = str(renderer_for(clip, args.renderers))
            tasks.append(Task({"clip": clip, "what": what}, semantic, common | more))
        if args.embed:
            more = {"settings": {"embed": True, "budget_s": args.budget}}
            tasks.append(
                Task({"clip": clip, "what": "semantic, embedded"}, embedded, common | more)
            )
        if args.hnerv:
            tasks.append(Task({"clip": clip, "what": "hnerv"}, hnerv, common))
    run_tasks(tasks, results, args)


if __name__ == "__main__":
    main()
