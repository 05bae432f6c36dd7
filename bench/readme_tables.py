"""Rewrite the tables of README.md and docs, and the demo's picture, from measured results.

    python bench/readme_tables.py            # from out/demo and bench/results
    python bench/readme_tables.py --check    # exit code 1 when a page is not up to date

``make demo`` makes ``out/demo/demo.json`` and ``demo.png``; the scripts in ``bench/`` write one
JSON object a line into ``bench/results/*.jsonl``. A table stands in its page between the lines
``<!-- name:start -->`` and ``<!-- name:end -->``.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Cells, table
from seesame.cli.demo import COLUMNS, cells
from vcm_table import vcm_table

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("clip", "codec", "bytes", "seg", "pose", "rate", "score")
"""The fields of a row of ``first_light.jsonl`` that stands for a file."""
PARTS = ("base", "base, corrections", "base, network", "hybrid")
"""The variants of ``bench/hybrid.py`` that show what each part gains."""
KINDS = {"exact, first": "the first score of a source", "exact, again": "the next scores"}
"""The table's names for the kinds of ``bench/scoring.py``."""
GONE = ("roi=1", "first_blur=0.5")
"""Variants of the ablation whose settings did not pay and no longer exist."""

Values = Mapping[str, Any]


def read_lines(path: Path) -> list[Values]:
    """Return the JSON objects of a file of JSON lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def figures(values: Values) -> Cells:
    """Return the cells bytes, seg, pose, rate and score."""
    return (
        f"{values['bytes']:,}",
        f"{values['seg']:.5f}",
        f"{values['pose']:.5f}",
        f"{values['rate']:.5f}",
        f"{values['score']:.3f}",
    )


def size_and_score(row: Values) -> str:
    """Return one cell with both."""
    return f"{row['bytes']:,} B, {row['score']:.3f}"


def clips_of(rows: Iterable[Values]) -> list[str]:
    """Return the clips in the order in which they were measured."""
    return list(dict.fromkeys(row["clip"] for row in rows))


def processor(row: Values) -> str:
    """Return the maker and family of a row's processor, without marks and numbers."""
    name = row.get("machine", "").partition(",")[0].replace("(R)", "").replace("(TM)", "")
    return " ".join(word for word in name.split() if word not in ("Processor", "CPU"))


def demo_table(rows: list[Values]) -> str:
    """Return the table that ``seesame demo`` prints."""
    first = rows[0]
    source = (
        f"{first['width']}x{first['height']}, {first['fps']:.6g} fps, "
        f"{first['num_frames']} frames, {first['source_bytes']:,} bytes; stack `{first['stack']}`."
    )
    return f"{table(COLUMNS, map(cells, rows))}\n\nSource: {source}"


def overview_table(rows: list[Values]) -> str:
    """Return one line a clip and codec of what ``bench/transfer.py`` measured.

    AV1 is shown at the quality with the lowest score, hybrid with the pixel weight for archives,
    hnerv as it is by default.
    """
    lines = []
    for clip in clips_of(rows):
        own = [row for row in rows if row["clip"] == clip and not row.get("augment")]
        av1 = min((row for row in own if row["kind"] == "av1"), key=lambda row: row["score"])
        shown = [(f"`svtav1`, CRF {av1['crf']}", av1)]
        for kind, weight in (("hybrid", 0.3), ("hnerv", 0.0)):
            name = f"`{kind}`" + (f", pixel weight {weight:g}" if weight else "")
            for row in own:
                if row["kind"] == kind and row["pixel_weight"] == weight:
                    shown.append((name, row))
        lines += [
            (
                clip,
                name,
                f"{row['bytes']:,}",
                f"{100 * row['rate']:.1f} %",
                f"{100 * row['seg']:.2f} %",
                f"{row['pose']:.4f}",
                f"{row['score']:.2f}",
                f"{100 * row['transfer']:.1f} %",
                f"{row['psnr']:.0f} dB",
                f"{row['encode_s']:.0f} s",
            )
            for name, row in shown
        ]
    columns = ("clip", "codec", "bytes", "of the source", "seg", "pose", "score")
    return table((*columns, "seg, other net", "PSNR", "encode"), lines, left=2)


