"""The sections of an .ssm file that keep its source's time and the tracks beside the video."""

from pathlib import Path

from seesame.bitstream.container import Section
from seesame.bitstream.stamps import pack_times
from seesame.context import Note
from seesame.errors import UserError
from seesame.video.clip import Clip
from seesame.video.times import clip_times
from seesame.video.writing.mux import Others
from seesame.video.writing.tracks import source_video, temporary_file
from seesame.video.writing.verify import copy_tracks


def time_sections(clip: Clip, tracks: bytes) -> dict[Section, bytes]:
    """Return TIMES and TRACKS of a clip's file; neither where the frame rate says everything.

    Raises:
        UserError: the clip's timestamps do not fit the format.
        DamagedError: the clip ends early.
    """
    found: dict[Section, bytes] = {}
    times = clip_times(clip)
    if times is not None:
        try:
            packed = pack_times(times.pts.tolist(), times.time_base, times.duration, clip.fps)
        except ValueError as error:
            raise UserError(f"the clip's timestamps cannot be stored: {error}") from error
        if packed is not None:
            found[Section.TIMES] = packed
    return found | ({Section.TRACKS: tracks} if tracks else {})


def packed_tracks(clip: Clip, note: Note) -> bytes:
    """Return the tracks beside a clip's video as a file of their own; empty where there are none.

    An .ssm file as the source hands on what it has itself.

    Raises:
        UserError: no container holds all of them.
    """
    kept: bytes = getattr(clip, "tracks", b"")
    if kept:
        return kept
    found = source_video(clip)
    if found is None:
        note("the source is no video file and has no tracks to keep")
        return b""
    others = Others(*found)
    matroska = found[0].suffix.lower() in (".mkv", ".webm")
    suffixes = (".mkv", ".mp4", ".mov") if matroska else (".mp4", ".mov", ".mkv")
    for number, suffix in enumerate(suffixes, start=1):
        with temporary_file(suffix) as path:
            try:
                if not copy_tracks(path, others, Path(f"tracks{suffix}")):
                    note(f"{found[0]}: has no tracks beside the video")
                    return b""
            except UserError:
                if number == len(suffixes):
                    raise
                continue
            return path.read_bytes()
    raise AssertionError("the last container's error is raised above")
