"""``seesame contest evaluate``: unpack, inflate, check, score and report a submission."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seesame.cli.options import (
    CacheOption,
    Device,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    parse_duration,
    resolve_device,
)
from seesame.cli.output import print_json

if TYPE_CHECKING:
    from seesame.contest.evaluate import Bench, Result
    from seesame.contest.isolation.limits import Limits as RunLimits

LIMITS = "Limits of inflate.sh"
"""The help panel of the flags that bound the script."""


SubmissionArgument = Annotated[
    Path, typer.Argument(metavar="SUBMISSION", help="Folder with archive.zip and inflate.sh.")
]
VideosOption = Annotated[
    Path, typer.Option("--videos", metavar="DIR", help="Folder of the source videos.")
]
NamesOption = Annotated[
    Path,
    typer.Option(
        "--names",
        metavar="FILE",
        help="Text file with the names of the videos to score, one a line.",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Folder for report.txt and report.json; the submission's own when left out.",
    ),
]
JudgeOption = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar="STACK",
        help="The perception networks that judge; the challenge's own when left out.",
    ),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Number of videos to score at the same time.")
]
WorkOption = Annotated[
    Path | None,
    typer.Option(
        "--work",
        metavar="DIR",
        help="Folder for the raw videos while they are scored; needs space for all of them.",
    ),
]
TimeOption = Annotated[
    str, typer.Option("--time", metavar="TIME", help="Longest wall time.", rich_help_panel=LIMITS)
]
MemoryOption = Annotated[
    float,
    typer.Option(
        "--memory", min=0.1, metavar="GIB", help="Most memory, in GiB.", rich_help_panel=LIMITS
    ),
]
DiskOption = Annotated[
    float,
    typer.Option(
        "--disk",
        min=0.001,
        metavar="GIB",
        help="Most disk space, in GiB; at most what the raw videos and 1 GiB take.",
        rich_help_panel=LIMITS,
    ),
]
ProcessesOption = Annotated[
    int,
    typer.Option("--processes", min=2, help="Most processes at once.", rich_help_panel=LIMITS),
]
IsolationOption = Annotated[
    bool,
    typer.Option(
        "--isolation/--no-isolation",
        help="Run inflate.sh in a sandbox, without the network and the source videos "
        "(needs bubblewrap), or only within the limits.",
        rich_help_panel=LIMITS,
    ),
]


def evaluate(
    submission: SubmissionArgument,
    videos: VideosOption,
    names: NamesOption,
    out: OutOption = None,
    stack: JudgeOption = "comma",
    device: DeviceOption = Device.auto,
    jobs: JobsOption = 1,
    cache: CacheOption = True,
    time: TimeOption = "30m",
    memory: MemoryOption = 16.0,
    disk: DiskOption = 1024.0,
    processes: ProcessesOption = 256,
    isolation: IsolationOption = True,
    work: WorkOption = None,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Evaluate a challenge submission as the official scripts do, safely.

    Unpacks archive.zip, runs inflate.sh within limits, checks that every NAME.raw has the right
    size, scores it against the source and writes report.txt and report.json. A submission that
    fails gets a one-line verdict and exit code 2.

    Example: seesame contest evaluate my_entry --videos videos --names names.txt
    """
    from seesame.contest.evaluate import Bench, loaded_stack
    from seesame.contest.isolation.limits import GIB, Limits
    from seesame.contest.report import write_reports
    from seesame.contest.submission import SubmissionError
    from seesame.contest.videos import open_videos, read_names

    seconds, where = parse_duration(time, "--time"), resolve_device(device)
    folder = out or submission
    with _reserved(folder, overwrite, submission, videos, names):
        # Loaded before inflate.sh runs for half an hour, so that a wrong stack is found now.
        judge = loaded_stack(stack, where)
        found, source_bytes = open_videos(videos, read_names(names))
        bench = Bench(found, source_bytes, videos, stack, where, cache, jobs)
        assert seconds is not None
        limits = Limits(seconds, round(memory * GIB), processes, round(disk * GIB))
        result = _result(submission, bench, limits, isolation, work, quiet)
        config = {"submission_dir": submission, "video_names_file": names}
        text, values = write_reports(
            result, bench, judge, folder, config, isolated=isolation, overwrite=overwrite
        )
    if json:
        print_json(values)
    elif result.total is not None:
        print(text, end="")
    if result.total is None:
        raise SubmissionError(f"{os.fspath(submission)}: not scored: {result.verdict}")


@contextmanager
def _reserved(
    folder: Path, overwrite: bool, submission: Path, videos: Path, names: Path
) -> Iterator[None]:
    """Refuse, before anything runs, reports that could not be written in the end."""
    from seesame.contest.report import report_files
    from seesame.contest.submission import ARCHIVE, SCRIPT
    from seesame.files import check_output, reserved
    from seesame.metric.memory import keep_freed_memory

    keep_freed_memory()
    inside = [path for path in videos.rglob("*") if path.is_file()]
    inputs = [names, submission / ARCHIVE, submission / SCRIPT, *inside]
    text, values = report_files(folder)
    check_output(text, overwrite, inputs=inputs)
    with reserved(values, overwrite, inputs=inputs):
        yield


def _result(
    submission: Path,
    bench: "Bench",
    limits: "RunLimits",
    isolate: bool,
    work: Path | None,
    quiet: bool,
) -> "Result":
    """Run and score the submission, with progress; errors get the flags that help."""
    from seesame.cli.progress import progress
    from seesame.contest.evaluate import evaluate_submission
    from seesame.contest.isolation.sandbox import IsolationError
    from seesame.contest.submission import DiskSpaceError

    try:
        with progress("evaluate", quiet) as bar:
            return evaluate_submission(
                submission, bench, limits, isolate=isolate, work=work, progress=bar
            )
    except IsolationError as error:
        raise IsolationError(f"{error} (--no-isolation)") from error
    except DiskSpaceError as error:
        raise DiskSpaceError(f"{error} (--work DIR)") from error
