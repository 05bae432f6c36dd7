"""``seesame compress``: make .ssm files of clips, and score what comes back from disk."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seesame.cli.compress_options import (
    AUTO,
    HNERV,
    BudgetOption,
    BytesOption,
    ClipsArgument,
    CodecOption,
    InitOption,
    LogOption,
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
from seesame.cli.hints import with_hint
from seesame.cli.limits import (
    ChallengeRuleOption,
    MaxBytesOption,
    MaxPoseOption,
    MaxSegOption,
    leave,
    limit_lines,
    limit_values,
    parse_limits,
)
from seesame.cli.options import (
    Device,
    DeviceOption,
    FpsOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SeedOption,
    SizeOption,
    StackOption,
    check_log,
    parse_duration,
    parse_settings,
    parse_source,
    resolve_device,
)
from seesame.cli.output import notes, print_figures, print_json, print_table
from seesame.cli.progress import stages
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.spec import Job, Outcome


def compress(
    clips: ClipsArgument,
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
    challenge_rule: ChallengeRuleOption = False,
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
    """Compress clips into .ssm files and score what comes back from disk.

    With limits, a classical codec finds the crf that keeps them with the fewest bytes, and a codec
    that trains aims at them. A file that misses a limit is written all the same, and the exit code
    is 4. Ctrl-C while hnerv or hybrid trains writes the best file so far; Ctrl-C again stops at
    once.

    Examples:

    seesame compress drive.mp4 -o drive.ssm --codec hybrid

    seesame compress drive.mp4 -o drive.ssm --codec av1 --max-seg 0.01 --max-seg lane=0.05

    seesame compress drive.mp4 -o drive.ssm --codec auto --budget 10m

    seesame compress a.mp4 b.mp4 -o small/ --codec av1 --max-seg 0.01
    """
    seconds = parse_duration(budget)
    effort = {"preset": preset and preset.value, "budget_s": seconds}
    aim = {"bytes": size_bytes, "pixel_weight": pixel_weight, "resume": resume}
    start = {"transfer_guard": transfer_guard, "init": init and str(init)}
    limits = {"target_score": target_score, "max_seg": max_seg, "max_pose": max_pose}
    limits |= {"max_bytes": max_bytes, "challenge_rule": challenge_rule}
    chosen = codec_settings(codec, effort | aim | start | limits, parse_settings(settings or []))
    bounds, chosen = parse_limits(chosen)
    where = {"stack": stack, "device": resolve_device(device), "seed": seed}
    files = {"overwrite": overwrite, "log": log, "judge": not no_score, "limits": bounds}
    jobs = []
    for clip, target in _targets(clips, out):
        _check_paths(clip, target, overwrite, missing=len(clips) > 1)
        source = parse_source(clip, size, fps)
        jobs.append(_job(source=source, codec=codec, chosen=chosen, out=target, **where, **files))
    _check_log(codec, log, overwrite or resume, len(jobs))
    if len(jobs) == 1 and not out.is_dir():
        outcome = _run(jobs[0], seconds, quiet)
        _print(jobs[0], outcome, json)
        leave([outcome])
        return
    out.mkdir(parents=True, exist_ok=True)
    done = [_attempt(job, seconds, json, quiet) for job in jobs]
    if not json:
        _print_table(done)
    leave([one.outcome for one in done if one.outcome], sum(not one.outcome for one in done))


@dataclass(frozen=True)
class _Done:
    """The outcome of one of several jobs; none where it failed."""

    job: "Job"
    outcome: "Outcome | None"


def _targets(clips: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Return each clip with its output file.

    Raises:
        UserError: the output of several clips is a file, or two of them would have one output.
    """
    if len(clips) == 1 and not out.is_dir():
        return [(clips[0], out)]
    if (out.exists() and not out.is_dir()) or (out.suffix == ".ssm" and not out.is_dir()):
        raise UserError(f"{out}: the output of several clips is a folder")
    targets = [(clip, out / f"{clip.stem}.ssm") for clip in clips]
    twice = {target for _, target in targets if [t for _, t in targets].count(target) > 1}
    if twice:
        raise UserError(f"{min(twice)}: would be the output of two clips; name them apart")
    return targets


def _check_paths(clip: Path, out: Path, overwrite: bool, missing: bool = False) -> None:
    """Refuse, before anything is computed, an output that could not be written in the end.

    Args:
        clip: the source.
        out: the output.
        overwrite: whether it may be there.
        missing: whether it may be in a folder that is yet to be made.
    """
    from seesame.files import check_output

    if out.suffix != ".ssm":
        raise UserError(f"{out}: the output of compress is an .ssm file; name it {out.stem}.ssm")
    if clip.exists() and out.exists() and clip.samefile(out):
        raise UserError(f"{out}: is the clip itself; choose another output")
    if out.parent.exists() or not missing:
        check_output(out, overwrite)


