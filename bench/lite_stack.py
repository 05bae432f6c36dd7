"""Measure how good and how fast the lite stack is, on data their training never read.

    python bench/lite_stack.py

Mean IoU is over the classes that the truth holds, from one confusion matrix a set. KITTI's 51
frames are driven at a nearly constant speed, so its pairs are taken 1, 2 and 3 frames apart:
forward motion then ranges over 1.2 to 3.6 m; the correlation over the pairs of one distance is
printed too, as it is mostly noise.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from common import HERE, SHARED, Results
from seesame.perception.lite.nets import CLASSES, INPUT_SIZE, POSE_VALUES, count_macs
from seesame.perception.lite.stack import WEIGHTS, LiteStack
from seesame.scene import Scene, SceneConfig
from seesame.video.resize import to_float

sys.path.append(str(HERE.parent / "tools" / "lite_stack"))
from lite_data import IGNORE, Frame, comma10k_frames, real_frames
from train_lite import HIGHWAY_TRAINING_SHARE

FIRST_UNSEEN_SEED = 1
KITTI_CROP = 2.0


def iou(stack: LiteStack, frames: list[Frame]) -> dict[str, float]:
    """IoU of every class in the truth, and their mean, over a list of labelled frames."""
    confusion = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for frame in frames:
        logits = stack.segment(to_float(frame.rgb[None]))
        found = logits.argmax(1)[0].numpy()
        truth = np.asarray(Image.fromarray(frame.mask).resize(INPUT_SIZE[::-1], Image.NEAREST))
        valid = truth != IGNORE
        np.add.at(confusion, (truth[valid], found[valid]), 1)
    both = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - both
    result = {
        name: float(both[i] / union[i]) for i, name in enumerate(CLASSES) if confusion[i].sum()
    }
    return {"mean": float(np.mean(list(result.values()))), **result}


def pose_of(stack: LiteStack, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> np.ndarray:
    """The six values of one pair."""
    pair = to_float(np.stack([first, second]))
    return stack.pose(pair[None])[0].numpy()


def synthetic(
    drives: int, size: tuple[int, int]
) -> tuple[list[Frame], list[tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64]]]]:
    """Frames and pairs of unseen drives, at ``(width, height)``."""
    frames, pairs = [], []
    for seed in range(FIRST_UNSEEN_SEED, FIRST_UNSEEN_SEED + drives):
        scene = Scene(SceneConfig(width=size[0], height=size[1], seed=seed))
        for index in (60, 260, 460):
            first, second = scene.frame(index), scene.frame(index + 1)
            frames.append(Frame(second.rgb, second.mask))
            pairs.append((first.rgb, second.rgb, scene.ego_motion(index + 1)))
    return frames, pairs


def kitti(stack: LiteStack, folder: Path) -> dict[str, float]:
    """Correlation of forward motion with KITTI's poses, pairs 1, 2 and 3 frames apart."""
    poses = np.loadtxt(folder / "poses.txt").reshape(-1, 3, 4)
    frames = []
    for path in sorted((folder / "image_l").glob("*.png")):
        grey = np.asarray(Image.open(path).convert("RGB"))
        width = int(KITTI_CROP * grey.shape[0])
        left = (grey.shape[1] - width) // 2
        frames.append(grey[:, left : left + width])
    found: dict[int, list[tuple[float, float]]] = {}
    for stride in (1, 2, 3):
        for i in range(len(frames) - stride):
            truth = poses[i, :, :3].T @ (poses[i + stride, :, 3] - poses[i, :, 3])
            seen = pose_of(stack, frames[i], frames[i + stride])
            found.setdefault(stride, []).append((float(truth[2]), float(seen[0])))
    every = np.array([p for pairs in found.values() for p in pairs])
    result = {"forward": float(np.corrcoef(every.T)[0, 1])}
    for stride, pairs in found.items():
        result[f"forward, {stride} apart"] = float(np.corrcoef(np.array(pairs).T)[0, 1])
    return result


def milliseconds(stack: LiteStack, repeats: int = 40) -> dict[str, float]:
    """Time a pair takes at the nets' input size: one segmentation and one pose."""
    pair = torch.rand(1, 2, 3, *INPUT_SIZE) * 255
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        stack.segment(pair[:, 1])
        stack.pose(pair)
        times.append(1e3 * (time.perf_counter() - start))
    return {"median": float(np.median(times)), "p90": float(np.quantile(times, 0.9))}


def main() -> None:
    """Print and record everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drives", type=int, default=30)
    parser.add_argument("--weights", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(2)
    stack = LiteStack(args.weights.read_bytes()) if args.weights else LiteStack.load()
    results = Results("lite_stack")
    with torch.inference_mode():
        results.add(
            {
                "seg_gmac": count_macs(stack.segnet, (1, 3, *INPUT_SIZE)) / 1e9,
                "pose_gmac": count_macs(stack.posenet, (1, 12, 96, 128)) / 1e9,
                "weights": WEIGHTS,
                "fingerprint": stack.fingerprint[:16],
                "ms_a_pair": milliseconds(stack),
            }
        )
        highway = real_frames(SHARED, "highway")
        held_out = highway[int(len(highway) * HIGHWAY_TRAINING_SHARE) :]
        results.add({"set": "highway, held out", "frames": len(held_out), **iou(stack, held_out)})
        frames, pairs = synthetic(args.drives, (1164, 874))
        results.add({"set": "synthetic, unseen", "frames": len(frames), **iou(stack, frames)})
        real = comma10k_frames(SHARED)
        results.add({"set": "comma10k", "frames": len(real), **iou(stack, real)})
        seen = np.array([pose_of(stack, a, b) for a, b, _ in pairs])
        truth = np.array([motion for _, _, motion in pairs])
        every = {
            name: float(np.corrcoef(seen[:, i], truth[:, i])[0, 1])
            for i, name in enumerate(POSE_VALUES)
        }
        results.add({"set": "pose, synthetic, unseen", "pairs": len(pairs), **every})
        results.add({"set": "pose, KITTI", **kitti(stack, SHARED / "data/kitti_odometry")})


if __name__ == "__main__":
    main()