def first_light_table(rows: list[Values]) -> str:
    """Return the best score of each codec, with how many settings were tried."""
    groups: dict[tuple[str, str, str], list[Values]] = {}
    for row in rows:
        if all(row.get(name) is not None for name in NEEDED):
            preset = row.get("settings", {}).get("preset")
            name = f"{row['codec']} {preset}" if preset else str(row["codec"])
            name += ", on a GPU" if row.get("device") == "cuda" else ""
            groups.setdefault((row["clip"], row["stack"], name), []).append(row)
    best = {key: min(group, key=lambda row: row["score"]) for key, group in groups.items()}
    lines = [
        (
            *key,
            f"best of {len(groups[key])}" if len(groups[key]) > 1 else "one",
            *figures(best[key]),
            f"{best[key]['encode_s']:.1f}" if "encode_s" in best[key] else "",
        )
        for key in sorted(best, key=lambda key: (key[0], key[1], best[key]["score"]))
    ]
    columns = ("clip", "stack", "codec", "settings", "bytes", "seg", "pose", "rate", "score")
    return table((*columns, "encode s"), lines, left=4)


def lite_table(rows: list[Values]) -> str:
    """Return what ``bench/lite_stack.py`` measured."""
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


def scoring_table(rows: list[Values]) -> str:
    """Return the ratios that ``bench/scoring.py`` measured with the nets as the challenge has them.

    Rows of a faster order of sums, which seesame no longer offers, are left out.
    """
    runs = 1 + max(row.get("run", 0) for row in rows)
    columns = (f"{runs} runs", "times faster", "least", "most", "difference in score")
    lines = [
        (
            KINDS.get(row["kind"], row["kind"]),
            *(f"{row['faster'][k]:.2f}" for k in ("median", "min", "max")),
            f"{row['score_difference']:.2g}",
        )
        for row in rows
        if "faster" in row and not row["kind"].startswith("fast")
    ]
    return table(columns, lines)


