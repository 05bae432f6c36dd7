"""The cache of a stack's outputs for a source, on disk: scoring the source again costs half.

An entry (:mod:`~seesame.metric.storage.entry`) has the packed class maps, the pose values, the key
and a checksum. Everything that may change a bit of the outputs is in the key, so that a score from
the cache is the score without it, to the last digit. Entries are put in place whole
(``os.replace``) and verified when they are read, so that several processes can share a
folder. A folder that can only be read serves its entries and gets no new ones.
"""

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import av
import torch

from seesame.errors import UserError
from seesame.files import replacing
from seesame.inputs import NoHomeError, user_folder, xdg_folder
from seesame.metric.evaluator import BATCH_PAIRS, Progress, ReferenceOutputs, reference_outputs
from seesame.metric.storage.entry import (
    DamagedEntryError,
    Entry,
    entry_bytes,
    read_entry,
    write_entry,
)
from seesame.perception.stack import Stack
from seesame.temporary import remove
from seesame.video.clip import Clip
from seesame.video.reading.images import PICTURES

FOLDER_VARIABLE = "SEESAME_CACHE"
"""Environment variable: the folder of the cache."""
BYTES_VARIABLE = "SEESAME_CACHE_BYTES"
"""Environment variable: how many bytes the cache may take; 0 turns it off."""
VERSION = 4
"""Part of every key: to be raised with any change of the entries' form, of reading, colour,
resizing or the evaluator that may change a bit of the outputs."""
LIBRARIES = (
    "torch",
    "numpy",
    "av",
    "pillow",
    "timm",
    "segmentation-models-pytorch",
    "onnx",
    "onnxruntime",
)
SUFFIX = ".outputs"
SUFFIXES = (SUFFIX, ".safetensors")
"""Of entries, those of earlier versions among them, which are evicted too."""

Tell = Callable[[str], None]
"""Called with one line about an entry that could not be used or kept."""


@dataclass(frozen=True)
class CacheSettings:
    """The bounds of the cache.

    Attributes:
        max_bytes: bytes on disk, unless ``$SEESAME_CACHE_BYTES`` says otherwise; the class maps of
            some hundred clips of a minute.
        max_held: bytes of unpacked class maps that :func:`holdable` lets an encoder have in memory;
            5,461 frames at 512x384.
    """

    max_bytes: int = 2 << 30
    max_held: int = 1 << 30


SETTINGS = CacheSettings()


def cache_folder() -> Path:
    """Return the folder of the entries, in ``$SEESAME_CACHE``, else in :func:`cache_home`.

    Raises:
        NoHomeError: this user has no home.
    """
    own = os.environ.get(FOLDER_VARIABLE)
    return (user_folder(own) if own else cache_home()) / "references"


def cache_home() -> Path:
    """Return the folder for files that can be made again.

    It is ``cache`` in ``$SEESAME_HOME``, else the XDG cache folder (``~/.cache/seesame``).

    Raises:
        NoHomeError: this user has no home.
    """
    home = os.environ.get("SEESAME_HOME")
    if home:
        return user_folder(home) / "cache"
    return xdg_folder("XDG_CACHE_HOME", "~/.cache") / "seesame"


def cache_bytes() -> int:
    """Return how many bytes the cache may take: ``$SEESAME_CACHE_BYTES``, else 2 GiB.

    Raises:
        UserError: the variable is no whole number of bytes.
    """
    text = os.environ.get(BYTES_VARIABLE, "").strip()
    if not text:
        return SETTINGS.max_bytes
    if not text.isdecimal():
        raise UserError(f"{BYTES_VARIABLE}={text}: give a whole number of bytes; 0 for no cache")
    return int(text)


def holdable(clip: Clip, stack: Stack, every_frame: bool = False) -> bool:
    """Return whether a clip's class maps may all be unpacked in memory, as training needs them."""
    height, width = stack.input_size
    judged = clip.num_frames if every_frame else clip.num_frames // 2
    return judged * height * width <= SETTINGS.max_held


