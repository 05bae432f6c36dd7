"""Fetching comma's nets and clip: Git-LFS objects, resumed when cut off, never trusted."""

import hashlib
import http.client
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seesame.errors import DamagedError, UserError
from seesame.files import replacing, reserved
from seesame.inputs import NoHomeError, data_folder
from seesame.temporary import remove

Progress = Callable[[float, str], None]
"""Called with the share done (0..1) and a short text."""

COMMA_REPOSITORY = "https://github.com/commaai/comma_video_compression_challenge.git"
LFS_TYPE = "application/vnd.git-lfs+json"
TIMEOUT = 30.0
"""Seconds without a byte before a download is given up (it can be resumed)."""
CHUNK = 1 << 20
MAX_ANSWER = 1 << 20
"""Bytes of the server's answer to the question where the objects are."""


@dataclass(frozen=True)
class Published:
    """A file as published: its name, SHA-256 (also its Git-LFS object id) and size in bytes."""

    name: str
    sha256: str
    size: int


COMMA_FILES = (
    Published(
        "segnet.safetensors",
        "68956e328d4c5d875389a1a444870e6bac1c052c9986123827af95c07c6991b6",
        38_502_892,
    ),
    Published(
        "posenet.safetensors",
        "0f3a0874c5c387f990d7b88bd1d7e1f6de35d98b45f2a289989db2c77b9b6576",
        55_835_560,
    ),
    Published(
        "0.mkv",
        "2611f5f3e186f3529777749f97bd4cce3a208d6b3559e137bd45d256980d2fa9",
        37_545_489,
    ),
)
NETWORKS = COMMA_FILES[:2]
"""The files of the two networks: segmentation, pose."""


def models_folder() -> Path:
    """Return the folder of comma's files: ``$SEESAME_HOME/comma``, else in the XDG data folder."""
    return data_folder("comma")


def available() -> bool:
    """Return whether the default folder holds both networks."""
    try:
        folder = models_folder()
        return all((folder / file.name).is_file() for file in NETWORKS)
    except (NoHomeError, OSError):  # no such folder, or one that cannot be entered
        return False


