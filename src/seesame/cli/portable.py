"""``seesame compress`` with a video's suffix: a plain file that any player reads."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seesame.cli.judged import judged_figures, judged_values, print_limits
from seesame.cli.output import notes, print_figures, print_json
from seesame.cli.progress import stages
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.portable import Portable
    from seesame.jobs.spec import Job
    from seesame.search.within.found import FoundPortable

SUFFIXES = (".mp4", ".mkv", ".mov")


@dataclass(frozen=True)
class VideoFlags:
    """The flags of a portable file.

    Args:
        gop: frames or a time from one key frame to the next; None for the usual.
        tracks: copy the tracks beside the video.
        max_share: of the source's bytes that the file may have; None for the usual.
        sample: seconds of the clip on which the frame size is chosen; None for the usual.
        closed_loop: correct the source by earlier encodes.
    """

    gop: str | None = None
    tracks: bool = True
    max_share: float | None = None
    sample: float | None = None
    closed_loop: bool = True

    @property
    def given(self) -> str:
        """The first flag that was given."""
        named = {
            "--gop": self.gop is not None,
            "--drop-tracks": not self.tracks,
            "--max-share": self.max_share is not None,
            "--sample": self.sample is not None,
            "--no-closed-loop": not self.closed_loop,
        }
        return next((flag for flag, here in named.items() if here), "")


def is_video(out: Path) -> bool:
    """Return whether an output is a portable file."""
    return out.suffix.lower() in SUFFIXES


def compress_video(job: "Job", flags: VideoFlags, json: bool, quiet: bool) -> "Portable":
    """Write a portable file, print its figures and return it. Raises UserError."""
    from seesame.jobs.portable import MAX_SHARE, write_portable
    from seesame.jobs.workbench import Workbench
    from seesame.search.within.portable import find_portable, finds_portable

    assert job.out is not None
    bench = Workbench.open(job, stages(quiet), notes(quiet))
    settings = dict(job.settings)
    if flags.gop is not None:
        if "gop" in settings:
            raise UserError("--set gop: given by --gop already")
        settings["gop"] = _frames(flags.gop, float(bench.clip.fps))
    share = MAX_SHARE if flags.max_share is None else flags.max_share
    how: dict[str, Any] = {"overwrite": job.overwrite, "tracks": flags.tracks, "max_share": share}
    search = None
    if job.judge and finds_portable(settings):
        with stages(quiet)(f"compress {job.codec}") as bar:
            search = find_portable(
                bench,
                job.codec,
                settings,
                job.limits,
                job.out,
                sampled=flags.sample,
                closed_loop=flags.closed_loop,
                progress=bar,
                **how,
            )
        found = search.file
    else:
        how |= {"judge": job.judge, "limits": bench.bound(job.limits)}
        found = write_portable(bench, job.codec, settings, job.out, **how)
    if json:
        print_json(_values(job, found) | _search_values(search))
        return found
    print_figures(_figures(job, found) | _search_figures(search))
    print_limits(found)
    print("next: " + shlex.join(["seesame", "report", str(job.source.path), str(found.path)]))
    return found


def _search_figures(search: "FoundPortable | None") -> dict[str, str]:
    """Return what a search did, for people."""
    if search is None:
        return {}
    settings = search.file.settings
    corrected = f", source corrected by {search.rounds} earlier encode"
    corrected += "s" if search.rounds > 1 else ""
    assert search.forecast is not None  # the search of a single clip has a sample
    size, first = search.forecast.bytes, search.first_bytes
    return {
        "found": f"scale {settings.get('scale', 1.0):g}, crf {settings['crf']}"
        f"{corrected if search.rounds else ''}; {search.encodes:.1f} encodes of the clip's length, "
        f"{search.seconds:.0f} s in all",
        "sample": f"foretold {size:,} bytes and {search.forecast.encode_s:.1f} s for the first "
        f"encode of the whole clip, which has {first:,} ({size / first - 1:+.0%})",
    }


def _search_values(search: "FoundPortable | None") -> dict[str, Any]:
    """Return what a search did, for ``--json``."""
    if search is None:
        return {}
    assert search.forecast is not None
    return {
        "encodes": search.encodes,
        "rounds": search.rounds,
        "search_s": search.seconds,
        "forecast": {
            "bytes": search.forecast.bytes,
            "encode_s": search.forecast.encode_s,
            "first_bytes": search.first_bytes,
        },
    }


def _frames(text: str, fps: float) -> int:
    """Return the frames that ``"50"`` or ``"2s"`` means. Raises UserError."""
    from seesame.cli.options import parse_duration

    if text.isdecimal() and int(text):
        return int(text)
    seconds = None if text[-1:].isdecimal() else parse_duration(text, "--gop")
    if seconds is None:
        raise UserError(f"--gop {text}: give a number of frames, as 50, or a time, as 2s")
    return max(1, round(seconds * fps))


def _values(job: "Job", found: "Portable") -> dict[str, Any]:
    """Return the outcome for ``--json``."""
    values: dict[str, Any] = {
        "clip": job.source.path,
        "file": found.path,
        "codec": found.codec,
        "settings": dict(found.settings),
        "width": found.width,
        "height": found.height,
        "num_frames": found.num_frames,
        "bytes": found.bytes,
        "other_tracks_bytes": found.other_bytes,
        "source_bytes": found.source_bytes,
        "rate": found.bytes / found.source_bytes,
        "kept_source": found.kept_source,
        "encode_s": found.encode_s,
    }
    reader = {"reader": found.reader} if found.evaluation is not None else {}
    return values | judged_values(found) | reader


def _figures(job: "Job", found: "Portable") -> dict[str, str]:
    """Return the outcome for people."""
    beside = f", of which {found.other_bytes:,} are other tracks" if found.other_bytes else ""
    how = "a copy of the source" if found.kept_source else found.codec
    figures = {
        "clip": f"{job.source.path}  {found.num_frames} frames, {found.source_bytes:,} bytes",
        "file": f"{found.path}  {found.width}x{found.height}, {found.bytes:,} bytes{beside}, "
        f"{how}, in {found.encode_s:.1f} s",
        "rate": f"{found.bytes / found.source_bytes:.8f}",
    }
    reader = {"read": f"by {found.reader}, at the file's own size"}
    return figures | judged_figures(found) | (reader if found.evaluation is not None else {})
