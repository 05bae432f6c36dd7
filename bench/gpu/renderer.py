"""Train lite's renderer on a GPU, and time steps with networks of the challenge's shape.

    python bench/gpu/renderer.py [--budget 240] [--skip-comma]

Prepared for a machine with a GPU; no line of it has been recorded yet. The first part trains on
synthetic drives alone, 60 % of the budget for the renderer, and tests on the clips of ../shared
where they lie. The second part gives the challenge's networks random weights (it needs the comma
extra) and times 50 steps of a renderer's training at 512x384, so that the cost of a renderer for
those networks can be told.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "helpers"))
from common import SHARED, Results
from seesame.codecs.semantic.networks import Renderer
from seesame.codecs.semantic.training.loop import Run
from seesame.codecs.semantic.training.settings import TUNING, TrainingSettings
from seesame.codecs.semantic.training.train import check_stack
from seesame.jobs.renderer import RendererJob, train
from seesame.perception.comma.stack import CommaStack

CLIPS = ("highway", "dusk", "motorway", "comma_minute", "forest")
STEPS, FIRST = 50, 10
"""Steps that are timed, and those before them, in which kernels are chosen."""


def lite(budget: float, results: Results) -> None:
    """Train lite's renderer and test it."""
    paths = tuple(SHARED / f"data/clips/{name}.mp4" for name in CLIPS)
    with tempfile.TemporaryDirectory() as folder:
        job = RendererJob(
            stack="lite",
            drives=(),
            out=Path(folder) / "lite.renderer",
            settings=TrainingSettings(seconds=budget),
            tests=tuple(path for path in paths if path.exists()),
            device="cuda",
        )
        found = train(job)
    row = {"part": "lite", "budget_s": budget, "masks": found.masks}
    for one in found.tests:
        results.add({**row, "clip": one.clip.stem, "mean": one.mean, "worst": one.worst})
    if not found.tests:
        results.add(row)


def comma_steps(results: Results) -> None:
    """Time the steps of a renderer for networks of the challenge's shape."""
    from random_comma import random_nets, save_nets

    with tempfile.TemporaryDirectory() as folder:
        save_nets(*random_nets(), Path(folder))
        stack = CommaStack.load(Path(folder)).to(torch.device("cuda"))
    design = check_stack(stack)
    masks = torch.randint(0, 5, (16, design.height // 32, design.width // 32), dtype=torch.uint8)
    masks = masks.repeat_interleave(32, 1).repeat_interleave(32, 2)
    settings = TrainingSettings(steps=FIRST + STEPS)
    run = Run(Renderer(design), stack, [masks], settings, "cuda")
    for step in range(FIRST + STEPS):
        if step == FIRST:
            torch.cuda.synchronize()
            begun = time.monotonic()
        run._train_step()
    torch.cuda.synchronize()
    seconds = (time.monotonic() - begun) / STEPS
    drawn = max(1, min(TUNING.batch, TUNING.pixels // masks[0].numel()))
    results.add({"part": "comma", "step_s": seconds, "masks_a_step": drawn})


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=240, help="seconds of lite's training")
    parser.add_argument("--skip-comma", action="store_true", help="leave the second part out")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("this needs a GPU")
    results = Results("renderer_gpu", append=True)
    lite(options.budget, results)
    if not options.skip_comma:
        comma_steps(results)


if __name__ == "__main__":
    main()
