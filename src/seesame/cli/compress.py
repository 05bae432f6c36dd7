"""``seesame compress``: make an .ssm file of a clip, and score what comes back from disk."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seesame.cli.compress_options import (
    AUTO,
    HNERV,
    BudgetOption,
    BytesOption,
    CodecOption,
    DropTracksOption,
    GopOption,
    InitOption,
    LogOption,
    MaxBytesOption,
    MaxPoseOption,
    MaxSegOption,
    MaxShareOption,
    NoScoreOption,
    OutOption,
    PixelWeightOption,
    PresetOption,
    ResumeOption,
    SetOption,
    TargetScoreOption,
    TracksOption,
    TransferGuardOption,
    codec_settings,
)
from seesame.cli.options import (
    AllowDamageOption,
    ClipArgument,
    Device,
    DeviceOption,
    FpsOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SeedOption,
    SizeOption,
    StackOption,
    StreamOption,
    check_log,
    parse_duration,
    parse_settings,
    parse_source,
    resolve_device,
)
from seesame.cli.output import notes, print_figures, print_json
from seesame.cli.portable import USUAL, VideoFlags, compress_video, is_video
from seesame.cli.progress import stages
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.spec import Job, Outcome, Source


def compress(
    clip: ClipArgument,
    out: OutOption,
    codec: CodecOption = None,
    preset: PresetOption = None,
    budget: BudgetOption = None,
    size_bytes: BytesOption = None,
    pixel_weight: PixelWeightOption = None,
    transfer_guard: TransferGuardOption = None,
    init: InitOption = None,
    target_score: TargetScoreOption = None,
    max_seg: MaxSegOption = None,
    max_pose: MaxPoseOption = None,
    max_bytes: MaxBytesOption = None,
    resume: ResumeOption = False,
    log: LogOption = None,
    settings: SetOption = None,
    no_score: NoScoreOption = False,
    tracks: TracksOption = False,
    drop_tracks: DropTracksOption = False,
    gop: GopOption = None,
    max_share: MaxShareOption = None,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    seed: SeedOption = 0,
    size: SizeOption = None,
    fps: FpsOption = None,
    stream: StreamOption = None,
    allow_damage: AllowDamageOption = False,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compress a clip into an .ssm file or a plain video, and score what comes back from disk.

    A .mp4, .mkv or .mov is a standard file of svtav1, x265, x264 or vp9 that any player reads, with
    the sound, the other tracks and the timestamps of the source.

    Ctrl-C while hnerv or hybrid trains writes the best file so far; Ctrl-C again stops at once.

    Examples:

    seesame compress drive.mp4 -o drive.ssm --codec hybrid

    seesame compress drive.mp4 -o drive.ssm --codec svtav1 --set crf=45

    seesame compress drive.mp4 -o small.mp4 --codec svtav1 --set crf=40

    seesame compress drive.mp4 -o drive.ssm --codec auto --budget 10m
    """
    from seesame.jobs.spec import Job, limits_in

    codec = codec or (USUAL if is_video(out) else HNERV)
    effort = {"preset": preset and preset.value, "budget_s": parse_duration(budget)}
    aim = {"bytes": size_bytes, "pixel_weight": pixel_weight, "resume": resume}
    start = {"transfer_guard": transfer_guard, "init": init and str(init)}
    limits = {"target_score": target_score, "max_seg": max_seg, "max_pose": max_pose}
    flags = effort | aim | start | limits | {"max_bytes": max_bytes}
    where: dict[str, Any] = {"stack": stack, "device": resolve_device(device), "seed": seed}
    source = parse_source(clip, size, fps, stream, allow_damage)
    if is_video(out):
        chosen = codec_settings(codec, effort | aim | start, parse_settings(settings or []))
        _check_paths(clip, out, overwrite)
        _check_log(codec, log, overwrite)
        bounds = limits_in(limits | {"max_bytes": max_bytes})
        where |= {"out": out, "overwrite": overwrite, "limits": bounds}
        job = Job(source, codec, chosen, judge=not no_score, **where)
        compress_video(job, VideoFlags(gop, not drop_tracks, max_share), json, quiet)
        return
    if drop_tracks or gop or max_share is not None:
        raise UserError(f"{out}: --drop-tracks, --gop and --max-share are for .mp4, .mkv and .mov")
    chosen = codec_settings(codec, flags, parse_settings(settings or []))
    _check_paths(clip, out, overwrite)
    _check_log(codec, log, overwrite or resume)
    files = {"out": out, "overwrite": overwrite, "log": log, "tracks": tracks}
    job = _job(source, codec, chosen, judge=not no_score, **where, **files)
    _print(job, _run(job, chosen.get("budget_s"), quiet), json)


