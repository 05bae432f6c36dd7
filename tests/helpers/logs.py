"""Logs of training runs, made by the writer with a clock of their own."""

import json
import math
from pathlib import Path
from typing import Any

SOURCE_BYTES = 2_641_803
STAGES = ((0.0, "looking at the source"), (0.04, "training"), (0.36, "quantised"))


def begin(t: float = 0.0, **more: Any) -> dict[str, Any]:
    clip = {"width": 960, "height": 540, "frames": 221, "fps": 25.0, "source_bytes": SOURCE_BYTES}
    plain = {"version": 1, "seesame": "0.2.0", "started": 1_800_000_000.0, "codec": "hnerv"}
    plain |= {"settings": {"preset": "fast", "bytes": 41000}, "stack": "lite", "device": "cpu"}
    return {"kind": "begin", "t": t, **plain, "clip": clip, "seconds": 480.0, "steps": None} | more


def step(t: float, share: float, number: int) -> dict[str, Any]:
    """One with figures that fall as training's do, a little noisy."""
    noise = 1 + 0.25 * math.sin(12.9898 * number) * math.sin(78.233 * number)
    return {
        "kind": "step",
        "t": t,
        "step": number,
        "share": share,
        "loss": 60 * math.exp(-5 * share) + 1.2 * noise,
        "terms": {"seg": 1.0, "pose": 0.5, "pixel": 0.0},
        "seg": (0.3 * math.exp(-7 * share) + 0.004) * noise,
        "pose": 0.8 * math.exp(-8 * share) + 0.0012,
        "bytes": None if share < 0.35 else round(41_000 + 26_000 * math.exp(-6 * (share - 0.35))),
        "learning_rate": 4e-3 * 0.5 * (1 + math.cos(math.pi * share)),
        "temperature": 1 - 0.9 * share,
    }


def candidate(t: float, number: int, score: float, best: bool = True) -> dict[str, Any]:
    figures = {
        "bytes": max(41_500 - 150 * number, 20_000),
        "seg": score / 200,
        "pose": 0.00125,
        "rate": 0.0157,
    }
    plain = {"kind": "candidate", "t": t, "number": number, "score": score, "excess": 0.0}
    return {**plain, **figures, "best": best}


def run(seconds: float = 480.0, to: float = 1.0, ended: bool = True) -> list[dict[str, Any]]:
    """A run of so many seconds, up to a share of it."""
    lines = [begin(seconds=seconds)]
    events: list[tuple[float, dict[str, Any]]] = [
        (share, {"kind": "stage", "t": share * seconds, "stage": name}) for share, name in STAGES
    ]
    events.append((0.8, {"kind": "stage", "t": 0.8 * seconds, "stage": "judging"}))
    for number, (share, score) in enumerate(
        ((0.81, 1.31), (0.86, 1.02), (0.91, 1.08), (0.95, 0.84))
    ):
        made = candidate(share * seconds, number + 1, score, best=number != 2)
        events.append((share, made))
    events.append((0.951, {"kind": "stage", "t": 0.951 * seconds, "stage": "correcting"}))
    events.append((0.99, candidate(0.99 * seconds, 5, 0.80)))
    for number in range(1, 300):
        share = 0.04 + 0.91 * number / 300
        events.append((share, step(share * seconds, number / 300, 4 * number)))
    lines += [line for share, line in sorted(events, key=lambda one: one[0]) if share <= to]
    if ended:
        figures = {"why": "finished", "number": 5, "bytes": 40_750, "score": 0.80}
        lines.append({"kind": "end", "t": seconds, **figures})
    return lines


def text(lines: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(lines))
    return path
