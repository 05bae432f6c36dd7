"""Cached reference outputs: the same bits, never trusted when damaged, bounded on disk."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Ran
from tiny_stack import TinyStack

from seesame.errors import UserError
from seesame.metric import evaluator
from seesame.metric.evaluator import ReferenceOutputs
from seesame.metric.storage.cache import (
    cache_bytes,
    cache_folder,
    cached_reference_outputs,
    holdable,
    source_digest,
)
from seesame.metric.storage.entry import DIGEST
from seesame.video.reading.reader import open_clip
from seesame.video.writing.writer import write_clip


class Kept:
    """Asks the cache, and counts how often the stack ran."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.source, self.folder = source, folder
        self.lines: list[str] = []

    def __call__(
        self, stack: TinyStack | None = None, **more: object
    ) -> tuple[ReferenceOutputs, int]:
        stack = stack or TinyStack()
        found = cached_reference_outputs(
            self.source,
            open_clip(self.source),
            stack,
            folder=self.folder,
            tell=self.lines.append,
            **more,  # type: ignore[arg-type]
        )
        return found, len(stack.batches)

    def entries(self) -> list[Path]:
        return sorted(self.folder.glob("*.outputs"))


@pytest.fixture
def kept(drive: Path, tmp_path: Path) -> Kept:
    source = tmp_path / "drive.mp4"
    shutil.copy(drive, source)
    return Kept(source, tmp_path / "references")


def same(a: ReferenceOutputs, b: ReferenceOutputs) -> bool:
    rest = [(x.width, x.height, x.num_frames, x.fps, x.source_bytes, x.fingerprint) for x in (a, b)]
    types = a.classes.dtype == b.classes.dtype and a.poses.dtype == b.poses.dtype
    tensors = torch.equal(a.classes, b.classes) and torch.equal(a.poses, b.poses)
    first, other = a.first_classes, b.first_classes
    assert (first is None) == (other is None)
    if first is not None and other is not None:
        tensors = tensors and torch.equal(first, other) and first.dtype == other.dtype
    return types and tensors and rest[0] == rest[1]


def test_the_second_time_no_net_runs_and_every_bit_is_the_same(kept: Kept) -> None:
    first, ran = kept()
    second, ran_again = kept()
    plain = evaluator.reference_outputs(open_clip(kept.source), TinyStack())
    assert (ran, ran_again) == (1, 0)
    assert same(first, second)
    assert same(second, plain)
    assert kept.lines == []


def test_every_frame_is_an_entry_of_its_own(kept: Kept) -> None:
    kept()
    first, ran = kept(every_frame=True)
    second, ran_again = kept(every_frame=True)
    assert (ran, ran_again) == (2, 0)
    assert len(kept.entries()) == 2
    plain = evaluator.reference_outputs(open_clip(kept.source), TinyStack(), every_frame=True)
    assert second.first_classes is not None
    assert second.first_classes.shape == second.classes.shape
    assert same(first, second)
    assert same(second, plain)
    assert kept.lines == []


def test_another_place_with_the_same_bytes_is_known(kept: Kept, tmp_path: Path) -> None:
    kept()
    kept.source = Path(shutil.copy(kept.source, tmp_path / "other.mp4"))
    assert kept()[1] == 0


@pytest.mark.parametrize("what", ["source", "stack", "batch", "threads", "precision"])
def test_what_may_change_the_outputs_is_computed(kept: Kept, what: str) -> None:
    kept()
    stack, more = TinyStack(), {}
    threads = torch.get_num_threads()
    if what == "source":
        clip = open_clip(kept.source)
        write_clip(kept.source, clip.batches(4), fps=clip.fps, width=160, height=120, crf=30,
                   overwrite=True)  # fmt: skip
    elif what == "stack":
        stack.fingerprint = "cd" * 32
    elif what == "batch":
        more["batch_pairs"] = 2
    elif what == "threads":
        torch.set_num_threads(threads + 1)
    else:
        torch.set_float32_matmul_precision("medium")
    try:
        assert kept(stack, **more)[1] > 0
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")
    assert len(kept.entries()) == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "nonsense", "another's"])
def test_a_damaged_entry_is_told_of_and_made_again(kept: Kept, damage: str) -> None:
    first, _ = kept()
    (entry,) = kept.entries()
    data = bytearray(entry.read_bytes())
    if damage == "cut":
        entry.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[-10] ^= 1
        entry.write_bytes(data)
    elif damage == "another's":
        kept(batch_pairs=2)
        (other,) = [path for path in kept.entries() if path != entry]
        shutil.copy(other, entry)
    else:
        entry.write_bytes(b"" if damage == "empty" else b"x" * 1000)
    again, ran = kept()
    assert ran == 1
    assert same(first, again)
    assert len(kept.lines) == 1
    assert entry.name in kept.lines[0]
    assert kept()[1] == 0


