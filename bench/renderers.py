"""Train the renderers of ``lite``: the one that ships, and those that report unseen clips.

    python bench/renderers.py [--only base fold_a] [--budget 600] [--folder out/renderers]
        [--start FOLDER] [--prior]

``base`` is trained on synthetic drives and comma10k's eleven pictures with their true masks.
The others start from it and are trained on the clips of ../shared as well: ``fold_a`` on all but
highway and forest, ``fold_b`` on all but dusk, motorway and comma_minute, ``lite`` on all five. So
every clip can be reported with a renderer that never saw it. With ``--start`` each goes on from
the file of its name in a folder, which an earlier run made; with ``--prior`` only the prior of
masks is learned, and replaced in the files that are there. Each renderer is tested on the clips
that it never saw, and a line of results is written for each of them. A renderer that is there
already is not trained again.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from common import HERE, SHARED, Results
from seesame.codecs.semantic.renderer_file import Part
from seesame.codecs.semantic.shared import SharedRenderer
from seesame.codecs.semantic.training.drives import Seen, seen_in_clip, seen_in_scenes
from seesame.codecs.semantic.training.loop import disagreement
from seesame.codecs.semantic.training.settings import TrainingSettings
from seesame.codecs.semantic.training.train import Training, learn_prior_of, train_shared
from seesame.context import Progress
from seesame.decoders import open_clip
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack

CLIPS = ("highway", "dusk", "motorway", "comma_minute", "forest")
LEFT_OUT = {
    "base": CLIPS,
    "fold_a": ("highway", "forest"),
    "fold_b": ("dusk", "motorway", "comma_minute"),
    "lite": (),
}
"""The clips that each renderer never sees."""
PAIRS = 400
"""Pairs of a clip, at most, to train on and to test on."""
SCENES = 90
COLOURS = ("402020", "ff0000", "808060", "00ff66", "cc00ff")
"""The colours of comma10k's masks, in the order of lite's classes."""


def seen(name: str, stack: Stack, folder: Path) -> Seen:
    """Return what the stack sees in a clip, or in synthetic drives; kept in the folder."""
    kept = folder / f"seen_{name}.npz"
    if not kept.exists():
        if name == "scenes":
            found = seen_in_scenes(stack, SCENES, "cpu", 0)
        else:
            clip = open_clip(SHARED / f"data/clips/{name}.mp4")
            found = seen_in_clip(clip, stack, "cpu", PAIRS)
        np.savez(kept, **{key: value.numpy() for key, value in found._asdict().items()})
    with np.load(kept) as arrays:
        return Seen(*(torch.from_numpy(arrays[key]) for key in Seen._fields))


def comma10k(stack: Stack) -> Seen:
    """Return comma10k's true masks, and what the stack sees in the pictures, without poses."""
    true, found = [], []
    height, width = stack.input_size
    for path in sorted((SHARED / "data/comma10k/masks").glob("*.png")):
        small = Image.open(path).convert("RGB").resize((width, height), Image.Resampling.NEAREST)
        colours = np.asarray(small)
        wanted = [np.array(list(bytes.fromhex(colour)), np.uint8) for colour in COLOURS]
        away = [np.abs(colours.astype(int) - colour).sum(-1) for colour in wanted]
        true.append(np.argmin(away, axis=0).astype(np.uint8))
        picture = np.array(Image.open(path.parents[1] / "imgs" / path.name).convert("RGB"))
        rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            found.append(stack.segment(rgb).argmax(1)[0].to(torch.uint8))
    poses = torch.zeros(len(true), 0)
    return Seen(torch.from_numpy(np.stack(true)), torch.stack(found), poses)


@contextmanager
def stages(label: str) -> Iterator[Progress]:
    """Print the progress of a stage every half minute."""
    shown = 0.0

    def told(share: float, text: str) -> None:
        nonlocal shown
        if time.monotonic() > shown + 30:
            shown = time.monotonic()
            print(f"{label}: {share:.0%} {text}, {time.process_time():.0f} CPU s", flush=True)

    yield told


def make(
    name: str, stack: Stack, folder: Path, seconds: float, first: Path | None, results: Results
) -> None:
    """Train one renderer, write it and test it on the clips that it never saw."""
    left_out, drives = LEFT_OUT[name], drives_of(name, stack, folder)
    if first is not None:
        start = SharedRenderer.read(first / f"{name}.renderer")
    else:
        start = None if name == "base" else SharedRenderer.read(folder / "base.renderer")
    begun, cpu = time.monotonic(), time.process_time()
    shared = train_shared(
        Training(
            stack,
            drives,
            TrainingSettings(seconds=seconds),
            "cpu",
            stages,
            folder / f"{name}.work",
            resume=True,
            start=start,
        )
    )
    shared.write(folder / f"{name}.renderer", overwrite=True)
    row = {
        "renderer": name,
        "start": "" if start is None else start.digest,
        "sha256": shared.digest,
        "bytes": len(shared.data),
        "masks": sum(2 * len(one.second) for one in drives),
        "train_s": round(time.monotonic() - begun, 1),
        "train_cpu_s": round(time.process_time() - cpu, 1),
    }
    if not left_out:
        results.add(row)
    for clip in left_out:
        test(shared, clip, stack, folder, results, row)


def drives_of(name: str, stack: Stack, folder: Path) -> list[Seen]:
    """Return what one renderer is trained on."""
    drives = [seen("scenes", stack, folder), comma10k(stack)]
    return drives + [seen(clip, stack, folder) for clip in CLIPS if clip not in LEFT_OUT[name]]


def learn_prior_anew(name: str, stack: Stack, folder: Path, results: Results) -> None:
    """Learn the prior of one renderer, write it into its file, and a line of results."""
    path = folder / f"{name}.renderer"
    prior = learn_prior_of(drives_of(name, stack, folder), stack, stages)
    shared = SharedRenderer.read(path).with_part(Part.PRIOR, prior)
    shared.write(path, overwrite=True)
    sizes = {part.name.lower(): len(data) for part, data in shared.parts.items()}
    row = {"renderer": name, "what": "prior", "sha256": shared.digest, "bytes": len(shared.data)}
    results.add(row | {"parts": sizes})


def test(
    shared: SharedRenderer,
    clip: str,
    stack: Stack,
    folder: Path,
    results: Results,
    row: dict[str, object],
) -> None:
    """Write how many pixels of an unseen clip's masks the stack sees otherwise."""
    masks = seen(clip, stack, folder).second
    shares = disagreement(shared.renderer, stack, masks, "cpu")
    mean, worst = float(shares.mean()), float(shares.max())
    results.add({**row, "clip": clip, "tested": len(masks), "mean": mean, "worst": worst})


def main() -> None:
    """Train the renderers that were asked for, the base first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(LEFT_OUT), choices=LEFT_OUT)
    parser.add_argument("--budget", type=float, default=600, help="seconds of each training")
    parser.add_argument("--folder", type=Path, default=HERE.parent / "out" / "renderers")
    parser.add_argument("--prior", action="store_true", help="learn the priors alone")
    parser.add_argument("--start", type=Path, help="folder of renderers to go on from")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    stack = load_stack("lite")
    results = Results("renderers", append=True)
    for name in options.only:
        if options.prior:
            learn_prior_anew(name, stack, options.folder, results)
        elif not (options.folder / f"{name}.renderer").exists():
            make(name, stack, options.folder, options.budget, options.start, results)


if __name__ == "__main__":
    main()