def _check_log(codec: str, log: Path | None, overwrite: bool, clips: int) -> None:
    from seesame.codecs.registry import trained_codecs

    if log is not None:
        trained = trained_codecs()
        if codec not in trained:
            raise UserError(f"--log is for {', '.join(trained)}; --codec {codec} writes none")
        if clips > 1:
            raise UserError("--log is for one clip; with several the work folders hold the logs")
        check_log(log, overwrite)


def _job(codec: str, chosen: dict[str, Any], **more: Any) -> "Job":
    """The job that the flags mean."""
    from seesame.codecs.registry import trained_codecs
    from seesame.jobs.spec import Job

    out: Path = more["out"]
    settings = {name: value for name, value in chosen.items() if name != "transfer_guard"}
    return Job(
        codec=codec,
        settings={} if codec == AUTO else settings,
        guards=tuple(chosen.get("transfer_guard", ())),
        work=out.parent / f"{out.stem}.work" if codec in trained_codecs() else None,
        **more,
    )


def _attempt(job: "Job", seconds: float | None, json: bool, quiet: bool) -> _Done:
    """Do one of several jobs; say on stderr why it failed."""
    try:
        outcome = _run(job, seconds, quiet)
    except (UserError, OSError) as error:
        text = with_hint(error) if isinstance(error, UserError) else str(error)
        print(f"seesame: error: {job.source.path}: {' '.join(text.split())}", file=sys.stderr)
        if json:
            print_json({"clip": job.source.path, "error": text})
        return _Done(job, None)
    _print(job, outcome, json)
    return _Done(job, outcome)


def _run(job: "Job", seconds: float | None, quiet: bool) -> "Outcome":
    told, note = stages(quiet, seconds), notes(quiet)
    if job.codec == AUTO:
        from seesame.jobs.store import Store, store_path
        from seesame.search.choose import compress_automatically
        from seesame.search.tuning import ChoiceTuning

        seconds = seconds or ChoiceTuning().seconds
        told = stages(quiet, seconds)
        return compress_automatically(job, Store(store_path()), seconds, stages=told, note=note)
    from seesame.search.within import do

    return do(job, told, note)


def _print_table(done: Sequence[_Done]) -> None:
    """Print a line for each of several clips."""
    rows = []
    for one in done:
        found = one.outcome
        if found is None:
            rows.append((str(one.job.source.path), "failed", "", ""))
            continue
        judged = found.evaluation is not None
        missed = ", ".join(held.name for held in found.missed) if judged else ""
        kept = f"no: {missed}" if missed else "yes"
        rows.append(
            (
                str(one.job.source.path),
                f"{found.bytes:,}",
                f"{found.figures.seg:.5f}" if judged else "",
                kept if judged and one.job.limits.given else "",
            )
        )
    print_table(("clip", "bytes", "seg", "limits kept"), rows, right=("bytes", "seg"))


def _print(job: "Job", outcome: "Outcome", json: bool) -> None:
    if json:
        print_json(_values(job, outcome))
        return
    assert outcome.path is not None
    print_figures(_figures(job, outcome))
    if outcome.bytes >= outcome.source_bytes:
        print("size   the file is no smaller than its source: keep the source")
    if job.judge and job.limits.given:
        print(*limit_lines(outcome.held, outcome.limits.where), sep="\n")
        if outcome.missed and outcome.advice:
            print(f"try    {outcome.advice}")
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
        **_scaled(outcome),
    }
    evaluation = outcome.evaluation
    if not job.judge or evaluation is None:
        return values
    from seesame.metric.report import frame_values

    values |= {
        "seg": evaluation.score.seg,
        "pose": evaluation.score.pose,
        "score": evaluation.score.total,
        "pairs": evaluation.pairs,
        "stack": evaluation.stack,
        "fingerprint": evaluation.fingerprint,
        "frames": frame_values(evaluation.figures),
        **limit_values(outcome.limits, outcome.held),
    }
    return values | ({"advice": outcome.advice} if outcome.missed and outcome.advice else {})


def _scaled(outcome: "Outcome") -> dict[str, str]:
    """Where the picture is coded at another size than the clip's: at which one."""
    from seesame.codecs.registry import codec_by_id

    found = codec_by_id(outcome.container.codec_id).notes(outcome.container)
    return {name: found[name] for name in ("scaled",) if name in found}


def _figures(job: "Job", outcome: "Outcome") -> dict[str, str]:
    """The outcome for people."""
    from seesame.jobs.roundtrip import describe
    from seesame.metric.report import frame_lines

    figures = {
        "clip": f"{job.source.path}  {describe(outcome.container)}",
        "file": f"{outcome.path}  {outcome.bytes:,} bytes, {outcome.codec}, "
        f"encoded in {outcome.encode_s:.1f} s",
        **_scaled(outcome),
        "rate": f"{outcome.bytes / outcome.source_bytes:.8f}",
    }
    if job.judge:
        score = outcome.score
        figures |= {
            "seg": f"{score.seg:.8f}  on second frames",
            **frame_lines(outcome.figures, digits=8),
            "pose": f"{score.pose:.8f}",
            "score": f"{score.total:.8f}  "
            f"(100*seg + 25*rate + sqrt(10*pose), stack {job.stack}; lower is better)",
        }
    return figures
