"""One file within limits of a codec that does not train: its quality is found."""

import time
from dataclasses import replace

from seesame.codecs.av.settings import FAMILY
from seesame.codecs.registry import codec_name, get_codec
from seesame.context import EncodeMemory, Note, Progress, no_note
from seesame.errors import UserError
from seesame.files import check_output
from seesame.jobs.spec import Job, Outcome, Settings, Stages, silent
from seesame.jobs.trial import Trial
from seesame.jobs.workbench import Workbench, run_job
from seesame.metric.limits import Limits
from seesame.search.space import complete
from seesame.search.within.cheapest import CheapestTuning, cheapest


def finds_quality(codec: str, settings: Settings, limits: Limits) -> bool:
    """Return whether limits choose a codec's quality: it has one, which no setting fixes."""
    quality = get_codec(codec).quality
    return limits.given and quality is not None and quality.fixed_by(settings) is None


class _Told:
    """Turns the progress of one encode, and of judging its file, into that of at most so many."""

    def __init__(self, bar: Progress, number: int, most: int) -> None:
        self.bar, self.number, self.most = bar, number, most
        self.done, self.judging = 0.0, False

    def __call__(self, share: float, text: str) -> None:
        self.judging = self.judging or share < self.done
        self.done = share
        whole = self.number + (0.5 + share / 2 if self.judging else share / 2)
        self.bar(min(1.0, whole / self.most), f"encode {self.number + 1}: {text}")


def encode_within(
    bench: Workbench,
    codec: str,
    settings: Settings,
    limits: Limits,
    *,
    seed: int = 0,
    start: int | None = None,
    progress: Progress,
    tuning: CheapestTuning = CheapestTuning(),
) -> Outcome:
    """Encode a clip with the quality that keeps limits with the fewest bytes.

    Args:
        bench: the clip and the perception networks.
        codec: name of a codec that has a quality.
        settings: its settings, without that one.
        limits: what the file has to keep.
        seed: of every random step.
        start: the quality to begin with; the codec's usual one when None.
        progress: called with the share done and a short text.
        tuning: of the search.

    Returns:
        The best file, read back from disk and judged; the nearest one where none keeps the limits,
        with what would help. Its path is None.

    Raises:
        MissingStackError: the bench has no stack.
        UserError: the codec refuses the settings or the clip, or a limit is on no class.
        DamagedError: the clip ends early.
    """
    name, quality = codec_name(codec), get_codec(codec).quality
    assert quality is not None
    bound, started = bench.bound(limits), time.monotonic()
    bench = replace(bench, memory=bench.memory or EncodeMemory())
    bench.reference()
    made: dict[int, Outcome] = {}

    def measure(value: int) -> Trial:
        told = _Told(progress, len(made), tuning.most)
        wanted = {**settings, quality.setting: value}
        made[value] = one = bench.encode(name, wanted, limits=limits, seed=seed, progress=told)
        what = f"seg {one.figures.seg:.5f}, {one.bytes:,} bytes"
        progress(len(made) / tuning.most, f"{quality.setting} {value}: {what}")
        return Trial.of(one)

    first = quality.usual if start is None else start
    best = cheapest(measure, bound, quality.values, first, tuning)
    outcome = made[best.settings[quality.setting]]
    advice = _advice(outcome, made) if outcome.missed else ""
    return replace(outcome, encode_s=time.monotonic() - started, advice=advice)


def _advice(outcome: Outcome, made: dict[int, Outcome]) -> str:
    """Return what would help where no quality keeps the limits."""
    distortion = [one.name for one in outcome.missed if one.name != "bytes"]
    if not distortion:
        return f"--max-bytes {outcome.bytes}"
    kept = [one for one in made.values() if all(held.name == "bytes" for held in one.missed)]
    if kept:
        least = min(one.bytes for one in kept)
        return f"--max-bytes {least}, with which the other limits are kept"
    if outcome.codec in FAMILY and complete(outcome.codec, outcome.settings)["scale"] < 1:
        return "--set scale=1"
    return "--codec hybrid, or higher limits"


def compress_within(job: Job, stages: Stages = silent, note: Note = no_note) -> Outcome:
    """Write the file of a job whose limits choose the quality of its codec.

    Args:
        job: the clip, the stack, the codec and the output; its limits are what the file has to
            keep, by the quality that is found for it.
        stages: told of every stage, and of its progress.
        note: called with lines that the user should know.

    Raises:
        UserError: as :func:`encode_within`, or the output cannot be written.
        DamagedError: the clip is damaged.
    """
    if not job.judge:
        raise UserError("limits need a score: without one nothing says which quality keeps them")
    if job.out is not None:
        check_output(job.out, job.overwrite)
    bench = Workbench.open(job, stages, note)
    bench.reference()
    with stages(f"compress {job.codec}") as bar:
        return write_within(bench, job, bar)


def write_within(
    bench: Workbench,
    job: Job,
    progress: Progress,
    start: int | None = None,
    tuning: CheapestTuning = CheapestTuning(),
) -> Outcome:
    """Write the file of a job, as :func:`encode_within` finds it, to the job's output, if any.

    Args:
        bench: the clip and the perception networks.
        job: what to do.
        progress: called with the share done and a short text.
        start: the quality to begin with; the codec's usual one when None.
        tuning: of the search.

    Raises:
        UserError: as :func:`encode_within`, or the output cannot be written.
        DamagedError: the clip is damaged.
    """
    best = encode_within(
        bench,
        job.codec,
        job.settings,
        job.limits,
        seed=job.seed,
        start=start,
        progress=progress,
        tuning=tuning,
    )
    size = best.bytes
    if job.out is not None:
        size = best.container.write(job.out, job.overwrite)
    return replace(best, path=job.out, bytes=size)


def do(job: Job, stages: Stages = silent, note: Note = no_note) -> Outcome:
    """Do a job: its limits choose the quality that the user left open, where the codec has one.

    Raises:
        UserError: as :func:`compress_within` and :func:`~seesame.jobs.workbench.run_job`.
        DamagedError: the clip is damaged.
    """
    if finds_quality(job.codec, job.settings, job.limits):
        return compress_within(job, stages, note)
    outcome = run_job(job, stages, note)
    quality = get_codec(outcome.codec).quality
    if quality is not None and job.judge and outcome.missed:
        fixed = quality.fixed_by(job.settings)
        advice = f"no --set {fixed}=…: the {quality.setting} that keeps the limits is then found"
        return replace(outcome, advice=advice)
    return outcome
