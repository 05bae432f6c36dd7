"""What corrections after training gain: the score before and after, with each kind alone.

    python bench/sidecar.py FILE.ssm CLIP [FILE.ssm CLIP ...]

A search makes a fixed number of rounds; the figures are those of the decoded files. Latents of
files that an older version wrote, in layout 1, are not changed.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from common import Results
from seesame.bitstream.container import Container, Section
from seesame.codecs.hnerv.codec import HnervCodec
from seesame.codecs.hnerv.file import corrected
from seesame.metric.evaluator import ReferenceOutputs, evaluate, reference_outputs
from seesame.neural.corrections.search import Plan
from seesame.neural.corrections.sidecar import KINDS
from seesame.neural.render.clip import unpack_corrections
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack
from seesame.video.reader import open_clip


def figures(container: Container, outputs: ReferenceOutputs, stack: Stack) -> dict[str, Any]:
    """The true score of a file and its parts."""
    data = container.to_bytes()
    decoded = HnervCodec().decode(Container.from_bytes(data))
    score = evaluate(outputs, decoded, stack, len(data)).score
    sizes = {key.name.lower(): len(payload) for key, payload in container.sections.items()}
    corrections = unpack_corrections(container)
    return {
        "score": round(score.total, 5),
        "seg": round(100 * score.seg, 5),
        "pose": round((10 * score.pose) ** 0.5, 5),
        "bytes": len(data),
        "latents_bytes": sizes["latents"],
        "sidecar_bytes": sizes.get("sidecar", 0),
        "pairs_corrected": corrections.counts() if corrections else {},
    }


def main() -> None:
    """Each file as it is, then with each kind of correction alone, then with all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="a trained file and its clip, in turn")
    parser.add_argument("--rounds", type=int, default=1, help="passes over the clip of a search")
    parser.add_argument("--stack", default="lite")
    args = parser.parse_args()
    stack = load_stack(args.stack)
    results = Results("sidecar")
    once, longer = args.rounds, 4 * args.rounds
    plans = {"all": Plan(rounds=once), "latents": Plan(rounds=once, kinds=())}
    plans |= {kind: Plan(rounds=once, kinds=(kind,), latents=False) for kind in KINDS}
    plans |= {"all, longer": Plan(rounds=longer)}
    for file, clip in zip(args.files[::2], args.files[1::2], strict=True):
        container = Container.read(file)
        sections = {k: v for k, v in container.sections.items() if k != Section.SIDECAR}
        container.sections = sections
        outputs = reference_outputs(open_clip(clip), stack)
        row = {"clip": clip.name, "pairs": len(outputs.classes), "stack": stack.name}
        results.add({**row, "search": "none", **figures(container, outputs, stack)})
        for name, plan in plans.items():
            wall, processor = time.monotonic(), time.process_time()
            changed = corrected(container, outputs, stack, plan)
            spent = {
                "seconds": round(time.monotonic() - wall, 1),
                "processor_seconds": round(time.process_time() - processor, 1),
                "rounds": plan.rounds,
            }
            results.add({**row, "search": name, **figures(changed, outputs, stack), **spent})


if __name__ == "__main__":
    main()
