"""Portable files: plain MP4, MOV or Matroska, written with all that the source has beside pictures.

Such a file is judged as its users will read it: its own frames, at their own size, go to the stack.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av

from seesame.codecs.av.codec import AvCodec
from seesame.codecs.av.encoding.closed_loop import Correction
from seesame.codecs.av.encoding.pictures import BATCH
from seesame.codecs.av.encoding.portable import Plan, encode_to, plan
from seesame.codecs.av.settings import noteworthy
from seesame.codecs.registry import codec_names, get_codec
from seesame.context import EncodeContext, Progress
from seesame.errors import MissingStackError, UserError
from seesame.files import check_output, replacing
from seesame.jobs.spec import Judged
from seesame.jobs.workbench import Workbench
from seesame.metric.evaluator import evaluate
from seesame.metric.limits import Limits
from seesame.temporary import temporary_folder
from seesame.video.reading import streams
from seesame.video.reading.reader import open_clip
from seesame.video.times import Times, clip_times
from seesame.video.writing.mux import SUFFIXES, Others, regular_times
from seesame.video.writing.tracks import opened, packets, source_video, stored
from seesame.video.writing.verify import check_container, copy_all, mux_checked, ticks_fit

MAX_SHARE = 0.95
"""A file with more of the source's bytes than this is not worth its loss."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Portable(Judged):
    """A portable file and its figures.

    Args:
        other_bytes: those of its bytes that are packets of the tracks beside the video.
        width: of its frames, as a reader shows them.
        height: the same.
        num_frames: how many.
        kept_source: True where the source itself was copied, since the coded file was not smaller.
        stream: number of the video among those of the file.
        reader: the library that read the file for the judge.
    """

    path: Path
    other_bytes: int
    width: int
    height: int
    num_frames: int
    kept_source: bool
    stream: int
    reader: str = f"PyAV {av.__version__}"


def is_portable(path: Path) -> bool:
    """Return whether an output's suffix asks for a portable file."""
    return path.suffix.lower() in SUFFIXES


def write_portable(
    bench: Workbench,
    codec: str,
    settings: Mapping[str, Any],
    out: Path,
    *,
    overwrite: bool = False,
    tracks: bool = True,
    max_share: float = MAX_SHARE,
    judge: bool = True,
    limits: Limits | None = None,
    progress: Progress | None = None,
    earlier: Sequence[Path] = (),
    classes: Sequence[int] = (),
) -> Portable:
    """Code a clip into a plain video file, verify what is on the disk, and judge it.

    The file has the source's timestamps to the tick (to the millisecond in Matroska), its other
    tracks as they are, its chapters, metadata, rotation, aspect ratio and colour tags. Everything
    that can fail is checked before the encode; the file is read back and compared before it is
    moved into place.

    Args:
        bench: the clip and the stack.
        codec: name of a classical codec.
        settings: the codec's own; those that act at decode time are refused.
        out: the output; ``.mp4``, ``.mkv`` or ``.mov``.
        overwrite: replace an existing output.
        tracks: copy the tracks beside the video.
        max_share: where the result has more of the source's bytes than this, the source itself is
            copied in its place.
        judge: score the file.
        limits: bounds that the outcome is compared with.
        progress: called instead of the bench's stages.
        earlier: portable files of the same clip and size. By what each of them made of the stack's
            outputs the pictures are corrected before they are coded.
        classes: numbers of classes with a limit of their own, which weigh more in corrections.

    Raises:
        UserError: the codec refuses the settings or the clip, the container cannot hold a track,
            or the output cannot be written; nothing is left behind.
        MissingStackError: the codec or the judge needs a stack.
        DamagedError: the clip ends early.
    """
    started = time.monotonic()
    check_output(out, overwrite)
    how = plan_portable(bench, codec, settings)
    if judge and bench.clip.num_frames < 2:
        raise UserError(f"{out}: one frame forms no pair to score; compress it unscored")
    if bench.stack is None and (judge or how.settings.roi_qp):
        raise MissingStackError("a score needs perception networks; name a stack")
    times, others = check_portable(bench, how, out, tracks)
    with temporary_folder() as folder:
        coded = folder / f"video{out.suffix.lower()}"
        with _stage(bench, f"compress {codec}", progress) as bar:
            context = EncodeContext(
                stack=bench.stack,
                device=bench.device,
                progress=bar,
                note=bench.note,
                outputs=bench.outputs,
                memory=bench.memory,
            )
            corrections = [
                Correction(bench.stack, bench.device, open_clip(path).batches(BATCH), classes)
                for path in earlier
                if bench.stack is not None
            ]
            encode_to(coded, bench.clip, how, context, corrections)
        with replacing(out, overwrite) as written:
            tags = how.stored
            index = mux_checked(written, coded, times, others, how.size, tags.turn, tags.aspect)
            kept = others is not None and not _smaller(written, bench, max_share)
            if others is not None and kept:
                _keep_source(written, others.path, out, bench)
                index = others.video
    found = Portable(
        codec=how.member.name,
        settings=noteworthy(how.member, how.settings),
        path=out,
        bytes=out.stat().st_size,
        other_bytes=_packet_bytes(out, index),
        stream=_number(out, index),
        source_bytes=bench.clip.source_bytes,
        width=bench.clip.width if kept else how.shown[1],
        height=bench.clip.height if kept else how.shown[0],
        num_frames=bench.clip.num_frames,
        kept_source=kept,
        encode_s=time.monotonic() - started,
        limits=limits or Limits(),
    )
    return judged_portable(bench, found, progress) if judge else found


