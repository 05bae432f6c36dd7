"""IoU and boundary IoU from confusion counts: against definitions written out, by hand."""

import numpy as np
import pytest
import torch
from tiny_stack import TinyStack

from seesame.errors import UserError
from seesame.metric import evaluate
from seesame.metric.classes import TUNING, ClassCounts, boundary_band, class_values
from seesame.video.clip import ArrayClip


def maps(seed: int, frames: int, height: int, width: int, classes: int) -> torch.Tensor:
    """Blobs of classes, some of which touch the border."""
    random = np.random.default_rng(seed)
    coarse = random.integers(classes, size=(frames, 1 + height // 9, 1 + width // 7))
    large = coarse.repeat(9, axis=1).repeat(7, axis=2)[:, :height, :width]
    return torch.from_numpy(large)


def literal_band(mask: np.ndarray, reach: int) -> np.ndarray:
    """What erosion by a 3x3 square, step by step, takes away from a mask; outside is empty."""
    eroded = np.pad(mask, 1)
    for _ in range(reach):
        padded = np.pad(eroded, 1)
        shifts = [
            padded[y : y + eroded.shape[0], x : x + eroded.shape[1]]
            for y in range(3)
            for x in range(3)
        ]
        eroded = np.logical_and.reduce(shifts)
    return mask & ~eroded[1:-1, 1:-1]


@pytest.mark.parametrize(("height", "width"), [(48, 64), (192, 256), (37, 333)])
def test_the_band_is_that_of_an_erosion(height: int, width: int) -> None:
    found = maps(1, 2, height, width, 4)
    reach = max(1, round(TUNING.band * float(np.hypot(height, width))))
    wanted = torch.zeros_like(found, dtype=torch.bool)
    for number, frame in enumerate(found.numpy()):
        for index in range(4):
            wanted[number] |= torch.from_numpy(literal_band(frame == index, reach))
    assert torch.equal(boundary_band(found), wanted)
    assert 0 < wanted.float().mean() < 1


def test_the_counts_are_the_definitions() -> None:
    source, decoded = maps(2, 6, 96, 128, 4), maps(2, 6, 96, 128, 4)
    decoded = torch.where(torch.rand(decoded.shape, generator=seeded()) < 0.1, 3, decoded)
    source[source == 2] = 1  # a class that the source lacks
    counts = ClassCounts(("a", "b", "c", "d"))
    counts.add_maps(source[:1], decoded[:1])
    counts.add_maps(source[1:], decoded[1:])  # batches do not matter
    bands = boundary_band(source), boundary_band(decoded)
    present = []
    for index, one in enumerate(counts.figures):
        ours, theirs = source == index, decoded == index
        either = int((ours | theirs).sum())
        assert one.iou == pytest.approx(int((ours & theirs).sum()) / either)
        ours, theirs = ours & bands[0], theirs & bands[1]
        assert one.boundary_iou == pytest.approx(
            int((ours & theirs).sum()) / int((ours | theirs).sum())
        )
        present.append(one.present)
    assert present == [True, True, False, True]
    kept = [one.iou for one in counts.figures if one.present]
    assert counts.mean_iou == pytest.approx(np.mean(kept))
    values = class_values(counts)
    assert values["mean_iou"] == counts.mean_iou
    assert [one["name"] for one in values["classes"]] == ["a", "b", "c", "d"]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_memory_does_not_grow() -> None:
    counts = ClassCounts(("a", "b"))
    for seed in range(5):
        counts.add_maps(maps(seed, 3, 30, 40, 2), maps(seed + 9, 3, 30, 40, 2))
    arrays = [value for value in vars(counts).values() if isinstance(value, np.ndarray)]
    assert sorted(array.shape for array in arrays) == [(2, 2), (3, 3)]
    assert counts.counts.sum() == 15 * 30 * 40


def test_equal_maps_agree_wholly_and_a_stray_pixel_weighs_nothing() -> None:
    source = torch.zeros(1, 200, 200, dtype=torch.uint8)
    source[0, :80] = 1
    decoded = source.clone()
    source[0, 150, 150] = 2
    counts = ClassCounts(("a", "b", "stray"))
    counts.add_maps(source, decoded)
    assert counts.figures[2].iou == 0
    assert not counts.figures[2].present
    assert 0.999 < counts.mean_iou < 1
    same = ClassCounts(("a", "b", "stray"))
    same.add_maps(source, source)
    assert (same.mean_iou, same.mean_boundary_iou) == (1, 1)


def test_a_class_without_a_name_is_refused() -> None:
    counts = ClassCounts(("a", "b"))
    with pytest.raises(UserError, match="names 2 classes"):
        counts.add_maps(torch.zeros(1, 2, 2), torch.full((1, 2, 2), 2))


def test_the_evaluator_shows_every_judged_frame() -> None:
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (5, 48, 64, 3), dtype=np.uint8)
    clip, other = ArrayClip(frames, 20, 1000), ArrayClip(255 - frames, 20, 1000)
    for every_frame, judged in ((True, 5), (False, 2)):
        counts = ClassCounts(TinyStack.classes)
        found = evaluate(clip, other, TinyStack(), 10, every_frame=every_frame, watch=counts.watch)
        assert counts.counts.sum() == judged * 48 * 64
        agreed = counts.counts.trace() / counts.counts.sum()
        assert 1 - agreed == pytest.approx(found.figures.seg, abs=1e-6)
        assert dict(found.lost) == pytest.approx({one.name: one.lost for one in counts.figures})