def recipe_table(rows: list[Values]) -> str:
    """Return what ``bench/public_recipe.py`` measured: each clip's best recipe beside hnerv.

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
        cells = [size_and_score(row) for row in (best, ours)]
        ratio = f"{ours['score'] / best['score']:.2f}"
        width = best["job"].split()[1]
        lines.append((clip, where, f"{minutes:g}", widths, width, *cells, ratio))
    columns = ("clip", "processor", "CPU minutes", "widths", "best width")
    return table((*columns, "the recipe's", "hnerv's", "ratio"), lines, left=2)


def hybrid_table(rows: list[Values]) -> str:
    """Return the best hand-made settings, then the parts of hybrid, by ``bench/hybrid.py``."""
    latest = {(row["clip"], row["variant"]): row for row in rows}
    lines = []
    for clip in clips_of(rows):
        of_clip = {v: row for (c, v), row in latest.items() if c == clip}
        hand_made = [row for v, row in of_clip.items() if v not in PARTS]
        if not hand_made or not of_clip.keys() >= set(PARTS):
            continue
        best = min(hand_made, key=lambda row: row["score"])
        shown = [best, *(of_clip[part] for part in PARTS)]
        seconds = f"{of_clip['hybrid']['encode_s']:.0f}"
        ratio = f"{shown[-1]['score'] / best['score']:.2f}"
        lines.append((clip, *map(size_and_score, shown), ratio, seconds))
    columns = ("clip", "best hand-made", "base", "with corrections", "with network", "with both")
    return table((*columns, "ratio", "encode s"), lines)


def search_table(rows: list[Values]) -> str:
    """Return what ``bench/search.py`` measured: the exhaustive grid, and auto with few encodes."""
    lines = []
    for clip in clips_of(rows):
        found = {row["method"]: row for row in rows if row["clip"] == clip}
        few, whole, wide = (found.get(method) for method in ("auto", "grid", "wide"))
        if few is None:
            continue
        score = few["best"][-1]
        cells = ["", f"{few['trials']}: {score:.3f}", "", "", ""]
        if whole is not None:
            cells[0] = f"{whole['trials']}: {whole['best'][-1]:.3f}"
            cells[2] = f"{score / whole['best'][-1]:.3f}"
            cells[3] = f"{few['trial_s'] / whole['trial_s']:.3f}"
        best = few
        if wide is not None:
            cells[4] = f"{wide['trials']}: {wide['best'][-1]:.3f}"
            best = min(few, wide, key=lambda row: row["best"][-1])
        transfer = best["confirmed"].get("transfer")
        lines.append((clip, *cells, f"{transfer['seg']:.4f}" if transfer else ""))
    columns = ("clip", "grid", "auto", "auto / grid", "auto's share of the time")
    return table((*columns, "auto, wide", "seg, other net"), lines)


def ablation_table(rows: list[Values]) -> str:
    """Return the scores of single settings, a column a clip, and the change from their base."""
    found = {(row["variant"], row["clip"]): row for row in rows if row["variant"] not in GONE}
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
    """Return what ``bench/transfer.py`` measured: a line a file, the latest of its kind.

    Rows of a training against augmented copies, which seesame no longer offers, are left out.
    """
    key = ("clip", "kind", "crf", "pixel_weight")
    kept = [row for row in rows if not row.get("augment")]
    lines = []
    for row in {tuple(map(row.get, key)): row for row in kept}.values():
        av1 = row["kind"] == "av1"
        name = f"CRF {row['crf']}" if av1 else f"pixel weight {row['pixel_weight']:g}"
        judged = (f"{row['bytes']:,}", f"{row['score']:.3f}", f"{row['transfer']:.4f}")
        alike = (f"{row['psnr']:.1f}", f"{row['ms_ssim']:.3f}")
        lines.append((row["clip"], row["kind"], name, *judged, *alike))
    lines.sort(key=lambda line: (line[0], ("av1", "hybrid", "hnerv").index(line[1])))
    columns = ("clip", "codec", "settings", "bytes", "score", "seg, other net")
    return table((*columns, "PSNR, dB", "MS-SSIM"), lines, left=3)


def kills_table(rows: list[Values]) -> str:
    """Return how often each command was killed, by what, and what was wrong, in its last row."""
    signals = ("SIGINT", "SIGTERM", "SIGKILL")
    lines = [
        (
            row["command"],
            *(row["by_signal"].get(name, 0) for name in signals),
            row["left_until_next_run"]["SIGKILL"],
            len(row["faults"]),
        )
        for row in {row["command"]: row for row in rows}.values()
    ]
    lines.append(("all", *map(sum, zip(*(line[1:] for line in lines), strict=True))))
    columns = ("command", *signals, "temporary files after SIGKILL", "faults")
    return table(columns, [tuple(map(str, line)) for line in lines])


def soak_table(rows: list[Values]) -> str:
    """Return what a process held in the second and in the last quarter of a soak, in the middle."""
    lines = []
    for row in (row for row in rows if row["part"] == "all"):
        for name in ("rss", "handles", "threads", "scratch", "outputs"):
            pair = [row[f"{name}_{quarter}_quarter"] for quarter in ("second", "last")]
            label = "memory, MB" if name == "rss" else name
            pair = [one / 1e6 if name == "rss" else one for one in pair]
            lines.append((label, *(f"{one:,.0f}" for one in pair)))
    return table(("held", "second quarter", "last quarter"), lines)


def fuzz_table(lines: Iterable[Values]) -> str:
    """Return the ends of the fuzzer's cases, and the most memory and time, target by target."""
    by_target: dict[str, list[Values]] = {}
    for row in lines:
        by_target.setdefault(row["target"], []).append(row)
    everything = [row for some in by_target.values() for row in some]
    names = ("target", "cases", "read", "refused", "refusals", "faults", "most MB", "longest s")
    rows = [
        (
            name,
            *(f"{sum(row[key] for row in some):,}" for key in ("cases", "read", "refused")),
            f"{max(row['refusals'] for row in some):,}",
            f"{sum(row['faults'] for row in some):,}",
            f"{max(row['worst_mb'] for row in some):,}",
            f"{max(row['worst_s'] for row in some):.2f}",
        )
        for name, some in (*by_target.items(), ("all", everything))
    ]
    return table(names, rows)


def against_table(rows: list[Values]) -> str:
    """Return the ratio of the time of work with two checkouts, in its last row."""
    lines = []
    for row in {row["what"]: row for row in rows}.values():
        low, high = row["cpu_quartiles"]
        lines.append(
            (
                row["what"],
                f"{row['turns']}",
                f"{row['cpu_s']:.1f}",
                f"{row['cpu_ratio']:.3f}",
                f"{low:.3f} to {high:.3f}",
                f"{row['wall_ratio']:.3f}",
            )
        )
    columns = ("work", "turns", "CPU s", "ratio", "middle half of the turns", "by wall time")
    return table(columns, lines)


def fleet_kills_table(rows: list[Values]) -> str:
    """Return what came of each fleet that was killed at random moments."""
    engines = {
        ("kills", "local"): "local",
        ("kills", "ray"): "Ray",
        ("cluster", "ray"): "Ray, nodes",
    }
    columns = ("engine", "clips", "good ones", "kills of workers", "of drivers", "of nodes")
    lines = [
        (
            engines[row["bench"], row["engine"]],
            *(f"{row[name]}" for name in ("clips", "good")),
            *(f"{row['kills'].get(name, 0)}" for name in ("worker", "driver", "node killed")),
            f"{row['attempts']}",
            f"{len(row['faults'])}",
        )
        for row in rows
        if row["bench"] in ("kills", "cluster")
    ]
    return table((*columns, "attempts", "faults"), lines)


