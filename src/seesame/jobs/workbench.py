"""Encodes of one clip: each is written, read back from disk, decoded and judged."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from seesame.bitstream.container import Container
from seesame.codecs.base import Codec
from seesame.codecs.registry import codec_by_id, get_codec
from seesame.context import EncodeContext, EncodeMemory, Note, Progress, no_note
from seesame.decoders import named, resolve_device
from seesame.errors import MissingStackError, UserError
from seesame.files import check_output
from seesame.jobs.roundtrip import source_outputs, tell_oddities
from seesame.jobs.spec import Job, Outcome, Settings, Stages, silent
from seesame.jobs.timing import packed_tracks, time_sections
from seesame.metric.evaluator import ReferenceOutputs, evaluate
from seesame.metric.limits import Limits
from seesame.metric.storage.cache import holdable
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack
from seesame.temporary import temporary_folder
from seesame.video.clip import Clip


@dataclass(eq=False)
class Workbench:
    """One clip and one stack, opened once, for any number of encodes.

    The stack's outputs for the source are computed at most once, when first needed, and handed to
    the encoders that use the stack and to the judge. Where they are too much to hold in memory,
    each file is judged side by side with the source instead.

    Args:
        clip: the source.
        stack: the perception networks; None where nothing is judged and no codec needs them.
        device: the torch device where they run.
        path: file or folder of the source, by whose content its outputs are kept on disk; None to
            keep them in memory only.
        cache: keep them on disk at all.
        outputs: what ``stack`` gives for the clip, where that is known.
        guards: further stacks whose outputs a training encode keeps as well.
        challenge_rule: judge the second frames of the pairs for segmentation, not every frame; it
            is the rule of the ``comma`` stack in any case.
        memory: keeps what encodes of the clip have in common; None where only one is made.
        tracks: put the tracks beside the source's video into every file.
        stages: told of every stage, and of its progress.
        note: called with lines that the user should know.
    """

    clip: Clip
    stack: Stack | None = None
    device: str = "cpu"
    path: Path | None = None
    cache: bool = True
    outputs: ReferenceOutputs | None = None
    guards: tuple[Stack, ...] = ()
    challenge_rule: bool = False
    memory: EncodeMemory | None = None
    tracks: bool = False
    stages: Stages = field(default=silent, repr=False)
    note: Note = field(default=no_note, repr=False)

    @classmethod
    def open(cls, job: Job, stages: Stages = silent, note: Note = no_note) -> "Workbench":
        """Open a job's clip and stacks, and set torch's threads if the job says how many.

        Raises:
            UserError: the clip is missing or not readable, or a stack or the device is not there.
            DamagedError: the clip is damaged, or no video.
        """
        if job.threads is not None:
            torch.set_num_threads(job.threads)
        device = resolve_device(job.device)
        clip = job.source.open(device)
        tell_oddities(job.source.path, clip, note)
        return cls(
            clip,
            None if job.stack is None else load_stack(job.stack, device),
            device,
            path=job.source.path,
            cache=job.cache,
            guards=tuple(load_stack(name, device) for name in job.guards),
            tracks=job.tracks,
            challenge_rule=job.limits.challenge_rule,
            stages=stages,
            note=note,
        )

    @property
    def every_frame(self) -> bool:
        """True where every frame is judged for segmentation, False for second frames alone."""
        return not (self.challenge_rule or (self.stack is not None and self.stack.challenge_rule))

    def bound(self, limits: Limits) -> Limits:
        """Return limits by this bench's rule, with the whole names of the stack's classes.

        Raises:
            UserError: a limit on a class that the stack does not have.
        """
        classes = () if self.stack is None else self.stack.classes
        return replace(limits, challenge_rule=not self.every_frame).resolved(classes)

    def reference(self) -> ReferenceOutputs:
        """Return what files are judged against: the stack's outputs for the clip.

        Raises:
            MissingStackError: there is no stack.
            UserError: the clip forms no pair.
            DamagedError: it ends early.
        """
        if self.outputs is not None:
            return self.outputs
        if self.stack is None:
            raise MissingStackError("judging needs perception networks; name a stack")
        if self.clip.num_frames < 2:
            raise UserError(f"{self._name}one frame forms no pair to judge")
        self.outputs = source_outputs(
            self.path,
            self.clip,
            self.stack,
            self.device,
            every_frame=self.every_frame,
            cache=self.cache,
            stages=self.stages,
            note=self.note,
        )
        return self.outputs

    def encode(
        self,
        codec: str,
        settings: Settings,
        *,
        out: Path | None = None,
        overwrite: bool = False,
        judge: bool = True,
        limits: Limits | None = None,
        seed: int = 0,
        work: Path | None = None,
        log: Path | None = None,
        label: str = "",
        progress: Progress | None = None,
    ) -> Outcome:
        """Encode the clip, write the file, read it back from disk and judge it.

        Args:
            codec: name of the codec.
            settings: the codec's own.
            out: the .ssm file; None for a temporary one, which is removed in the end.
            overwrite: replace ``out`` if it is there.
            judge: decode and score the file.
            limits: bounds that the outcome is compared with, and that a codec that trains aims at.
            seed: of every random step.
            work: folder for the checkpoints of a training encode.
            log: file for the log of a training encode.
            label: names the encode in its stages; the codec's name when empty.
            progress: called instead of ``stages``.

        Raises:
            UserError: the codec refuses the settings or the clip, a limit is on no class of the
                stack, or the output cannot be written; nothing is left behind.
            MissingStackError: the codec or the judge needs a stack.
            DamagedError: the clip ends early.
        """
        made = get_codec(codec)
        limits = self.bound(limits or Limits())
        if limits.given:
            settings = made.within(settings, limits)
        if out is not None:
            check_output(out, overwrite)
        if judge and self.clip.num_frames < 2:
            raise UserError(f"{self._name}one frame forms no pair to score; compress it unscored")
        self._check_header()
        needs = made.needs_stack(settings)
        if self.stack is None and (needs or judge):
            what = f"codec {codec}" if needs else "a score"
            raise MissingStackError(f"{what} needs perception networks; name a stack")
        # A pass of the stack over the source that this encode needs is a part of it.
        started = time.monotonic()
        outputs = self._held_outputs() if needs else self.outputs
        advice: list[str] = []
        with self._stage(f"compress {label or codec}", progress) as bar:
            context = EncodeContext(
                stack=self.stack,
                device=self.device,
                seed=seed,
                progress=bar,
                note=self.note,
                advise=advice.append,
                work=work,
                log=log,
                guards=self.guards,
                outputs=outputs,
                started=started,
                memory=self.memory,
            )
            outcome = self._written(made, settings, context, out, overwrite)
        outcome = replace(outcome, limits=limits, advice=", or ".join(advice))
        return self.judged(outcome, label, progress) if judge else outcome

    def judged(
        self, outcome: Outcome, label: str = "", progress: Progress | None = None
    ) -> Outcome:
        """Return the outcome with its figures: its file decoded and compared with the source.

        Raises:
            MissingStackError: there is no stack.
            UserError: the clip forms no pair.
            DamagedError: the clip ends early.
        """
        reference = self.reference()
        assert self.stack is not None
        start = time.perf_counter()
        found = outcome.container
        with self._stage(f"score {label}".rstrip(), progress) as bar:
            evaluation = evaluate(
                reference,
                codec_by_id(found.codec_id).decode(found, self.device),
                self.stack,
                outcome.bytes,
                every_frame=self.every_frame,
                device=self.device,
                progress=bar,
            )
        seconds = time.perf_counter() - start
        return replace(outcome, judge_s=seconds, evaluation=evaluation)

    def _written(
        self,
        codec: Codec,
        settings: Settings,
        context: EncodeContext,
        out: Path | None,
        overwrite: bool,
    ) -> Outcome:
        """Encode, write the file, and read it back from disk."""
        start, cpu = context.started or time.monotonic(), time.process_time()
        tracks = packed_tracks(self.clip, self.note) if self.tracks else b""
        encoded = codec.encode(self.clip, settings, context)
        encoded.sections.update(time_sections(self.clip, tracks))
        with temporary_folder() as folder:
            path = out or folder / "file.ssm"
            size = encoded.write(path, overwrite)
            seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu
            container = Container.read(path)
        return Outcome(
            codec=codec.name,
            settings=dict(settings),
            container=container,
            path=out,
            bytes=size,
            source_bytes=self.clip.source_bytes,
            encode_s=seconds,
            encode_cpu_s=cpu_seconds,
        )

    def _check_header(self) -> None:
        """Refuse, before the encode, a clip whose rate or size has no place in an .ssm file."""
        clip = self.clip
        header = Container(0, clip.width, clip.height, clip.fps, 1, clip.source_bytes, {})
        with nullcontext() if self.path is None else named(self.path):
            header.check()

    @property
    def _name(self) -> str:
        """The source's name as the beginning of a message."""
        return "" if self.path is None else f"{self.path}: "

    def _held_outputs(self) -> ReferenceOutputs | None:
        """The stack's outputs for an encoder; None where there are none or they are too much."""
        if self.clip.num_frames < 2:
            return None
        if self.stack is not None and not holdable(self.clip, self.stack, self.every_frame):
            return None
        return self.reference()

    def _stage(self, label: str, progress: Progress | None) -> AbstractContextManager[Progress]:
        return self.stages(label) if progress is None else nullcontext(progress)


def run_job(job: Job, stages: Stages = silent, note: Note = no_note) -> Outcome:
    """Do one job, from opening the clip to the figures.

    Args:
        job: what to do.
        stages: told of every stage, and of its progress.
        note: called with lines that the user should know.

    Raises:
        UserError: as :meth:`Workbench.open` and :meth:`Workbench.encode`; nothing is left behind.
        DamagedError: the clip is damaged.
    """
    if job.out is not None:
        check_output(job.out, job.overwrite)
    if not get_codec(job.codec).needs_stack(job.settings) and not job.judge:
        job = replace(job, stack=None)  # loading networks takes a while
    bench = Workbench.open(job, stages, note)
    return bench.encode(
        job.codec,
        job.settings,
        out=job.out,
        overwrite=job.overwrite,
        judge=job.judge,
        limits=job.limits,
        seed=job.seed,
        work=job.work,
        log=job.log,
    )
