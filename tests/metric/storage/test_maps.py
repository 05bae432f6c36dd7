"""Class maps of a clip: the same bits packed, spilled and sent, in memory that does not grow."""

import io
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from seesame.errors import DamagedError, UserError
from seesame.metric.storage import maps
from seesame.metric.storage.maps import ClassMaps, MapSettings, unpacked


def some(count: int, classes: int = 5, size: tuple[int, int] = (12, 16)) -> torch.Tensor:
    kind = torch.uint8 if classes <= 256 else torch.int16
    values = torch.randint(classes, (count, *size), generator=torch.Generator().manual_seed(count))
    return values.to(kind)


def filled(counts: tuple[int, ...], classes: int = 5) -> tuple[ClassMaps, torch.Tensor]:
    made, batches = ClassMaps(), [some(count, classes) for count in counts]
    for batch in batches:
        made.append(batch)
    return made, torch.cat(batches)


@pytest.mark.parametrize("held", [1 << 20, 500, 0])
@pytest.mark.parametrize("classes", [5, 300])
def test_any_part_is_what_was_added(
    monkeypatch: pytest.MonkeyPatch, held: int, classes: int
) -> None:
    monkeypatch.setattr(maps, "SETTINGS", MapSettings(held=held))
    made, wanted = filled((4, 4, 3, 7), classes)
    assert (made._file is not None) == (held < 1000)
    assert len(made) == 18
    assert torch.equal(made.whole(), wanted)
    for start in range(19):
        for end in (start, start + 1, start + 5, 18):
            assert torch.equal(made[start:end], wanted[start:end])
            assert made[start:end].dtype == wanted.dtype
    again = pickle.loads(pickle.dumps(made))
    assert torch.equal(again.whole(), wanted)
    again.append(wanted[:2])
    assert len(again) == 20


def test_a_disk_that_is_full_or_absent_costs_memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(maps, "SETTINGS", MapSettings(held=100))
    for fault in (lambda **_: Full(), lambda **_: open("/absent/file", "wb")):  # noqa: SIM115
        monkeypatch.setattr(tempfile, "TemporaryFile", fault)
        made, wanted = filled((4, 4, 4, 4, 4))
        assert torch.equal(made.whole(), wanted)


def test_maps_of_another_size_are_refused() -> None:
    made, _ = filled((2,))
    with pytest.raises(UserError, match="16x12 and then of 16x13"):
        made.append(some(2, size=(13, 16)))


@pytest.mark.parametrize("data", [b"", b"no maps", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_damaged_batches_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedError, match="damaged"):
        unpacked(data, (2, 3, 4), np.dtype("u1"))


def test_nothing_is_left_of_the_scratch_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(maps, "SETTINGS", MapSettings(held=0))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made, _ = filled((4, 4))
    assert made._file is not None
    assert list(tmp_path.iterdir()) == []


PEAK = """
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
import torch
from seesame.metric.storage import maps
from seesame.metric.storage.cache import cached_reference_outputs
from seesame.metric.evaluator import evaluate
from seesame.metric.memory import keep_freed_memory
from seesame.report.observe import observe
from seesame.report.plan import Plan
from seesame.report.subject import of_video
from seesame.report.tracks import Tracks
from tiny_stack import TinyStack

class Long:
    width, height, fps, source_bytes = 64, 48, Fraction(20), 1000
    def __init__(self, num_frames, seed):
        self.num_frames, self.seed = num_frames, seed
    def batches(self, size):
        random = np.random.default_rng(self.seed)
        for start in range(0, self.num_frames, size):
            yield random.integers(0, 256, (min(size, self.num_frames - start), 48, 64, 3), np.uint8)

torch.set_num_threads(1)
folder, count = Path(sys.argv[1]), int(sys.argv[2])
maps.SETTINGS = maps.MapSettings(held=1 << 20)
stack, source, decoded = TinyStack(), Long(count, 1), Long(count, 2)
for _ in range(2):  # the second time from the cache
    known = cached_reference_outputs(
        folder / "clip", source, stack, every_frame=True, folder=folder / "cache"
    )
if sys.argv[3] == "score":
    evaluate(known, decoded, stack, 100, every_frame=True)
else:
    (folder / "page").mkdir()
    plan = Plan((12, 16), (12, 16), None, None, False)
    subject, tracks = of_video("a", decoded), Tracks(folder / "page")
    observe(source, known, subject, 1, stack, plan, tracks, every_frame=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
"""


def peak(folder: Path, frames: int, what: str) -> int:
    folder.mkdir()
    (folder / "clip").write_bytes(bytes(1000))
    helpers = Path(__file__).resolve().parents[2] / "helpers"
    code = f"import sys; sys.path.insert(0, {str(helpers)!r})\n{PEAK}"
    words = [sys.executable, "-c", code, str(folder), str(frames), what]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("what", ["score", "report"])
def test_memory_does_not_grow_with_the_clip(tmp_path: Path, what: str) -> None:
    """Unpacked, the class maps of the longer clip would take 37 MB more than those of the other."""
    short, long = 4000, 16_000
    grown = peak(tmp_path / "long", long, what) - peak(tmp_path / "short", short, what)
    assert grown < (long - short) // 2 * 2000  # bytes a pair, and what a heap wavers by
