"""Rewrite the tables of README.md and docs, and the demo's picture, from measured results.

    python bench/readme_tables.py            # from out/demo and bench/results
    python bench/readme_tables.py --check    # exit code 1 when a page is not up to date

``make demo`` makes ``out/demo/demo.json`` and ``demo.png``; the scripts in ``bench/`` write one
JSON object a line into ``bench/results/*.jsonl``. A line of a result with ``clip``, ``codec``,
``bytes``, ``seg``, ``pose``, ``rate`` and ``score`` becomes a candidate for the results table: for
each clip and codec (and preset) the best score is shown.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "bench" / "results"
DEMO = ROOT / "out" / "demo"
STEPS = ("compress", "decompress", "score")
OWN_TABLE = ("minute", "hybrid", "av_ablation", "transfer")
"""Results whose rows are no candidates for the results table."""
NEEDED = ("clip", "codec", "bytes", "seg", "pose", "rate", "score")

Values = Mapping[str, Any]


def read_lines(paths: Iterable[Path]) -> list[Values]:
    """The JSON objects of several files of JSON lines."""
    return [
        json.loads(line)
        for path in sorted(paths)
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], left: int = 1) -> str:
    """A Markdown table; the first ``left`` columns align left, the others right."""
    rule = ["---"] * left + ["---:"] * (len(columns) - left)
    lines = [columns, tuple(rule), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figures(values: Values) -> tuple[str, ...]:
    """The cells that every table has."""
    return (
        f"{values['bytes']:,}",
        f"{values['seg']:.5f}",
        f"{values['pose']:.5f}",
        f"{values['rate']:.5f}",
        f"{values['score']:.3f}",
    )


def optional(values: Values, name: str, digits: int) -> str:
    """A figure that not every script measures."""
    return f"{values[name]:.{digits}f}" if values.get(name) is not None else ""


def demo_table(rows: list[Values]) -> str:
    """The table that ``seesame demo`` prints."""
    columns = ("codec", "bytes", "seg", "pose", "rate", "score", "encode s", "decode fps")
    body = table(
        columns,
        [
            (
                row["label"],
                *figures(row),
                optional(row, "encode_s", 1),
                optional(row, "decode_fps", 0),
            )
            for row in rows
        ],
    )
    first = rows[0]
    source = (
        f"{first['width']}x{first['height']}, {first['fps']:.6g} fps, "
        f"{first['num_frames']} frames, {first['source_bytes']:,} bytes; stack `{first['stack']}`."
    )
    return f"{body}\n\nSource: {source}"


def name_of(row: Values) -> str:
    """Codec and, where there is one, preset; whether a GPU made it."""
    preset = row.get("preset") or row.get("settings", {}).get("preset")
    name = f"{row['codec']} {preset}" if preset else str(row["codec"])
    return f"{name}, on a GPU" if row.get("device") == "cuda" else name


def results_table(rows: list[Values]) -> str:
    """The best score of each codec on each clip and stack, with how many settings were tried."""
    groups: dict[tuple[str, str, str], list[Values]] = {}
    for row in rows:
        if all(row.get(name) is not None for name in NEEDED):
            key = (str(row["clip"]), str(row.get("stack", "lite")), name_of(row))
            groups.setdefault(key, []).append(row)
    if not groups:
        return "No results yet: run the scripts in `bench/`."
    best = {key: min(group, key=lambda row: row["score"]) for key, group in groups.items()}
    ordered = sorted(best, key=lambda key: (key[0], key[1], best[key]["score"]))
    columns = ("clip", "stack", "codec", "settings", "bytes", "seg", "pose", "rate", "score")
    columns += ("encode s",)
    return table(
        columns,
        [
            (
                Path(key[0]).name,
                *key[1:],
                f"best of {len(groups[key])}" if len(groups[key]) > 1 else "one",
                *figures(best[key]),
                optional(best[key], "encode_s", 1),
            )
            for key in ordered
        ],
        left=4,
    )


def lite_table(rows: list[Values]) -> str:
    """What ``bench/lite_stack.py`` measured."""
    sets = {row["set"]: row for row in rows if "set" in row}
    head = next(row for row in rows if "ms_a_pair" in row)
    lines = [
        (f"mean IoU, {name}", f"{sets[name]['mean']:.3f}", f"{sets[name]['frames']} frames")
        for name in ("highway, held out", "synthetic, unseen", "comma10k")
    ]
    unseen, kitti = sets["pose, synthetic, unseen"], sets["pose, KITTI"]
    lines += [
        ("forward motion, synthetic, unseen", f"{unseen['forward']:.3f}", "correlation with truth"),
        ("forward motion, KITTI", f"{kitti['forward']:.3f}", "pairs 1 to 3 frames apart"),
        ("GMAC, SegNet-lite", f"{head['seg_gmac']:.3f}", "a frame"),
        ("GMAC, PoseNet-lite", f"{head['pose_gmac']:.3f}", "a pair"),
        ("ms", f"{head['ms_a_pair']['median']:.1f}", "a pair, median, two cores"),
    ]
    return table(("the lite stack", "", ""), lines)


def minute_table(rows: list[Values]) -> str:
    """What ``bench/minute.py`` measured."""
    columns = ("clip", "bytes", "score", "compress", "decompress", "score it")
    return table(
        columns,
        [
            (
                row["clip"],
                f"{row['bytes']:,}",
                f"{row['score_of_score']:.3f}",
                *(f"{row['seconds'][k]:.0f} s, {row['peak_gb'][k]:.2f} GB" for k in STEPS),
            )
            for row in rows
        ],
    )


def scoring_table(rows: list[Values]) -> str:
    """The ratios that ``bench/scoring.py`` measured."""
    runs = 1 + max(row.get("run", 0) for row in rows)
    columns = (f"{runs} runs", "times faster", "least", "most", "difference in score")
    return table(
        columns,
        [
            (
                row["kind"],
                *(f"{row['faster'][k]:.2f}" for k in ("median", "min", "max")),
                f"{row['score_difference']:.2g}",
            )
            for row in rows
            if "faster" in row
        ],
    )


def recipe_table(rows: list[Values]) -> str:
    """What ``bench/public_recipe.py`` measured: each clip's best recipe beside hnerv.

    CPU minutes are worth more on one machine than on another: only rows of one are compared.
    """
    groups: dict[tuple[str, float, str], dict[str, Values]] = {}
    for row in rows:
        if row.get("device", "cpu") == "cpu" and not row.get("summary"):
            # A job that was run again counts once, the last time.
            key = row["clip"], row["minutes"], processor(row)
            groups.setdefault(key, {})[row["job"]] = row
    lines = []
    for (clip, minutes, where), jobs in sorted(groups.items()):
        ours = jobs.pop("hnerv", None)
        if ours is None or not jobs:
            continue
        best = min(jobs.values(), key=lambda row: row["score"])
        widths = ", ".join(f"{width:g}" for width in sorted(float(j.split()[1]) for j in jobs))
        cells = [f"{row['bytes']:,} B, {row['score']:.3f}" for row in (best, ours)]
        ratio = f"{ours['score'] / best['score']:.2f}"
        width = best["job"].split()[1]
        lines.append((clip, where, f"{minutes:g}", widths, width, *cells, ratio))
    columns = ("clip", "processor", "CPU minutes", "widths", "best width")
    return table((*columns, "the recipe's", "hnerv's", "ratio"), lines, left=2)


def recipe_gpu_table(rows: list[Values]) -> str:
    """What ``bench/public_recipe.py`` measured on GPUs, a row a job."""
    lines = [
        (
            row["clip"],
            row["machine"].rpartition(", ")[2],
            row["job"],
            f"{row['minutes']:g}",
            f"{row['steps_done']:,}" if row.get("steps_done") else "",
            f"{row['bytes']:,}",
            f"{row['score']:.3f}",
        )
        for row in rows
        if row["device"] == "cuda" and not row.get("summary")
    ]
    return table(("clip", "GPU", "job", "minutes", "steps", "bytes", "score"), lines, left=3)


PARTS = ("base", "base, corrections", "base, network", "hybrid")
"""The variants of ``bench/hybrid.py`` that show what each part gains."""


def hybrid_table(rows: list[Values]) -> str:
    """What ``bench/hybrid.py`` measured: the best hand-made settings, then the parts of hybrid."""
    latest = {(row["clip"], row["variant"]): row for row in rows}
    lines = []
    for clip in dict.fromkeys(row["clip"] for row in rows):
        of_clip = {v: row for (c, v), row in latest.items() if c == clip}
        hand_made = [row for v, row in of_clip.items() if v not in PARTS]
        if not hand_made or not of_clip.keys() >= set(PARTS):
            continue
        best = min(hand_made, key=lambda row: row["score"])
        shown = [best, *(of_clip[part] for part in PARTS)]
        cells = [f"{row['bytes']:,} B, {row['score']:.3f}" for row in shown]
        seconds = f"{of_clip['hybrid']['encode_s']:.0f}"
        lines.append((clip, *cells, f"{shown[-1]['score'] / best['score']:.2f}", seconds))
    columns = ("clip", "best hand-made", "base", "with corrections", "with network", "with both")
    return table((*columns, "ratio", "encode s"), lines)


def search_table(rows: list[Values]) -> str:
    """What ``bench/search.py`` measured: the exhaustive grid, and auto with few encodes in the
    same space and in the codec's own.

    Where ``bench/hybrid.py`` ran, beside the best of the settings made by hand.
    """
    hybrid = RESULTS / "hybrid.jsonl"
    made = [row for row in read_lines([hybrid]) if row["variant"] not in PARTS]
    lines = []
    for clip in dict.fromkeys(row["clip"] for row in rows):
        found = {row["method"]: row for row in rows if row["clip"] == clip}
        by_hand = min((row["score"] for row in made if row["clip"] == clip), default=None)
        few, whole, wide = (found.get(method) for method in ("auto", "grid", "wide"))
        if few is None:
            continue
        score = few["best"][-1]
        cells = ["", "", f"{few['trials']}: {score:.3f}", "", "", "", "", ""]
        if whole is not None:
            cells[1] = f"{whole['trials']}: {whole['best'][-1]:.3f}"
            cells[3] = f"{score / whole['best'][-1]:.3f}"
            cells[4] = f"{few['trial_s'] / whole['trial_s']:.3f}"
        best = few
        if wide is not None:
            cells[5] = f"{wide['trials']}: {wide['best'][-1]:.3f}"
            best = min(few, wide, key=lambda row: row["best"][-1])
        if by_hand is not None:
            cells[0] = f"{by_hand:.3f}"
            cells[6] = f"{best['best'][-1] / by_hand:.2f}"
        if "transfer" in best["confirmed"]:
            cells[7] = f"{best['confirmed']['transfer']['seg']:.4f}"
        lines.append((clip, *cells))
    columns = ("clip", "best hand-made", "grid", "auto", "auto / grid", "of its time")
    return table((*columns, "auto, wide", "best auto / hand-made", "transfer"), lines)


def ablation_table(rows: list[Values]) -> str:
    """What ``bench/av_ablation.py`` measured: a column a clip, and the change from the base."""
    found = {(row["variant"], row["clip"]): row for row in rows}
    clips = sorted({clip for _, clip in found})
    lines = []
    for variant in dict.fromkeys(name for name, _ in found):
        cells = []
        for clip in clips:
            row = found.get((variant, clip), {"of_base": 1})
            change = f" ({100 * (row['of_base'] - 1):+.1f} %)" if row["of_base"] != 1 else ""
            cells.append(f"{row['score']:.3f}{change}" if "score" in row else "")
        lines.append((variant, *cells))
    return table(("variant", *clips), lines)


def transfer_table(rows: list[Values]) -> str:
    """What ``bench/transfer.py`` measured: a line a file, the latest of its kind."""
    key = ("clip", "kind", "crf", "pixel_weight", "augment")
    lines = []
    for row in {tuple(map(row.get, key)): row for row in rows}.values():
        if row["kind"] == "av1":
            name = f"CRF {row['crf']}"
        else:
            name = f"pixel weight {row['pixel_weight']:g}" + ", guard" * row["augment"]
        figures = (f"{row['bytes']:,}", f"{row['score']:.3f}", f"{row['transfer']:.4f}")
        seen = (f"{row['psnr']:.1f}", f"{row['ms_ssim']:.3f}")
        lines.append((row["clip"], row["kind"], name, *figures, *seen))
    lines.sort(key=lambda line: (line[0], ("av1", "hybrid", "hnerv").index(line[1])))
    columns = ("clip", "codec", "settings", "bytes", "score", "transfer", "PSNR, dB", "MS-SSIM")
    return table(columns, lines, left=3)


def processor(row: Values) -> str:
    """The maker and family of a row's processor, without marks and numbers."""
    name = row.get("machine", "").partition(",")[0].replace("(R)", "").replace("(TM)", "")
    return " ".join(word for word in name.split() if word not in ("Processor", "CPU"))