def _check_paths(clip: Path, out: Path, overwrite: bool) -> None:
    """Refuse, before anything is computed, an output that could not be written in the end."""
    from seesame.files import check_output

    if out.suffix != ".ssm" and not is_video(out):
        raise UserError(f"{out}: the output of compress is an .ssm file, or a .mp4, .mkv or .mov")
    if clip.exists() and out.exists() and clip.samefile(out):
        raise UserError(f"{out}: is the clip itself; choose another output")
    check_output(out, overwrite)


def _check_log(codec: str, log: Path | None, overwrite: bool) -> None:
    from seesame.codecs.registry import trained_codecs

    if log is not None:
        trained = trained_codecs()
        if codec not in trained:
            raise UserError(f"--log is for {', '.join(trained)}; --codec {codec} writes none")
        check_log(log, overwrite)


def _job(source: "Source", codec: str, chosen: dict[str, Any], **more: Any) -> "Job":
    """The job that the flags mean."""
    from seesame.codecs.registry import trained_codecs
    from seesame.jobs.spec import Job, limits_in

    out: Path = more["out"]
    settings = {name: value for name, value in chosen.items() if name != "transfer_guard"}
    return Job(
        source,
        codec,
        {} if codec == AUTO else settings,
        limits=limits_in(settings),
        guards=tuple(chosen.get("transfer_guard", ())),
        work=out.parent / f"{out.stem}.work" if codec in trained_codecs() else None,
        **more,
    )


def _run(job: "Job", seconds: float | None, quiet: bool) -> "Outcome":
    if job.codec == AUTO:
        from seesame.jobs.store import Store, store_path
        from seesame.search.choose import compress_automatically

        store = Store(store_path())
        return compress_automatically(job, store, seconds, stages=stages(quiet), note=notes(quiet))
    from seesame.jobs.workbench import run_job

    return run_job(job, stages(quiet), notes(quiet))


def _print(job: "Job", outcome: "Outcome", json: bool) -> None:
    if json:
        print_json(_values(job, outcome))
        return
    assert outcome.path is not None
    print_figures(_figures(job, outcome))
    for name, by in (outcome.missed if job.judge else {}).items():
        print(f"limit  {name} is {by:.6g} above its limit; give it more time")
    viewable = outcome.path.with_suffix(".mkv")
    command = ["seesame", "decompress", str(outcome.path), "-o", str(viewable)]
    print("next: " + shlex.join(command))


def _values(job: "Job", outcome: "Outcome") -> dict[str, Any]:
    """The outcome for ``--json``."""
    values: dict[str, Any] = {
        "clip": job.source.path,
        "file": outcome.path,
        "codec": outcome.codec,
        "settings": dict(outcome.settings),
        "bytes": outcome.bytes,
        "source_bytes": outcome.source_bytes,
        "rate": outcome.bytes / outcome.source_bytes,
        "encode_s": outcome.encode_s,
    }
    evaluation = outcome.evaluation
    if not job.judge or evaluation is None:
        return values
    values |= {
        "seg": evaluation.score.seg,
        "pose": evaluation.score.pose,
        "score": evaluation.score.total,
        "pairs": evaluation.pairs,
        "stack": evaluation.stack,
        "fingerprint": evaluation.fingerprint,
    }
    return values | ({"missed": outcome.missed} if job.limits.given else {})


def _figures(job: "Job", outcome: "Outcome") -> dict[str, str]:
    """The outcome for people."""
    from seesame.jobs.roundtrip import describe

    figures = {
        "clip": f"{job.source.path}  {describe(outcome.container)}",
        "file": f"{outcome.path}  {outcome.bytes:,} bytes, {outcome.codec}, "
        f"encoded in {outcome.encode_s:.1f} s",
        "rate": f"{outcome.bytes / outcome.source_bytes:.8f}",
    }
    if job.judge:
        score = outcome.score
        figures |= {
            "seg": f"{score.seg:.8f}",
            "pose": f"{score.pose:.8f}",
            "score": f"{score.total:.8f}  "
            f"(100*seg + 25*rate + sqrt(10*pose), stack {job.stack}; lower is better)",
        }
    return figures
