"""``seesame compress``: make small files of clips, and score what comes back from disk."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seesame.cli.compress_options import (
    AUTO,
    HNERV,
    BudgetOption,
    BytesOption,
    ClipsArgument,
    CodecOption,
    DropTracksOption,
    GopOption,
    InitOption,
    LogOption,
    MaxShareOption,
    NoLoopOption,
    NoScoreOption,
    OutOption,
    PixelWeightOption,
    PresetOption,
    ResumeOption,
    SampleOption,
    SetOption,
    TargetScoreOption,
    TracksOption,
    TransferGuardOption,
    codec_settings,
)
from seesame.cli.compress_run import attempt, run_one
from seesame.cli.limits import (
    ChallengeRuleOption,
    MaxBytesOption,
    MaxPoseOption,
    MaxSegOption,
    parse_limits,
)
from seesame.cli.options import (
    AllowDamageOption,
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
    input_files,
    parse_duration,
    parse_settings,
    parse_source,
    reserved_log,
    resolve_device,
)
from seesame.cli.portable import VideoFlags, is_video
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.spec import Job


def compress(
    clips: ClipsArgument,
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
    challenge_rule: ChallengeRuleOption = False,
    resume: ResumeOption = False,
    log: LogOption = None,
    settings: SetOption = None,
    no_score: NoScoreOption = False,
    tracks: TracksOption = False,
    drop_tracks: DropTracksOption = False,
    gop: GopOption = None,
    max_share: MaxShareOption = None,
    sample: SampleOption = None,
    no_closed_loop: NoLoopOption = False,
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
    """Compress clips into .ssm files or plain videos, and score what comes back from disk.

    A .mp4, .mkv or .mov is a standard file of a classical codec that any player reads, with the
    sound, the other tracks and the timestamps of the source; its frame size and quality are found.
    With limits, a classical codec finds the crf that keeps them with the fewest bytes, and a codec
    that trains aims at them. A file that misses a limit is written all the same, and the exit code
    is 4. Ctrl-C while hnerv or hybrid trains writes the best file so far; Ctrl-C again stops at
    once.

    Examples:

    seesame compress drive.mp4 -o drive.ssm --codec hybrid

    seesame compress drive.mp4 -o drive.ssm --codec av1 --max-seg 0.01 --max-seg lane=0.05

    seesame compress drive.mp4 -o small.mp4 --max-seg 0.01

    seesame compress drive.mp4 -o drive.ssm --codec auto --budget 10m

    seesame compress a.mp4 b.mp4 -o small/ --codec av1 --max-seg 0.01
    """
    from seesame.codecs.registry import PORTABLE

    codec = codec or (PORTABLE if is_video(out) else HNERV)
    seconds = parse_duration(budget)
    effort = {"preset": preset and preset.value, "budget_s": seconds}
    aim = {"bytes": size_bytes, "pixel_weight": pixel_weight, "resume": resume}
    start = {"transfer_guard": transfer_guard, "init": init and str(init)}
    limits = {"target_score": target_score, "max_seg": max_seg, "max_pose": max_pose}
    limits |= {"max_bytes": max_bytes, "challenge_rule": challenge_rule}
    chosen = codec_settings(codec, effort | aim | start | limits, parse_settings(settings or []))
    bounds, chosen = parse_limits(chosen)
    video = VideoFlags(gop, not drop_tracks, max_share, parse_duration(sample), not no_closed_loop)
    if video != VideoFlags() and not is_video(out):
        raise UserError(f"{out}: {video.given} is for a .mp4, .mkv or .mov")
    where = {"stack": stack, "device": resolve_device(device), "seed": seed}
    files = {"overwrite": overwrite, "log": log, "judge": not no_score, "limits": bounds}
    jobs = []
    for clip, target in _targets(clips, out):
        source = parse_source(clip, size, fps, stream, allow_damage)
        more = {"source": source, "out": target, "tracks": tracks} | where | files
        jobs.append(_job(codec=codec, chosen=chosen, **more))
    guards = [str(name) for name in chosen.get("transfer_guard", ())]
    inputs = input_files(*clips, chosen.get("init"), stacks=[stack, *guards])
    _check_log(codec, log, len(jobs))
    alone = jobs[0].out == out
    if not alone:
        out.mkdir(parents=True, exist_ok=True)
    with _reserved(jobs, inputs, reserved_log(log, overwrite or resume, [*inputs, out])):
        if alone:
            run_one(jobs[0], seconds, video, json, quiet)
        else:
            attempt(jobs, seconds, json, quiet)


@contextmanager
def _reserved(
    jobs: "Sequence[Job]", inputs: Sequence[Path], log: AbstractContextManager[None]
) -> Iterator[None]:
    """Refuse, before anything is computed, outputs that could not be written in the end."""
    from seesame.files import reserved

    with ExitStack() as stack:
        for job in jobs:
            assert job.out is not None
            stack.enter_context(reserved(job.out, job.overwrite, inputs=inputs))
        stack.enter_context(log)
        yield


def _targets(clips: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Return each clip with its output file.

    Raises:
        UserError: the output of several clips is a file, two of them would have one output, or an
            output of a kind that is not made here.
    """
    of_file = out.suffix == ".ssm" or is_video(out)
    if len(clips) == 1 and (of_file or not out.is_dir()):
        if not of_file:
            raise UserError(
                f"{out}: the output of compress is an .ssm file, or a .mp4, .mkv or .mov; name it "
                f"{out.stem}.ssm"
            )
        return [(clips[0], out)]
    if of_file or (out.exists() and not out.is_dir()):
        raise UserError(f"{out}: the output of several clips is a folder")
    targets = [(clip, out / f"{clip.stem}.ssm") for clip in clips]
    twice = {target for _, target in targets if [t for _, t in targets].count(target) > 1}
    if twice:
        raise UserError(f"{min(twice)}: would be the output of two clips; name them apart")
    return targets


def _check_log(codec: str, log: Path | None, clips: int) -> None:
    from seesame.codecs.registry import trained_codecs

    if log is not None:
        trained = trained_codecs()
        if codec not in trained:
            raise UserError(f"--log is for {', '.join(trained)}; --codec {codec} writes none")
        if clips > 1:
            raise UserError("--log is for one clip; with several the work folders hold the logs")


def _job(codec: str, chosen: dict[str, Any], **more: Any) -> "Job":
    """The job that the flags mean."""
    from seesame.codecs.registry import trained_codecs
    from seesame.files import beside
    from seesame.jobs.spec import Job

    out: Path = more["out"]
    settings = {name: value for name, value in chosen.items() if name != "transfer_guard"}
    return Job(
        codec=codec,
        settings={} if codec == AUTO else settings,
        guards=tuple(chosen.get("transfer_guard", ())),
        work=beside(out, ".work") if codec in trained_codecs() else None,
        **more,
    )
