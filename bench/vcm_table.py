"""The table and the plot of docs/vcm.md, from ``bench/results/vcm.jsonl``."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import table
from seesame.metric.rates.bd_rate import BdRate, mean_over_clips
from seesame.metric.rates.curves import CurvePoint, compared_at, pose_quality
from seesame.perception.flow import flow_quality

ANCHOR = "svtav1"
CURVES = {
    "svtav1": "#1f5f8b",
    "x265": "#7aa6c2",
    "x264": "#a9a9a9",
    "portable": "#c8442d",
    "hybrid": "#d99a2b",
    "hnerv": "#6b8e3d",
    "semantic": "#7b4fa3",
}
"""The curves in the order of the table, and their colours in the plot."""
TICKS = 30, 100, 300, 1000, 3000, 10_000

Row = Mapping[str, Any]


def percent(share: float | None) -> float | None:
    """Return a share in percent; None where nothing was measured."""
    return None if share is None else 100 * share


def recall(row: Row) -> float | None:
    """Return the share of detections found again; the first rows call it ``found``."""
    share: float | None = row["recall"] if "recall" in row else row["found"]
    return share


MEASURES: dict[str, Callable[[Row], float | None]] = {
    "mean IoU": lambda row: percent(row["miou"]),
    "boundary IoU": lambda row: percent(row["boundary_miou"]),
    "pose error": lambda row: pose_quality(row["pose"]),
    "detections found again": lambda row: percent(recall(row)),
    "optical flow": lambda row: flow_quality(row["flow_px"]),
}
"""The qualities at which bytes are compared, by name; higher is better, errors are in dB."""


def latest(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the rows of each clip and curve, of its last run alone."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        own = found.setdefault((row["clip"], row["curve"]), [])
        if own and own[0]["run"] != row["run"]:
            own.clear()
        own.append(row)
    return found


def clips_of(rows: Sequence[Row]) -> list[str]:
    """Return the clips in the order in which they were measured."""
    return list(dict.fromkeys(row["clip"] for row in rows))


def bd_rates(rows: Sequence[Row], measure: str, curve: str) -> dict[str, BdRate | str]:
    """Return the BD-rate of a curve on each clip that has it, or why there is none."""
    groups, value = latest(rows), MEASURES[measure]
    found: dict[str, BdRate | str] = {}
    for clip in clips_of(rows):
        sides = {name: groups[clip, name] for name in (ANCHOR, curve) if (clip, name) in groups}
        if len(sides) < 2:
            continue
        points = {
            name: [
                CurvePoint("", name, row["bytes"], qualities={measure: value(row)}) for row in own
            ]
            for name, own in sides.items()
        }
        one = compared_at(measure, ANCHOR, curve, points)
        found[clip] = one.found or one.refused
    return found


def vcm_table(rows: Sequence[Row]) -> str:
    """Return the BD-rates against the anchor: a line a measure and curve, a column a clip.

    Behind each stands the share of the anchor's own range that both curves reach. The mean is over
    the clips that have a BD-rate.
    """
    clips = clips_of(rows)
    columns = ("at equal", "codec", *(Path(clip).stem for clip in clips), "mean", "95 % interval")
    lines: list[tuple[str, ...]] = []
    for measure in MEASURES:
        for curve in CURVES:
            found = bd_rates(rows, measure, curve) if curve != ANCHOR else {}
            if not any(isinstance(one, BdRate) for one in found.values()):
                continue
            rates = {clip: one.percent for clip, one in found.items() if isinstance(one, BdRate)}
            mean = mean_over_clips(rates.values())
            many = f"{mean.low:+.0f} to {mean.high:+.0f} %" if mean.clips > 1 else "one clip"
            cells = [_cell(found.get(clip)) for clip in clips]
            lines.append((measure, f"`{curve}`", *cells, f"{mean.mean:+.0f} %", many))
    return table(columns, lines, left=2)


def _cell(found: BdRate | str | None) -> str:
    if found is None:
        return ""
    if isinstance(found, str):
        return "none"
    return f"{found.percent:+.0f} % ({100 * found.share:.0f} %)"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw a panel for each clip: mean IoU over bytes a frame, a line for each curve."""
    from matplotlib.figure import Figure

    clips, groups = clips_of(rows), latest(rows)
    high = -(-len(clips) // 2)
    figure = Figure(figsize=(9, 3.6 * high + 0.4), layout="constrained")
    axes = figure.subplots(high, 2, squeeze=False).ravel()
    for unused in axes[len(clips) :]:
        unused.set_visible(False)
    for axis, clip in zip(axes, clips, strict=False):
        for curve, colour in CURVES.items():
            own = sorted(groups.get((clip, curve), ()), key=lambda row: row["bytes"])
            if own:
                sizes = [row["bytes"] / row["frames"] for row in own]
                values = [100 * row["miou"] for row in own]
                axis.plot(sizes, values, "o-", color=colour, label=curve, markersize=4)
        axis.set_xscale("log")
        axis.set_xticks(TICKS, [f"{tick:,}" for tick in TICKS])
        axis.minorticks_off()
        sizes = [row["bytes"] / row["frames"] for row in rows if row["clip"] == clip]
        axis.set_xlim(0.8 * min(sizes), 1.25 * max(sizes))
        axis.set_title(Path(clip).stem)
        axis.set_xlabel("bytes a frame")
        axis.set_ylabel("mean IoU, %")
        axis.grid(color="0.92")
        axis.set_axisbelow(True)
    handles: dict[str, Any] = {}
    for axis in axes:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))
    figure.savefig(path, dpi=130)
    print(f"wrote {path}")