def sha256_of(path: Path) -> str:
    """Return hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_comma(
    folder: Path | None = None,
    progress: Progress | None = None,
    source: Path | None = None,
    overwrite: bool = False,
    files: Sequence[Published] = COMMA_FILES,
    repository: str = COMMA_REPOSITORY,
) -> list[Path]:
    """Put comma's nets and clip into a folder, each verified by size and SHA-256 on the disk.

    Files that are there already and right are left alone. A download that was cut off goes on
    where it stopped (``.NAME.part`` beside the output). Method: the Git-LFS batch API
    (git-lfs, docs/api/batch.md, "basic" transfer), which needs the SHA-256 and size only.

    Args:
        folder: where to; :func:`models_folder` when None. Made if absent.
        progress: called with the share of all bytes that is there, and a text.
        source: a local folder to copy from (looked up by name, also under ``models/`` and
            ``videos/`` as in a checkout of the challenge) instead of the network.
        overwrite: replace a file of that name that is not the published one.
        files: what to fetch.
        repository: address of the Git repository whose Git-LFS store has the files.

    Returns:
        The paths, in the order of ``files``.

    Raises:
        UserError: no network, refused by the server, folder not writable, wrong local file.
        DamagedError: what came is not the published file; nothing is kept of it.
    """
    folder = models_folder() if folder is None else folder
    report = progress or (lambda share, text: None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made a folder ({error.strerror})") from error
    total = sum(file.size for file in files)
    missing = [file for file in files if not _present(folder / file.name, file, overwrite)]
    done = total - sum(file.size for file in missing)
    addresses = {} if source or not missing else _addresses(repository, missing)
    for file in missing:
        before = done

        def tell(count: int, name: str = file.name, before: int = before) -> None:
            report((before + count) / total, name)

        if source is not None:
            _copy(source, folder / file.name, file, overwrite)
        else:
            with reserved(folder / file.name, overwrite):
                _download(*addresses[file.sha256], folder / file.name, file, tell)
        done += file.size
        report(done / total, file.name)
    return [folder / file.name for file in files]


def _present(path: Path, file: Published, overwrite: bool) -> bool:
    if not path.exists():
        return False
    if path.is_file() and _matches(path, file):
        return True
    if overwrite and path.is_file():
        return False
    raise UserError(f"{path} exists but is not the published file; move it away, or overwrite it")


def _matches(path: Path, file: Published) -> bool:
    return path.stat().st_size == file.size and sha256_of(path) == file.sha256


def _copy(source: Path, path: Path, file: Published, overwrite: bool) -> None:
    places = [source / file.name, source / "models" / file.name, source / "videos" / file.name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UserError(f"{source}: no {file.name} in this folder; give the folder that has it")
    with replacing(path, overwrite=overwrite) as temporary:
        shutil.copyfile(found, temporary)
        if not _matches(temporary, file):
            raise DamagedError(
                f"{found}: not the published file (size or SHA-256 differs); fetch it again"
            )


def _addresses(
    repository: str, files: Sequence[Published]
) -> dict[str, tuple[str, dict[str, str]]]:
    """Ask the Git-LFS store where the objects are: ``{sha256: (address, headers)}``."""
    question = {
        "operation": "download",
        "transfers": ["basic"],
        "hash_algo": "sha256",
        "objects": [{"oid": file.sha256, "size": file.size} for file in files],
    }
    url = f"{repository}/info/lfs/objects/batch"
    headers = {"Accept": LFS_TYPE, "Content-Type": LFS_TYPE}
    request = urllib.request.Request(url, json.dumps(question).encode(), headers)
    with _open(request, repository) as answer:
        text = _read(answer, MAX_ANSWER, repository)
    try:
        objects = {item["oid"]: item for item in json.loads(text)["objects"]}
        found: dict[str, tuple[str, dict[str, str]]] = {}
        for file in files:
            item = objects[file.sha256]
            if "error" in item:
                raise UserError(f"{repository}: has no {file.name} ({item['error']['message']})")
            action = item["actions"]["download"]
            extra = {str(k): str(v) for k, v in action.get("header", {}).items()}
            found[file.sha256] = (str(action["href"]), extra)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{repository}: gave no usable Git-LFS answer; try again later") from error
    secure = urlsplit(repository).scheme == "https"
    for address, _ in found.values():
        if urlsplit(address).scheme not in (("https",) if secure else ("https", "http")):
            raise UserError(f"{repository}: points to an address that is not https; refused")
    return found


def _download(
    address: str, headers: dict[str, str], path: Path, file: Published, tell: Callable[[int], None]
) -> None:
    part = path.parent / f".{file.name}.part"
    try:
        _fill(address, headers, part, file, tell)
        if part.stat().st_size < file.size:
            raise UserError(
                f"{file.name}: the download was cut off; run the command again to go on"
            )
        if not _matches(part, file):
            remove(part)
            raise DamagedError(
                f"{file.name}: what came is not the published file (SHA-256 differs); nothing kept"
            )
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def _fill(
    address: str, headers: dict[str, str], part: Path, file: Published, tell: Callable[[int], None]
) -> None:
    """Append to the part file what it lacks; at most ``file.size`` bytes are ever written."""
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:
        remove(part)
        have = 0
    if have == file.size:
        return
    request = urllib.request.Request(address, headers=headers)
    if have:
        request.add_header("Range", f"bytes={have}-")
    with _open(request, file.name) as answer:
        if have and not _continues(answer, have):
            have = 0
        with part.open("r+b" if have else "wb") as out:
            out.seek(have)
            while piece := _read(answer, min(CHUNK, file.size - have + 1), file.name, short=True):
                if have + len(piece) > file.size:
                    out.close()
                    remove(part)
                    raise DamagedError(
                        f"{file.name}: the server sends more than the published file"
                    )
                out.write(piece)
                have += len(piece)
                tell(have)


def _continues(answer: Any, have: int) -> bool:
    """Return whether the answer starts at the byte asked for; a server may ignore the range."""
    match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range") or "")
    return answer.status == 206 and match is not None and int(match[1]) == have


def _open(request: urllib.request.Request, what: str) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise UserError(f"{what}: the server answers {error.code} ({error.reason})") from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{what}: cannot be fetched ({reason}); check the network, or copy the files from a "
            "folder that has them"
        ) from error


def _read(answer: Any, count: int, what: str, short: bool = False) -> bytes:
    """Read at most ``count`` bytes; with ``short`` a connection that breaks ends the data."""
    try:
        data: bytes = answer.read(count)
    except (OSError, http.client.HTTPException) as error:
        if short:
            return b""
        raise UserError(f"{what}: the connection broke ({error}); try again") from error
    return data
