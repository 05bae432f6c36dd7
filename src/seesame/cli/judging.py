"""Opening a source and a decoded file, and what stacks and judges say of the two."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from seesame.cli.options import open_alike
from seesame.cli.output import notes, print_note
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.spec import Source
    from seesame.metric.evaluator import Evaluation, Watch
    from seesame.metric.judges import Judgement
    from seesame.perception.judge import Judge
    from seesame.perception.stack import Stack
    from seesame.video.clip import Clip


def opened_source(origin: "Source", device: str, quiet: bool) -> "Clip":
    """Return the source clip; oddities of it are told on stderr. Raises UserError."""
    from seesame.jobs.roundtrip import tell_oddities

    source = origin.open(device)
    tell_oddities(origin.path, source, notes(quiet))
    return source


def opened_file(
    file: Path, source: "Clip", compressed: Path | None, device: str, quiet: bool
) -> "tuple[Clip, int]":
    """Return the clip to judge, and the bytes that make the rate.

    Raises:
        UserError: the file cannot be compared with the source frame by frame.
    """
    from seesame.jobs.roundtrip import decode_file, is_ssm, named
    from seesame.metric.evaluator import check_alike

    decoded: Clip
    if is_ssm(file):
        decoded = decode_file(file, device)
        nbytes = file_size(compressed or file)
    else:
        decoded = open_alike(file, source)
        nbytes = file_size(compressed) if compressed else decoded.source_bytes
    with named(file):
        check_alike(source, decoded, as_read=not is_ssm(file))
    if (source.width, source.height) != (decoded.width, decoded.height):
        print_note(
            f"{file}: is scaled, {decoded.width}x{decoded.height} for {source.width}x"
            f"{source.height}; the networks resize what they read",
            quiet,
        )
    return decoded, nbytes


def file_size(path: Path) -> int:
    """Return the bytes of a file. Raises UserError where there is none."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; its size makes the rate")
    return path.stat().st_size


def evaluated(
    reference: Path,
    source: "Clip",
    decoded: "Clip",
    size: int,
    stack: "Stack",
    device: str,
    cache: bool,
    quiet: bool,
    every_frame: bool = False,
    watch: "Watch | None" = None,
) -> "Evaluation":
    """Return what one stack says of the decoded clip, with progress."""
    from seesame.cli.progress import progress, stages
    from seesame.jobs.roundtrip import source_outputs
    from seesame.metric.evaluator import evaluate

    told, note = stages(quiet), notes(quiet)
    known = source_outputs(
        reference,
        source,
        stack,
        device,
        every_frame=every_frame,
        cache=cache,
        stages=told,
        note=note,
    )
    with progress(f"score with {stack.name}", quiet) as bar:
        return evaluate(
            known,
            decoded,
            stack,
            size,
            every_frame=every_frame,
            device=device,
            progress=bar,
            watch=watch,
            as_read=True,
        )


class Judging:
    """The judges of a source's files; what each sees in the source is found once.

    Args:
        source: the clip.
        quiet: show no progress.
    """

    def __init__(self, source: "Clip", quiet: bool) -> None:
        self.source, self.quiet = source, quiet
        self._seen: dict[str, list[Any]] = {}

    def judged(self, judge: "Judge", decoded: "Clip") -> "Judgement":
        """Return what a judge says of a file. Raises UserError."""
        from seesame.cli.progress import progress
        from seesame.metric.judges import judgement, observations

        if judge.fingerprint not in self._seen:
            with progress(f"source {judge.name}", self.quiet) as bar:
                self._seen[judge.fingerprint] = observations(judge, self.source, bar)
        with progress(f"judge with {judge.name}", self.quiet) as bar:
            return judgement(judge, self._seen[judge.fingerprint], decoded, bar)
