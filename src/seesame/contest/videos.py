"""The source videos of a contest: a folder, and a file with one name a line."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from seesame.contest.inflate import name_lines
from seesame.errors import UserError
from seesame.video.reading.reader import open_clip


@dataclass(frozen=True)
class Video:
    """One source video; its raw form must have the same number and size of frames."""

    name: str
    path: Path
    bytes: int
    width: int
    height: int
    num_frames: int

    @property
    def raw_bytes(self) -> int:
        """The size of the raw form, ``num_frames·height·width·3``."""
        return self.num_frames * self.height * self.width * 3


def inflated_name(name: str) -> str:
    """Return the name of a video's raw form: its own with the suffix ``.raw``."""
    return str(PurePosixPath(name).with_suffix(".raw"))


def read_names(path: Path) -> list[str]:
    """Return the names in a file, one a line; empty lines are left out.

    Raises:
        UserError: no such file, no name in it, a name that leaves the folder, or two names
            with the same raw form.
    """
    try:
        names = name_lines(path)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; give a file with one video name a line"
        ) from error
    if not names:
        raise UserError(f"{path}: names no video; give one video name a line")
    for name in names:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or not pure.name:
            raise UserError(f"{path}: {name!r} does not lie in the videos' folder")
    if len({inflated_name(name) for name in names}) < len(names):
        raise UserError(f"{path}: two names have the same .raw form")
    return names


def open_videos(folder: Path, names: list[str]) -> tuple[tuple[Video, ...], int]:
    """Return the named videos, and the bytes of all files in their folder.

    Raises:
        UserError: a video is not there.
        DamagedError: a video cannot be decoded.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; give the source videos' folder")
    videos = []
    for name in names:
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path}: there is no such video, but the names' file lists it")
        clip = open_clip(path)
        size = path.stat().st_size
        videos.append(Video(name, path, size, clip.width, clip.height, clip.num_frames))
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return tuple(videos), total