def replace_block(text: str, name: str, body: str) -> str:
    """Replace what stands between ``<!-- name:start -->`` and ``<!-- name:end -->``.

    Raises:
        ValueError: the markers are missing.
    """
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"the page needs one {start} and one {end}")
    head, rest = text.split(start)
    _, tail = rest.split(end)
    return f"{head}{start}\n{body}\n{end}{tail}"


def main() -> int:
    """Rewrite README.md, pages of docs and docs/demo.png, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, default=DEMO, help="folder that the demo made")
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    arguments = parser.parse_args()
    old = new = README.read_text(encoding="utf-8")
    lines = arguments.demo / "demo.json"
    if lines.is_file():
        new = replace_block(new, "demo", demo_table(read_lines([lines])))
    results = read_lines(p for p in RESULTS.glob("*.jsonl") if p.stem not in OWN_TABLE)
    new = replace_block(new, "results", results_table(results))
    made = (
        ("lite_stack", "lite_stack", lite_table),
        ("minute", "minute", minute_table),
        ("scoring", "scoring", scoring_table),
        ("public_recipe", "public_recipe", recipe_table),
        ("public_recipe_gpu", "public_recipe", recipe_gpu_table),
        ("hybrid", "hybrid", hybrid_table),
        ("search", "search", search_table),
    )
    for block, name, make in made:
        path = RESULTS / f"{name}.jsonl"
        if path.is_file():
            new = replace_block(new, block, make(read_lines([path])))
    docs = ROOT / "docs"
    pages = {README: (old, new)}
    for page, name, fill in (
        ("av.md", "av_ablation", ablation_table),
        ("transfer.md", "transfer", transfer_table),
    ):
        path = RESULTS / f"{name}.jsonl"
        if path.is_file():
            text = (docs / page).read_text(encoding="utf-8")
            pages[docs / page] = text, replace_block(text, name, fill(read_lines([path])))
    if arguments.check:
        return int(any(before != after for before, after in pages.values()))
    for place, (_, after) in pages.items():
        place.write_text(after, encoding="utf-8")
    picture = arguments.demo / "demo.png"
    if picture.is_file():
        shutil.copyfile(picture, docs / "demo.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
