"""``seesame demo``: one drive through AV1 and through hnerv, judged from disk, in one table."""

import json as jsonlib
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seesame.cli.compress_options import HNERV, Preset
from seesame.cli.demo_fleet import demo_fleet
from seesame.cli.options import (
    Device,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SeedOption,
    StackOption,
    input_files,
    parse_duration,
    parse_size,
    resolve_device,
)
from seesame.cli.output import print_json, print_table
from seesame.cli.progress import stages
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.demo import Row
    from seesame.jobs.workbench import Workbench

DRIVE_SIZE, DRIVE_SECONDS = (1164, 874), 10.0
"""Width and height, and length, of the synthetic drive."""
COLUMNS = ("codec", "bytes", "seg", "pose", "rate", "score", "encode s", "decode fps")

ClipOption = Annotated[
    Path | None,
    typer.Option("--clip", metavar="CLIP", help="Your own clip instead of the synthetic drive."),
]
SecondsOption = Annotated[
    float | None,
    typer.Option(
        "--seconds", min=0.2, max=600, help="Length of the synthetic drive; 10 when left out."
    ),
]
DriveSizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="WxH",
        help="Frame size of the synthetic drive; 1164x874 when left out.",
    ),
]
FolderOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for everything that is made.")
]
PresetOption = Annotated[
    Preset, typer.Option("--preset", help="Effort of hnerv; draft takes about 2 minutes.")
]
BudgetOption = Annotated[
    str | None,
    typer.Option("--budget", metavar="TIME", help="Training time of hnerv, as 90s or 20m."),
]
FleetOption = Annotated[
    bool,
    typer.Option(
        "--fleet",
        help="Instead of one drive, a batch of twelve small ones: it is killed, goes on, and gets "
        "a page.",
    ),
]


def demo(
    fleet: FleetOption = False,
    clip: ClipOption = None,
    seconds: SecondsOption = None,
    size: DriveSizeOption = None,
    out: FolderOption = Path("seesame-demo"),
    preset: PresetOption = Preset.draft,
    budget: BudgetOption = None,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    seed: SeedOption = 0,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compress ten seconds of a synthetic drive with AV1 and with hnerv, and compare.

    Everything is scored from the files on disk. DIR gets the source, the compressed files, demo.png
    (the decoded pictures, the classes that the stack finds in them, and where these differ from
    the source's) and demo.json. With --fleet a batch of small clips is shown instead; the outputs
    and report.html are in DIR/small.
    """
    frame_size, budget_s = parse_size(size), parse_duration(budget)
    if fleet:
        if clip is not None or size or seconds is not None or budget or preset != Preset.draft:
            raise UserError("--fleet takes no flags of the demo of one clip")
        where = resolve_device(device)
        plain = {"json": json, "overwrite": overwrite, "quiet": quiet}
        demo_fleet(out, stack=stack, device=where, seed=seed, **plain)
        return
    if clip is not None and (size is not None or seconds is not None):
        raise UserError(f"--size and --seconds are for the synthetic drive; {clip} has its own")
    hnerv = {"preset": preset.value} | ({} if budget_s is None else {"budget_s": budget_s})
    label = f"hnerv {preset.value}"
    with _folder(out, label, overwrite, clip, input_files(clip, stacks=[stack])):
        from seesame.decoders import open_clip
        from seesame.jobs.demo import compare, render_drive
        from seesame.jobs.workbench import Workbench
        from seesame.perception.registry import load_stack

        told, where = stages(quiet), resolve_device(device)
        nets, path = load_stack(stack, where), clip or out / "source.mkv"
        if clip is None:
            with told("render the drive") as bar:
                length = DRIVE_SECONDS if seconds is None else seconds
                render_drive(path, frame_size or DRIVE_SIZE, length, seed, overwrite, bar)
        bench = Workbench(open_clip(path), nets, where, path, cache=False, stages=told)
        rows = compare(bench, HNERV, hnerv, label, out, seed=seed, overwrite=overwrite)
        _write(out, bench, rows, overwrite)
    _print(out, bench, rows, json)


@contextmanager
def _folder(
    out: Path, label: str, overwrite: bool, clip: Path | None, inputs: list[Path]
) -> Iterator[None]:
    """Make the output folder and keep it from other runs; remove it again if it stays empty."""
    from seesame.files import check_output, reserved
    from seesame.jobs.demo import file_names

    there = out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with reserved(out / "demo.json", overwrite, inputs=inputs):
            names = ["demo.png", *file_names(label), *(["source.mkv"] if clip is None else [])]
            for name in names:
                check_output(out / name, overwrite, inputs=inputs)
            yield
    finally:
        if not there and not any(out.iterdir()):
            out.rmdir()


def _write(out: Path, bench: "Workbench", rows: "list[Row]", overwrite: bool) -> None:
    """Write the picture and the table."""
    from seesame.cli.picture import draw_rows
    from seesame.files import replacing, write_text

    assert bench.path is not None
    with replacing(out / "demo.png", overwrite) as temporary:
        draw_rows(temporary, bench, rows)
    lines = [jsonlib.dumps(row.values(bench.path.name), allow_nan=False) for row in rows]
    with replacing(out / "demo.json", overwrite) as temporary:
        write_text(temporary, "\n".join(lines) + "\n")


def _print(out: Path, bench: "Workbench", rows: "list[Row]", json: bool) -> None:
    from seesame.jobs.demo import DemoSettings
    from seesame.jobs.roundtrip import describe

    assert bench.path is not None
    values = [row.values(bench.path.name) for row in rows]
    if json:
        for line in values:
            print_json(line)
        return
    settings = DemoSettings()
    rendered = f" (rendered, then x264 at crf {settings.source_crf})"
    made = rendered if bench.path.parent == out else ""
    print(f"source  {bench.path}{made}  {describe(bench.clip)}")
    print_table(COLUMNS, [cells(line) for line in values], right=COLUMNS[1:])
    print(f"AV1 is the best of {len(settings.av1)} settings. Lower is better everywhere but fps.")
    print(f"picture {out / 'demo.png'}")
    print("next: " + shlex.join(["seesame", "info", str(rows[-1].path)]))


def cells(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the table's cells from one line of demo.json."""
    return (
        values["label"],
        f"{values['bytes']:,}",
        f"{values['seg']:.5f}",
        f"{values['pose']:.5f}",
        f"{values['rate']:.5f}",
        f"{values['score']:.3f}",
        f"{values['encode_s']:.1f}",
        f"{values['decode_fps']:.0f}",
    )