def cached_reference_outputs(
    source: Path,
    clip: Clip,
    stack: Stack,
    *,
    every_frame: bool = False,
    batch_pairs: int = BATCH_PAIRS,
    device: str = "cpu",
    progress: Progress | None = None,
    tell: Tell | None = None,
    folder: Path | None = None,
    max_bytes: int | None = None,
) -> ReferenceOutputs:
    """Return :func:`~seesame.metric.evaluator.reference_outputs`, from disk if they were kept.

    A damaged entry is reported through ``tell``, made again and replaced. A folder that cannot be
    read or written is reported, and the outputs are returned all the same. Stacks without a
    fingerprint are never cached. The least recently used entries are removed when the folder grows
    beyond ``max_bytes``.

    Args:
        source: the file or folder that ``clip`` reads.
        clip: the source clip.
        stack: the frozen networks.
        every_frame: as in ``reference_outputs``.
        batch_pairs: as in ``reference_outputs``.
        device: where the networks run.
        progress: called after every batch that is computed.
        tell: called with one line when an entry cannot be used or kept.
        folder: where entries are kept; :func:`cache_folder` when None.
        max_bytes: what the folder may take, 0 for no cache; :func:`cache_bytes` when None.

    Raises:
        UserError: as ``reference_outputs``, or the source cannot be read.
        DamagedError: the clip ends early.
    """
    tell = _Once(tell)
    max_bytes = cache_bytes() if max_bytes is None else max_bytes
    if folder is None and max_bytes > 0:
        try:
            folder = cache_folder()
        except NoHomeError as error:
            tell(f"computing without the cache: {error} or {FOLDER_VARIABLE}")

    def compute() -> ReferenceOutputs:
        return reference_outputs(
            clip,
            stack,
            every_frame=every_frame,
            batch_pairs=batch_pairs,
            device=device,
            progress=progress,
        )

    if folder is None or max_bytes <= 0 or not stack.fingerprint:
        return compute()
    try:
        before = _stamps(source)
        key = _key(source, clip, stack, batch_pairs, device, every_frame)
    except OSError as error:
        raise UserError(f"{source}: not readable ({error.strerror})") from error
    path = folder / (hashlib.sha256(key.encode()).hexdigest() + SUFFIX)
    firsts = (clip.num_frames + 1) // 2 if every_frame else 0
    kept = _read(path, key, (clip.num_frames // 2, firsts), tell)
    if kept is not None:
        return ReferenceOutputs.of(kept.maps, kept.poses, clip, stack, kept.first_maps)
    outputs = compute()
    if _stamps(source) == before:  # else the key may not be that of the frames
        entry = Entry(outputs.maps, outputs.poses, outputs.first_maps)
        _keep(path, key, entry, max_bytes, tell)
    return outputs


class _Once:
    """Tells the first line and no other: the cache is worth no more than one."""

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell

    def __call__(self, line: str) -> None:
        if self._tell is not None:
            self._tell(line)
        self._tell = None


def source_digest(source: Path) -> str:
    """Return the hex SHA-256 of a clip's file, or of a folder's picture names and contents.

    Raises:
        OSError: it cannot be read.
    """
    if not source.is_dir():
        return _digest(source)
    whole = hashlib.sha256()
    for path in _pictures(source):
        whole.update(f"{path.name}\0{_digest(path)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and p.is_file())


def _stamps(source: Path) -> list[tuple[str, int, int]]:
    """Return names, sizes and times of change, which show whether a source was written to."""
    paths = _pictures(source) if source.is_dir() else [source]
    return [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in paths]


def _key(
    source: Path, clip: Clip, stack: Stack, batch_pairs: int, device: str, every_frame: bool
) -> str:
    """Return everything that the outputs depend on, as canonical JSON."""
    values = {
        "version": VERSION,
        "source": source_digest(source),
        "suffix": source.suffix.lower(),
        "clip": [clip.width, clip.height, clip.num_frames, str(clip.fps)],
        "reading": getattr(clip, "reading", ""),
        "stack": [stack.name, stack.fingerprint],
        "batch_pairs": batch_pairs,
        "every_frame": every_frame,
        "device": _device(torch.device(device)),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "libav": {name: list(numbers) for name, numbers in av.library_versions.items()},
    }
    return json.dumps(values, sort_keys=True)


def _device(device: torch.device) -> list[str | int | bool]:
    """Return what decides how the networks round."""
    precision = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        name, tf32 = torch.cuda.get_device_name(device), torch.backends.cudnn.allow_tf32
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        return [device.type, name, precision, tf32, cudnn or 0]
    capability = torch.backends.cpu.get_cpu_capability()
    return [device.type, platform.machine(), capability, precision, torch.get_num_threads()]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _read(path: Path, key: str, counts: tuple[int, int], tell: Tell) -> Entry | None:
    """Return an entry; None where there is none that can be trusted."""
    try:
        kept = read_entry(path, key, counts)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        tell(f"{path}: cannot be read ({error.strerror or error}); computing without the cache")
        return None
    except DamagedEntryError:
        tell(f"{path}: damaged cache entry; computing it again")
        return None
    with contextlib.suppress(OSError):  # in a folder that can only be read nothing is evicted
        os.utime(path)  # used just now: evicted last
    return kept


def _keep(path: Path, key: str, entry: Entry, max_bytes: int, tell: Tell) -> None:
    """Write an entry whole, then make room for it; tell of a folder that cannot be written."""
    if entry_bytes(key, entry) > max_bytes:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, overwrite=True) as temporary:
            write_entry(temporary, key, entry)
        _evict(path, max_bytes)
    except (UserError, OSError) as error:
        tell(f"the cache of reference outputs cannot be written: {error}")


def _evict(newest: Path, max_bytes: int) -> None:
    """Remove the least recently used entries until the folder fits; ``newest`` stays."""
    found = []
    for path in newest.parent.iterdir():
        if path.suffix not in SUFFIXES:
            continue
        try:
            status = path.stat()
        except OSError:  # another process was quicker, or it is a link that leads nowhere
            continue
        if not path.name.startswith("."):  # not one that another process is writing
            found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= max_bytes:
            return
        if path != newest:
            remove(path)
            total -= size
