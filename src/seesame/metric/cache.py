"""The cache of a stack's outputs for a source, on disk: scoring the source again costs half.

An entry is a safetensors file with the class maps as one zlib stream and the pose values; the key
and a checksum are in the metadata. Everything that may change a bit of the outputs is in the key,
so that a score from the cache is the score without it, to the last digit. Entries are put in place
whole (``os.replace``) and verified when they are read, so that several processes can share a
folder. A folder that can only be read serves its entries and gets no new ones.
"""

import contextlib
import hashlib
import json
import math
import os
import platform
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from seesame.errors import UserError
from seesame.files import remove, replacing
from seesame.inputs import NoHomeError, user_folder
from seesame.metric.evaluator import BATCH_PAIRS, Progress, ReferenceOutputs, reference_outputs
from seesame.perception.stack import Stack
from seesame.video.clip import Clip
from seesame.video.reading.images import PICTURES

FOLDER_VARIABLE = "SEESAME_CACHE"
"""Environment variable: the folder of the cache."""
BYTES_VARIABLE = "SEESAME_CACHE_BYTES"
"""Environment variable: how many bytes the cache may take; 0 turns it off."""
VERSION = 3
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
SUFFIX = ".safetensors"
KINDS = ("|u1", "<i2")
"""The types of class maps, as numpy writes them."""

Tell = Callable[[str], None]
"""Called with one line about an entry that could not be used or kept."""


@dataclass(frozen=True)
class CacheSettings:
    """The bounds of the cache.

    Attributes:
        max_bytes: bytes on disk, unless ``$SEESAME_CACHE_BYTES`` says otherwise; the class maps of
            some hundred clips of a minute.
        max_held: bytes of class maps that :func:`holdable` lets stay in memory; 5,461 frames at
            512x384.
        zlib_level: effort of packing, 1..9. Class maps are smooth, and more effort than the least
            costs more time than the cache saves.
        stale_seconds: age at which a temporary file counts as left over from a killed process.
        most_unpacked: bytes that one packed byte may stand for; deflate reaches 1032.
    """

    max_bytes: int = 2 << 30
    max_held: int = 1 << 30
    zlib_level: int = 1
    stale_seconds: float = 3600.0
    most_unpacked: int = 1100


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
    return user_folder(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "seesame"


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
    """Return whether a clip's class maps may be held in memory.

    Longer clips are scored side by side with their source.
    """
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
    tell = tell or (lambda line: None)
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
        classes, poses, first = kept
        return ReferenceOutputs.of(classes, poses, clip, stack, first)
    outputs = compute()
    if _stamps(source) == before:  # else the key may not be that of the frames
        _keep(path, key, outputs, max_bytes, tell)
    return outputs


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


Entry = tuple[Tensor, Tensor, Tensor | None]
"""Classes of the second frames, pose values, and classes of the others where they are judged."""


def _checksum(key: str, shapes: str, tensors: dict[str, Tensor]) -> str:
    whole = hashlib.sha256(f"{key}\n{shapes}\n".encode())
    for name in sorted(tensors):
        whole.update(tensors[name].numpy().tobytes())
    return whole.hexdigest()


def _read(path: Path, key: str, counts: tuple[int, int], tell: Tell) -> Entry | None:
    """Return an entry; None where there is none that can be trusted."""
    try:
        with path.open("rb"):  # safetensors does not tell a missing permission from damage
            pass
        kept = _parse(path, key, counts)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        tell(f"{path}: cannot be read ({error.strerror or error}); computing without the cache")
        return None
    except (SafetensorError, KeyError, ValueError, RecursionError, zlib.error):
        tell(f"{path}: damaged cache entry; computing it again")
        return None
    with contextlib.suppress(OSError):  # in a folder that can only be read nothing is evicted
        os.utime(path)  # used just now: evicted last
    return kept


def _parse(path: Path, key: str, counts: tuple[int, int]) -> Entry:
    """Return a verified entry; raise what :func:`_read` catches.

    Args:
        path: of the entry.
        key: everything that it depends on.
        counts: class maps of second frames, and of others.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata["key"] != key or metadata["sha256"] != _checksum(key, metadata["shapes"], tensors):
        raise ValueError("not the entry of this key")
    poses = tensors.pop("poses")
    shapes = json.loads(metadata["shapes"])
    if not isinstance(shapes, dict) or not poses.is_floating_point() or poses.ndim != 2:
        raise ValueError("not an entry")
    maps = {name: _unpacked(packed, shapes[name]) for name, packed in tensors.items()}
    classes, first = maps["classes"], maps.get("first_classes")
    if (len(classes), 0 if first is None else len(first)) != counts or len(poses) != counts[0]:
        raise ValueError("not as many frames as the clip has")
    return classes, poses, first


def _packed(maps: Tensor) -> Tensor:
    data = bytearray(zlib.compress(maps.contiguous().numpy().data, SETTINGS.zlib_level))
    return torch.frombuffer(data, dtype=torch.uint8)


def _unpacked(packed: Tensor, kind_shape: Any) -> Tensor:
    """Return class maps. Raises ValueError for what :func:`_keep` did not write."""
    if not isinstance(kind_shape, list) or not kind_shape or kind_shape[0] not in KINDS:
        raise ValueError("not the kind of class maps")
    kind, *shape = kind_shape
    if len(shape) != 3 or not all(type(side) is int and 0 < side < 1 << 31 for side in shape):
        raise ValueError("not the shape of class maps")
    if packed.dtype != torch.uint8 or packed.ndim != 1:
        raise ValueError("not packed class maps")
    size = math.prod(shape) * np.dtype(kind).itemsize
    if size > SETTINGS.most_unpacked * len(packed):
        raise ValueError("class maps that cannot be packed so well")
    data = bytearray(zlib.decompressobj().decompress(packed.numpy().data, size))
    return torch.from_numpy(np.frombuffer(data, kind).reshape(shape))


def _keep(path: Path, key: str, outputs: ReferenceOutputs, max_bytes: int, tell: Tell) -> None:
    """Write an entry whole, then make room for it; tell of a folder that cannot be written."""
    maps = {"classes": outputs.classes}
    if outputs.first_classes is not None:
        maps["first_classes"] = outputs.first_classes
    tensors = {name: _packed(values) for name, values in maps.items()}
    tensors["poses"] = outputs.poses.contiguous()
    if sum(tensor.nbytes for tensor in tensors.values()) > max_bytes:
        return
    kinds = {name: [v.numpy().dtype.str, *v.shape] for name, v in maps.items()}
    shapes = json.dumps(kinds)
    metadata = {"key": key, "shapes": shapes, "sha256": _checksum(key, shapes, tensors)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, overwrite=True) as temporary:
            save_file(tensors, temporary, metadata)
        _evict(path, max_bytes)
    except (UserError, OSError, SafetensorError) as error:
        tell(f"the cache of reference outputs cannot be written: {error}")


def _evict(newest: Path, max_bytes: int) -> None:
    """Remove the least recently used entries until the folder fits; ``newest`` stays."""
    found = []
    for path in newest.parent.glob(f"*{SUFFIX}"):
        try:
            status = path.stat()
        except FileNotFoundError:  # another process was quicker
            continue
        if not path.name.startswith("."):
            found.append((status.st_mtime, status.st_size, path))
        elif time.time() - status.st_mtime > SETTINGS.stale_seconds:
            remove(path)
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= max_bytes:
            return
        if path != newest:
            remove(path)
            total -= size