def place_portable(
    bench: Workbench,
    found: Portable,
    out: Path,
    *,
    overwrite: bool = False,
    max_share: float = MAX_SHARE,
) -> Portable:
    """Move a file that was written on trial, with its figures, to its place.

    Args:
        bench: the clip and the stack.
        found: the file, of the same suffix as ``out``.
        out: the output.
        overwrite: replace an existing output.
        max_share: where the file has more of the source's bytes than this, the source itself is
            copied in its place, and judged.

    Raises:
        UserError: the output cannot be written.
    """
    others = _others(bench, tracks=True)
    kept = others is not None and not _smaller(found.path, bench, max_share)
    with replacing(out, overwrite) as written:
        shutil.move(found.path, written)
        if others is not None and kept:
            _keep_source(written, others.path, out, bench)
    if others is None or not kept:
        return replace(found, path=out)
    copied = replace(
        found,
        path=out,
        bytes=out.stat().st_size,
        other_bytes=_packet_bytes(out, others.video),
        stream=_number(out, others.video),
        width=bench.clip.width,
        height=bench.clip.height,
        kept_source=True,
    )
    return copied if found.evaluation is None else judged_portable(bench, copied)


def plan_portable(bench: Workbench, codec: str, settings: Mapping[str, Any]) -> Plan:
    """Return how a codec codes the clip into a portable file. Raises UserError where it cannot."""
    return plan(portable_codec(codec).member, settings, bench.clip, stored(bench.clip))


def portable_codec(codec: str) -> AvCodec:
    """Return a codec of plain video files. Raises UserError where it is none."""
    made = get_codec(codec)
    if not isinstance(made, AvCodec):
        able = [name for name in codec_names() if isinstance(get_codec(name), AvCodec)]
        raise UserError(
            f"codec {codec} makes .ssm files only; a video file is coded by {', '.join(able)}"
        )
    return made


def judged_portable(
    bench: Workbench, found: Portable, progress: Progress | None = None
) -> Portable:
    """Return a portable file with its figures: read from the disk as its users will read it.

    Raises:
        MissingStackError: there is no stack.
        UserError: the clip forms no pair, or the file cannot be compared with it.
        DamagedError: one of them is damaged.
    """
    start = time.perf_counter()
    reference = bench.reference()
    assert bench.stack is not None
    with _stage(bench, "score", progress) as bar:
        evaluation = evaluate(
            reference,
            open_clip(found.path, stream=found.stream),
            bench.stack,
            found.bytes,
            every_frame=bench.every_frame,
            device=bench.device,
            progress=bar,
            as_read=True,
        )
    return replace(found, judge_s=time.perf_counter() - start, evaluation=evaluation)


def _others(bench: Workbench, tracks: bool) -> Others | None:
    """Return what is copied beside the video; None where the clip is no video file."""
    found = source_video(bench.clip)
    return None if found is None else Others(*found, tracks)


def check_portable(
    bench: Workbench, how: Plan, out: Path, tracks: bool = True
) -> tuple[Times, Others | None]:
    """Return the times and the other tracks of a portable file; note what is not kept to the tick.

    Raises:
        UserError: the container cannot hold them, which would show only at the end.
    """
    times = clip_times(bench.clip) or regular_times(bench.clip.num_frames, bench.clip.fps)
    others = _others(bench, tracks)
    check_container(out, how.member.encoder, others)
    aspect = how.stored.aspect
    matroska = out.suffix.lower() == ".mkv"
    if matroska and aspect not in (None, 1) and how.member.name in ("svtav1", "vp9"):
        raise UserError(
            f"{out}: the shape of the source's pixels, {aspect}, is lost with {how.member.name} in "
            "a .mkv; write .mp4"
        )
    if not ticks_fit(out, times):
        bench.note(
            f"{out}: Matroska counts milliseconds, and timestamps of the source are between them: "
            "they are rounded; an .mp4 keeps them exactly"
        )
    return times, others


def _smaller(written: Path, bench: Workbench, max_share: float) -> bool:
    return written.stat().st_size <= max_share * bench.clip.source_bytes


def _keep_source(written: Path, source: Path, out: Path, bench: Workbench) -> None:
    """Put the source in the place of a file that is no smaller."""
    size = written.stat().st_size
    written.unlink()
    if source.suffix.lower() == out.suffix.lower():
        shutil.copyfile(source, written)
    else:
        copy_all(written, source, out)
    bench.note(
        f"{out}: coded, it would have {size:,} bytes, which is not enough less than the source's "
        f"{bench.clip.source_bytes:,}; the source itself was copied"
    )


def _packet_bytes(path: Path, video: int) -> int:
    """Return the bytes of the packets of all tracks but the video."""
    with opened(path) as container:
        beside = [stream for stream in container.streams if stream.index != video]
        return sum(packet.size for packet in packets(container, beside))


def _number(path: Path, index: int) -> int:
    """Return the number of a stream among the videos of a file."""
    with opened(path) as container:
        return [stream.index for stream in streams.videos(container)].index(index)


def _stage(
    bench: Workbench, label: str, progress: Progress | None
) -> AbstractContextManager[Progress]:
    return bench.stages(label) if progress is None else nullcontext(progress)
