"""``seesame compress``: make an .ssm file of a clip, and score what comes back from disk."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seesame.cli.compress_options import (
    AUTO,
    HNERV,
    BudgetOption,
    BytesOption,
    CodecOption,
    InitOption,
    LogOption,
    MaxBytesOption,
    MaxPoseOption,
    MaxSegOption,
    NoScoreOption,
    OutOption,
    PixelWeightOption,
    PresetOption,
    ResumeOption,
    SetOption,
    TargetScoreOption,
    TransferGuardOption,
    codec_settings,
)
from seesame.cli.options import (
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
    input_files,
    parse_duration,
    parse_settings,
    parse_source,
    reserved_log,
    resolve_device,
)
from seesame.cli.output import notes, print_figures, print_json
from seesame.cli.progress import stages
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.spec import Job, Outcome, Source


def compress(
    clip: ClipArgument,
    out: OutOption,
    codec: CodecOption = HNERV,
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
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    seed: SeedOption = 0,
    size: SizeOption = None,
    fps: FpsOption = None,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compress a clip into an .ssm file and score what comes back from disk.

    Ctrl-C while hnerv or hybrid trains writes the best file so far; Ctrl-C again stops at once.

    Examples:

    seesame compress drive.mp4 -o drive.ssm --codec hybrid

    seesame compress drive.mp4 -o drive.ssm --codec svtav1 --set crf=45

    seesame compress drive.mp4 -o drive.ssm --codec auto --budget 10m
    """
    effort = {"preset": preset and preset.value, "budget_s": parse_duration(budget)}
    aim = {"bytes": size_bytes, "pixel_weight": pixel_weight, "resume": resume}
    start = {"transfer_guard": transfer_guard, "init": init and str(init)}
    limits = {"target_score": target_score, "max_seg": max_seg, "max_pose": max_pose}
    flags = effort | aim | start | limits | {"max_bytes": max_bytes}
    chosen = codec_settings(codec, flags, parse_settings(settings or []))
    guards = [str(name) for name in chosen.get("transfer_guard", ())]
    inputs = input_files(clip, chosen.get("init"), stacks=[stack, *guards])
    with _reserved(codec, out, overwrite, inputs, log, overwrite or resume):
        where = {"stack": stack, "device": resolve_device(device), "seed": seed}
        files = {"out": out, "overwrite": overwrite, "log": log}
        source = parse_source(clip, size, fps)
        job = _job(source, codec, chosen, judge=not no_score, **where, **files)
        outcome = _run(job, chosen.get("budget_s"), quiet)
    _print(job, outcome, json)


@contextmanager
def _reserved(
    codec: str, out: Path, overwrite: bool, inputs: list[Path], log: Path | None, replace_log: bool
) -> Iterator[None]:
    """Refuse, before anything is computed, outputs that could not be written in the end."""
    from seesame.codecs.registry import trained_codecs
    from seesame.files import reserved

    if out.suffix != ".ssm":
        raise UserError(f"{out}: the output of compress is an .ssm file; name it {out.stem}.ssm")
    trained = trained_codecs()
    if log is not None and codec not in trained:
        raise UserError(f"--log is for {', '.join(trained)}; --codec {codec} writes none")
    with (
        reserved(out, overwrite, inputs=inputs),
        reserved_log(log, replace_log, [*inputs, out]),
    ):
        yield


def _job(source: "Source", codec: str, chosen: dict[str, Any], **more: Any) -> "Job":
    """The job that the flags mean."""
    from seesame.codecs.registry import trained_codecs
    from seesame.files import beside
    from seesame.jobs.spec import Job, limits_in

    out: Path = more["out"]
    settings = {name: value for name, value in chosen.items() if name != "transfer_guard"}
    return Job(
        source,
        codec,
        {} if codec == AUTO else settings,
        limits=limits_in(settings),
        guards=tuple(chosen.get("transfer_guard", ())),
        work=beside(out, ".work") if codec in trained_codecs() else None,
        **more,
    )


def _run(job: "Job", seconds: float | None, quiet: bool) -> "Outcome":
    if job.codec == AUTO:
        from seesame.jobs.store import usual_store
        from seesame.search.choose import compress_automatically

        told, note = stages(quiet), notes(quiet)
        return compress_automatically(job, usual_store(note), seconds, stages=told, note=note)
    from seesame.jobs.workbench import run_job

    return run_job(job, stages(quiet), notes(quiet))


def _print(job: "Job", outcome: "Outcome", json: bool) -> None:
    from seesame.files import beside

    if json:
        print_json(_values(job, outcome))
        return
    assert outcome.path is not None
    print_figures(_figures(job, outcome))
    for name, by in (outcome.missed if job.judge else {}).items():
        print(f"limit  {name} is {by:.6g} above its limit; give it more time")
    viewable = beside(outcome.path, ".mkv")
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