def fleet_overhead_table(rows: list[Values]) -> str:
    """Return what the driver takes for a clip on which nothing is done, in the last rows."""
    last = {row["engine"]: row for row in rows if row["bench"] == "overhead"}
    lines = [
        (name, f"{row['clips']:,}", f"{row['driver_ms']:.1f}", f"{row['peak_mb']:.0f}")
        for name, row in last.items()
    ]
    return table(("engine", "clips", "ms a clip", "MB at most"), lines)


def fleet_costs_table(rows: list[Values]) -> str:
    """Return the core time of an hour of footage by what is written, in the last rows."""
    last = {row["codec"]: row for row in rows if row["bench"] == "costs"}
    lines = [
        (
            name,
            f"{row['video_s']:.0f} s",
            ", ".join(row["names"]),
            f"{row['cpu_s']:.0f} s",
            f"{row['core_s_an_hour']:,}",
            f"{row['core_s_an_hour'] / 3600:.1f}",
        )
        for name, row in last.items()
    ]
    columns = ("outputs", "footage", "of", "core time", "core-seconds an hour", "core-hours")
    return table(columns, lines)


@dataclass(frozen=True)
class Block:
    """A table between its markers: its page, its name, its results file, and what fills it."""

    page: str
    name: str
    results: str
    fill: Callable[[list[Values]], str]


BLOCKS = (
    Block("README.md", "overview", "transfer", overview_table),
    Block("docs/which_codec.md", "overview", "transfer", overview_table),
    Block("docs/results.md", "first_light", "first_light", first_light_table),
    Block("docs/results.md", "public_recipe", "public_recipe", recipe_table),
    Block("docs/results.md", "hybrid", "hybrid", hybrid_table),
    Block("docs/results.md", "search", "search", search_table),
    Block("docs/results.md", "lite_stack", "lite_stack", lite_table),
    Block("docs/results.md", "scoring", "scoring", scoring_table),
    Block("docs/av.md", "av_ablation", "av_ablation", ablation_table),
    Block("docs/transfer.md", "transfer", "transfer", transfer_table),
    Block("docs/security.md", "kills", "kills", kills_table),
    Block("docs/security.md", "soak", "soak", soak_table),
    Block("docs/security.md", "fuzz", "fuzz", fuzz_table),
    Block("docs/security.md", "against", "against", against_table),
    Block("docs/fleet.md", "kills", "fleet", fleet_kills_table),
    Block("docs/fleet.md", "overhead", "fleet", fleet_overhead_table),
    Block("docs/fleet.md", "costs", "fleet", fleet_costs_table),
    Block("docs/vcm.md", "vcm", "vcm", vcm_table),
)
DEMO_PAGE = "docs/results.md"


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


def filled_pages(root: Path, demo: Path) -> dict[Path, str]:
    """Return the new text of every page that has tables.

    Args:
        root: the checkout.
        demo: the folder that ``make demo`` made; its table stays as it is where there is none.

    Raises:
        ValueError: a page lacks the markers of a table.
    """
    names = [*dict.fromkeys(block.page for block in BLOCKS)]
    pages = {name: (root / name).read_text(encoding="utf-8") for name in names}
    for block in BLOCKS:
        path = root / "bench" / "results" / f"{block.results}.jsonl"
        body = block.fill(read_lines(path))
        pages[block.page] = replace_block(pages[block.page], block.name, body)
    if (demo / "demo.json").is_file():
        body = demo_table(read_lines(demo / "demo.json"))
        pages[DEMO_PAGE] = replace_block(pages[DEMO_PAGE], "demo", body)
    return {root / name: text for name, text in pages.items()}


def main() -> int:
    """Rewrite the pages and docs/demo.png, or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout")
    parser.add_argument("--demo", type=Path, help="folder that the demo made; out/demo by default")
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    args = parser.parse_args()
    demo = args.demo or args.root / "out" / "demo"
    pages = filled_pages(args.root, demo)
    if args.check:
        return int(any(path.read_text("utf-8") != text for path, text in pages.items()))
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    picture = demo / "demo.png"
    if picture.is_file():
        shutil.copyfile(picture, args.root / "docs" / "demo.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
