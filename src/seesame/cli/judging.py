"""Opening a source and a decoded file, and what stacks and judges say of the two."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seesame.cli.options import open_alike
from seesame.cli.output import notes, print_note
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.spec import Source
    from seesame.metric.evaluator import Evaluation, ReferenceOutputs, Watch
    from seesame.metric.judges import Judgement
    from seesame.perception.judge import Judge
    from seesame.perception.stack import Stack
    from seesame.video.clip import Clip


@dataclass(frozen=True, eq=False)
class Opened:
    """A file to judge.

    Args:
        file: its path.
        clip: what is decoded from it.
        bytes: those that make the rate.
    """

    file: Path
    clip: "Clip"
    bytes: int


class Judging:
    """A source, and what stacks and judges say of its files; each looks at the source once.

    Args:
        origin: where the source is, and how it is read.
        device: where the networks run.
        cache: keep a stack's outputs for the source on disk, and take them from there.
        quiet: show no progress and no notes.

    Raises:
        UserError: the source cannot be read.
    """

    def __init__(self, origin: "Source", device: str, cache: bool, quiet: bool) -> None:
        from seesame.jobs.roundtrip import tell_oddities
        from seesame.metric.memory import keep_freed_memory

        keep_freed_memory()
        self.reference, self.device, self.cache, self.quiet = origin.path, device, cache, quiet
        self.source: Clip = origin.open(device)
        tell_oddities(origin.path, self.source, notes(quiet))
        self._outputs: dict[tuple[int, bool], Clip | ReferenceOutputs] = {}
        self._observations: dict[str, list[Any]] = {}

    def opened(self, file: Path, compressed: Path | None = None) -> Opened:
        """Open a file that is to be judged.

        Args:
            file: the decoded file, or an .ssm file.
            compressed: the file whose size makes the rate; the decoded one when None.

        Raises:
            UserError: the file cannot be compared with the source frame by frame.
        """
        from seesame.jobs.roundtrip import decode_file, is_ssm, named
        from seesame.metric.evaluator import check_alike

        decoded: Clip
        source = self.source
        if is_ssm(file):
            decoded = decode_file(file, self.device)
            nbytes = _file_size(compressed or file)
        else:
            decoded = open_alike(file, source)
            nbytes = _file_size(compressed) if compressed else decoded.source_bytes
        with named(file):
            check_alike(source, decoded, as_read=not is_ssm(file))
        if (source.width, source.height) != (decoded.width, decoded.height):
            print_note(
                f"{file}: is scaled, {decoded.width}x{decoded.height} for {source.width}x"
                f"{source.height}; the networks resize what they read",
                self.quiet,
            )
        return Opened(file, decoded, nbytes)

    def outputs(self, stack: "Stack", every_frame: bool) -> "Clip | ReferenceOutputs":
        """Return a stack's outputs for the source; the source where they are not kept."""
        from seesame.cli.progress import stages
        from seesame.jobs.roundtrip import source_outputs

        key = id(stack), every_frame  # a stack may have no fingerprint
        if key not in self._outputs:
            self._outputs[key] = source_outputs(
                self.reference,
                self.source,
                stack,
                self.device,
                every_frame=every_frame,
                cache=self.cache,
                stages=stages(self.quiet),
                note=notes(self.quiet),
            )
        return self._outputs[key]

    def evaluated(
        self,
        stack: "Stack",
        opened: Opened,
        every_frame: bool,
        watch: "Watch | None" = None,
    ) -> "Evaluation":
        """Return what a stack says of a file, with progress. Raises UserError that names it."""
        from seesame.cli.progress import progress
        from seesame.jobs.roundtrip import named
        from seesame.metric.evaluator import evaluate

        known = self.outputs(stack, every_frame)
        with named(opened.file), progress(f"score with {stack.name}", self.quiet) as bar:
            return evaluate(
                known,
                opened.clip,
                stack,
                opened.bytes,
                every_frame=every_frame,
                device=self.device,
                progress=bar,
                watch=watch,
                as_read=True,
            )

    def judged(self, judge: "Judge", opened: Opened) -> "Judgement":
        """Return what a judge says of a file. Raises UserError that names it."""
        from seesame.cli.progress import progress
        from seesame.jobs.roundtrip import named
        from seesame.metric.judges import judgement, observations

        if judge.fingerprint not in self._observations:
            with progress(f"source {judge.name}", self.quiet) as bar:
                found = observations(judge, self.source, bar)
            self._observations[judge.fingerprint] = found
        with named(opened.file), progress(f"judge with {judge.name}", self.quiet) as bar:
            return judgement(judge, self._observations[judge.fingerprint], opened.clip, bar)

    def transfer(
        self, judge: "Stack | Judge", opened: Opened, every_frame: bool = True
    ) -> "Evaluation | Judgement":
        """Return what another stack or judge than the file's own says of it."""
        from seesame.perception.stack import Stack

        if not isinstance(judge, Stack):
            return self.judged(judge, opened)
        every_frame = every_frame and not judge.challenge_rule
        return self.evaluated(judge, opened, every_frame)


def _file_size(path: Path) -> int:
    """Return the bytes of a file. Raises UserError where there is none."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; its size makes the rate")
    return path.stat().st_size