@pytest.mark.parametrize(
    "changed",
    [
        *([], 5, {}, {"maps": []}, {"maps": 3}, {"maps": [["|u1", 48, 64, [[3, 10]]]]}),
        *({"maps": [["|u1", "48", 64, []]]}, {"maps": [["O", 48, 64, []]]}, {"maps": [[5] * 4]}),
        *({"maps": [["|u1", None, 64, []]]}, {"maps": [["|u1", -1, -1, [[3, 10]]]]}),
        {"maps": [["|u1", 10**10, 10**10, [[3, 10]]]]},
        *({"poses": []}, {"poses": [3]}, {"poses": [0, 6]}, {"poses": [3, 10**12]}),
        *({"poses": [3, -6]}, {"poses": [3.0, 6]}, {"poses": None}),
    ],
)
def test_an_entry_whose_checksum_holds_is_not_trusted_for_it(kept: Kept, changed: Any) -> None:
    first, _ = kept()
    (entry,) = kept.entries()
    line, _, rest = entry.read_bytes()[:-DIGEST].partition(b"\n")
    values = {**json.loads(line), **changed} if changed and isinstance(changed, dict) else changed
    whole = json.dumps(values).encode() + b"\n" + rest
    entry.write_bytes(whole + hashlib.sha256(whole).digest())
    again, ran = kept()
    assert ran == 1
    assert same(first, again)
    assert "damaged cache entry" in kept.lines[0]


def test_every_single_bit_counts(kept: Kept) -> None:
    """No byte of an entry can change the outputs unseen."""
    first, _ = kept()
    (entry,) = kept.entries()
    sound = entry.read_bytes()
    for place in range(0, len(sound), max(1, len(sound) // 60)):
        data = bytearray(sound)
        data[place] ^= 4
        entry.write_bytes(data)
        assert same(kept()[0], first), place


def test_the_folder_is_bounded_and_the_oldest_goes(kept: Kept) -> None:
    kept()
    (first,) = kept.entries()
    room = 2 * first.stat().st_size + 200
    os.utime(first, (1, 1))
    kept(batch_pairs=2, max_bytes=room)
    (second,) = set(kept.entries()) - {first}
    os.utime(first, (3, 3))
    os.utime(second, (2, 2))
    kept(batch_pairs=3, max_bytes=room)
    assert first in kept.entries()
    assert second not in kept.entries()
    assert sum(path.stat().st_size for path in kept.entries()) <= room


def test_using_an_entry_keeps_it(kept: Kept) -> None:
    kept()
    (entry,) = kept.entries()
    os.utime(entry, (1, 1))
    kept()
    assert entry.stat().st_mtime > 1e9


@pytest.mark.parametrize("size", [0, 10])
def test_no_room_no_cache(kept: Kept, size: int) -> None:
    assert kept(max_bytes=size)[1] == 1
    assert kept(max_bytes=size)[1] == 1
    assert kept.entries() == []


def test_without_a_fingerprint_nothing_is_kept(kept: Kept) -> None:
    stack = TinyStack()
    stack.fingerprint = ""
    kept(stack)
    assert kept.entries() == []


def test_a_folder_that_cannot_be_made(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept.folder = tmp_path / "file" / "references"
    assert kept()[1] == 1
    assert "cannot be written" in kept.lines[0]


def test_a_cache_that_can_only_be_read_serves_its_entries(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = kept()

    def refuse(path: Path, *_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "utime", refuse)  # root may write wherever permissions forbid it
    again, ran = kept()
    assert ran == 0
    assert same(first, again)
    assert kept.lines == []


def test_an_entry_that_cannot_be_read_is_not_called_damaged(kept: Kept) -> None:
    first, _ = kept()
    (entry,) = kept.entries()
    entry.unlink()
    entry.mkdir()
    again, ran = kept()
    assert ran == 1
    assert same(first, again)
    assert f"{entry}: cannot be read (Is a directory); computing without" in kept.lines[0]
    assert not any("damaged" in line for line in kept.lines)


def test_a_folder_of_pictures(kept: Kept, tmp_path: Path) -> None:
    clip = open_clip(kept.source)
    folder = tmp_path / "pictures"
    write_clip(folder, clip.batches(4), fps=clip.fps, width=clip.width, height=clip.height)
    before = source_digest(folder)
    (folder / "notes.txt").write_text("no picture")
    assert source_digest(folder) == before
    (folder / "000000.png").rename(folder / "000099.png")
    assert source_digest(folder) != before


def test_where_it_is_and_how_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEESAME_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "references"
    monkeypatch.setenv("SEESAME_CACHE_BYTES", "123")
    assert cache_bytes() == 123
    monkeypatch.setenv("SEESAME_CACHE_BYTES", "many")
    with pytest.raises(UserError, match="SEESAME_CACHE_BYTES"):
        cache_bytes()


def test_long_clips_are_not_held(kept: Kept) -> None:
    stack = TinyStack()
    assert holdable(open_clip(kept.source), stack)
    stack.input_size = (1 << 15, 1 << 15)
    assert not holdable(open_clip(kept.source), stack)


def test_score_gives_the_same_with_and_without(
    kept: Kept, tmp_path: Path, seesame: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEESAME_CACHE", str(tmp_path / "own"))
    clip = open_clip(kept.source)
    poor = tmp_path / "poor.mkv"
    write_clip(poor, clip.batches(4), fps=clip.fps, width=clip.width, height=clip.height, crf=40)
    words = ("score", kept.source, poor, "--json", "--quiet", "--device", "cpu")
    without = json.loads(seesame(*words, "--no-cache").out)
    assert not (tmp_path / "own").exists()
    first, second = (json.loads(seesame(*words).out) for _ in range(2))
    assert len(list((tmp_path / "own" / "references").glob("*.outputs"))) == 1
    assert without == first == second
    assert without["seg"] > 0
