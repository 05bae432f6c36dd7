"""The speed of CPU runtimes on networks of comma's shape, and the error of their scores.

    python bench/cpu_runtime.py [--nets FOLDER] [--runs 3] [--pairs 32]

The nets are briefly trained (bench/trained_comma.py; FOLDER keeps them), since random ones magnify
rounding. The clip is a synthetic drive that they never saw. The straightforward loop
(tests/helpers/literal_metric.py) is what an entrant's own script does: decode both clips, run both
nets on both, in batches of 16 pairs. Beside it stand seesame's scores with each runtime, the first
of a source and the next one, whose reference outputs are in the cache. Every measurement is a
process of its own; they take turns. `whole` counts everything from loading the nets, which for a
runtime includes compiling them; `scoring` leaves loading out, as it does not grow with the clip.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common import HERE, Results
from compiled_comma import CompiledCommaStack
from scoring import SIZE, prepare, spread
from seesame.metric import cached_reference_outputs, evaluate, keep_freed_memory
from seesame.perception.comma import stack as comma
from seesame.scene import SceneClip, SceneConfig
from seesame.video.colour import rgb_to_yuv6
from seesame.video.reader import open_clip
from seesame.video.resize import resize
from trained_comma import quality, trained_nets

sys.path.append(str(HERE.parent / "tests" / "helpers"))
from literal_metric import literal_score

UNSEEN_SEED = 9_101
LITERAL = "straightforward"


class OrtStack(comma.CommaStack):
    """Both nets exported to ONNX and run by onnxruntime."""

    def __init__(self, *nets: nn.Module, fingerprint: str = "", official: bool = False) -> None:
        super().__init__(*nets, f"{fingerprint} onnxruntime", official)
        height, width = comma.INPUT_SIZE
        self.sessions = (
            self._session(nets[0], torch.zeros(1, 3, height, width)),
            self._session(nets[1], torch.zeros(1, 12, height // 2, width // 2)),
        )

    def _session(self, net: nn.Module, example: Tensor) -> Any:
        import onnxruntime

        data = io.BytesIO()
        torch.onnx.export(net, (example,), data, dynamo=False, input_names=["x"],
                          dynamic_axes={"x": {0: "batch"}})  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        return onnxruntime.InferenceSession(data.getvalue(), options)

    def segment(self, rgb: Tensor) -> Tensor:
        """Run picture by picture, which is quicker than whole batches."""
        return self._run(0, resize(rgb, self.input_size))

    def pose(self, pairs: Tensor) -> Tensor:
        """Run pair by pair."""
        return self._run(1, rgb_to_yuv6(resize(pairs.flatten(0, 1), self.input_size)).reshape(
            len(pairs), 12, self.input_size[0] // 2, self.input_size[1] // 2))  # fmt: skip

    def _run(self, which: int, batch: Tensor) -> Tensor:
        run = self.sessions[which].run
        return torch.cat(
            [torch.from_numpy(run(None, {"x": x[None].contiguous().numpy()})[0]) for x in batch]
        )


class InductorStack(comma.CommaStack):
    """Both nets through ``torch.compile`` with frozen weights; needs a C++ compiler."""

    def __init__(self, *nets: nn.Module, fingerprint: str = "", official: bool = False) -> None:
        super().__init__(*nets, f"{fingerprint} inductor", official)
        import torch._inductor.config as config

        config.freezing = True
        self._segment = torch.compile(self._segment, dynamic=False)
        self._pose = torch.compile(self._pose, dynamic=False)
        height, width = comma.INPUT_SIZE
        with torch.inference_mode():  # compile for the batches that will come
            self.segment(torch.zeros(16, 3, height, width))
            self.pose(torch.zeros(16, 2, 3, height, width))


STACKS: dict[str, type[comma.CommaStack]] = {
    "torch": comma.CommaStack,
    "openvino": CompiledCommaStack,
    "onnxruntime": OrtStack,
    "inductor": InductorStack,
}


def measure(kind: str, folder: Path, nets: Path, size: int, cache: Path) -> dict[str, Any]:
    """Score once in this process, and time it."""
    source, decoded = folder / "source.mp4", folder / "decoded.mkv"
    start = time.perf_counter()
    if kind == LITERAL:
        plain = comma.CommaStack.load(nets)
        loaded = time.perf_counter()
        score = literal_score(source, decoded, (plain._segment, plain._pose), size).score
    else:
        name, _, turn = kind.partition(", ")
        keep_freed_memory()
        stack = STACKS[name].load(nets)
        loaded = time.perf_counter()
        kept = cache / name
        if turn == "first" and kept.exists():
            for entry in kept.iterdir():
                entry.unlink()
        reference = cached_reference_outputs(source, open_clip(source), stack, folder=kept)
        score = evaluate(reference, open_clip(decoded), stack, size).score.total
    end = time.perf_counter()
    return {"whole_s": end - start, "scoring_s": end - loaded, "score": score}


def in_process(kind: str, *values: object) -> dict[str, Any]:
    """Measure in a process of its own; ``{"failed": ...}`` where the runtime does not run here."""
    words = [sys.executable, __file__, "--one", kind, *map(str, values)]
    ran = subprocess.run(words, capture_output=True, text=True)
    if ran.returncode:
        return {"failed": (ran.stderr.strip().splitlines() or ["no message"])[-1]}
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def compare(results: Results, nets: Path, runs: int, pairs: int, names: list[str]) -> None:
    """Take the measurements in turns, then record ratios and differences in score."""
    kinds = [f"{name}, {turn}" for name in names for turn in ("first", "again")]
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in (LITERAL, *kinds)}
    with tempfile.TemporaryDirectory() as work:
        clip = SceneClip(SceneConfig(seed=UNSEEN_SEED), 2 * pairs)
        folder, size = prepare(clip, 2 * pairs, SIZE, Path(work) / "timing")
        for run in range(runs):
            for kind, rows in found.items():
                rows.append(in_process(kind, folder, nets, size, Path(work) / "cache"))
                results.add({"run": run, "kind": kind, "pairs": pairs, **rows[-1]})
    plain = found[LITERAL]
    for kind in kinds:
        both = [(a, b) for a, b in zip(plain, found[kind], strict=True) if "failed" not in b]
        if both:
            row = {
                what: spread([a[f"{what}_s"] / b[f"{what}_s"] for a, b in both])
                for what in ("whole", "scoring")
            }
            apart = max(abs(a["score"] - b["score"]) for a, b in both)
            results.add({"kind": kind, "times_faster": row, "score_difference": apart})


def main() -> None:
    """Print and record everything."""
    torch.set_num_threads(2)
    if "--one" in sys.argv:
        kind, folder, nets, size, cache = sys.argv[sys.argv.index("--one") + 1 :]
        print(json.dumps(measure(kind, Path(folder), Path(nets), int(size), Path(cache))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=Path, default=Path("comma_trained"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--runtimes", nargs="+", choices=STACKS, default=list(STACKS))
    parser.add_argument("--quality", action="store_true", help="record what the nets reach")
    parser.add_argument("--note", default="", help="kept in the record, as: a busy machine")
    args = parser.parse_args()
    results = Results("cpu_runtime")
    trained_nets(args.nets)
    if args.quality:
        results.add({"nets": quality(args.nets)})
    if args.note:
        results.add({"note": args.note})
    compare(results, args.nets, args.runs, args.pairs, args.runtimes)


if __name__ == "__main__":
    main()
