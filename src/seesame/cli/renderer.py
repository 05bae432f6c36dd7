"""``seesame renderer``: train, install and list what draws the masks of a stack."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    resolve_device,
)
from seesame.cli.output import notes, print_figures, print_json, print_table
from seesame.cli.progress import stages
from seesame.errors import DamagedError, UserError

if TYPE_CHECKING:
    from seesame.codecs.semantic.shared import SharedRenderer
    from seesame.jobs.renderer import Trained

SUFFIX = ".renderer"
USUAL_BUDGET = "20m"

RendererArgument = Annotated[Path, typer.Argument(metavar="FILE.renderer", help="A renderer.")]
OutOption = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="OUT.renderer", help="The file to write."),
]
DrivesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--drives",
        metavar="DIR",
        help="A clip, or a folder in which clips are looked for; repeatable.",
    ),
]
SyntheticOption = Annotated[
    int,
    typer.Option(
        "--synthetic", metavar="N", min=0, help="Synthetic drives beside your own; 0 for none."
    ),
]
TestOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--test",
        metavar="CLIP",
        help="A clip on which the renderer is tested and never trained; repeatable.",
    ),
]
BudgetOption = Annotated[
    str,
    typer.Option(
        "--budget",
        metavar="TIME",
        help="Time of the training, as 90s or 20m; looking at the drives comes on top.",
    ),
]
StartOption = Annotated[
    Path | None,
    typer.Option(
        "--start",
        metavar="FILE.renderer",
        help="A renderer of the same stack to go on from, instead of from nothing.",
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Go on with a training that was stopped."),
]


def train(
    out: OutOption,
    drives: DrivesOption = None,
    synthetic: SyntheticOption = 80,
    test: TestOption = None,
    budget: BudgetOption = USUAL_BUDGET,
    start: StartOption = None,
    resume: ResumeOption = False,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    seed: SeedOption = 0,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the renderer of a stack, which codec semantic needs, on your drives.

    The stack must be differentiable. Ctrl-C keeps what was learned, and --resume goes on from
    there.

    Examples:

    seesame renderer train --stack onnx:nets --drives recordings/ -o nets.renderer

    seesame renderer train --drives recordings/ --test unseen.mp4 --budget 1h -o lite.renderer
    """
    seconds = parse_duration(budget)
    assert seconds is not None
    if out.suffix != SUFFIX:
        raise UserError(f"{out}: a renderer is a {SUFFIX} file; name it {out.stem}{SUFFIX}")
    named, tests = tuple(drives or ()), tuple(test or ())
    if not named and not synthetic:
        raise UserError("there is nothing to train on: give --drives, or --synthetic above 0")
    from seesame.files import reserved

    inputs = input_files(*named, *tests, start, stacks=[stack])
    with reserved(out, overwrite, inputs=inputs):
        from seesame.codecs.semantic.training.settings import TrainingSettings
        from seesame.jobs import renderer

        settings = TrainingSettings(seconds=seconds, synthetic=synthetic, seed=seed)
        job = renderer.RendererJob(
            stack=stack,
            drives=named,
            out=out,
            settings=settings,
            tests=tests,
            start=start,
            device=resolve_device(device),
            resume=resume,
            overwrite=overwrite,
        )
        found = renderer.train(job, stages(quiet), notes(quiet))
    if json:
        print_json(_trained_values(out, found))
        return
    print_figures(_figures(str(out), found.shared) | _trained_figures(found))
    print(f"next: seesame renderer install {out}")


def install(file: RendererArgument, json: JsonOption = False) -> None:
    """Put a renderer where seesame finds it, for files that name it and for new files."""
    from seesame.codecs.semantic.installed import install

    place = install(file)
    if json:
        print_json({"file": place})
    else:
        print(place)


def list_(json: JsonOption = False) -> None:
    """List the renderers that seesame finds: your own and those of the package."""
    from seesame.codecs.semantic.installed import installed

    rows = []
    for one in installed():
        try:
            values = {"file": one.name, "own": one.own} | _values(one.parsed())
        except DamagedError as error:
            values = {"file": one.name, "own": one.own, "error": str(error)}
        if json:
            print_json(values)
        rows.append(values)
    if not json:
        columns = ("stack", "size", "bytes", "draws", "sha256", "file")
        print_table(columns, [_row(values) for values in rows], right=("bytes",))


def info(file: RendererArgument, json: JsonOption = False) -> None:
    """Describe a renderer: its stack, its networks and its bytes."""
    from seesame.codecs.semantic.shared import SharedRenderer

    shared = SharedRenderer.read(file)
    if json:
        print_json({"file": file} | _values(shared))
    else:
        print_figures(_figures(str(file), shared))


def _row(values: dict[str, Any]) -> tuple[str, ...]:
    if "error" in values:
        return "", "", "", "nothing: it is damaged", "", values["file"]
    size = f"{values['width']}x{values['height']}"
    draws = "pairs" if "carrier" in values["parts"] else "masks"
    digest = values["sha256"][:16]
    return values["stack"], size, f"{values['bytes']:,}", draws, digest, values["file"]


def _values(shared: "SharedRenderer") -> dict[str, Any]:
    height, width = shared.size
    return {
        "sha256": shared.digest,
        "bytes": len(shared.data),
        "stack": shared.stack,
        "fingerprint": shared.fingerprint,
        "classes": list(shared.classes),
        "judged": shared.judged,
        "width": width,
        "height": height,
        "parts": {part.name.lower(): len(data) for part, data in shared.parts.items()},
        "weights": {
            part.name.lower(): sum(p.numel() for p in network.parameters())
            for part, network in shared.networks.items()
        },
    }


def _figures(name: str, shared: "SharedRenderer") -> dict[str, str]:
    values = _values(shared)
    parts = ", ".join(f"{part} {size:,}" for part, size in values["parts"].items())
    weights = ", ".join(f"{part} {count:,}" for part, count in values["weights"].items())
    return {
        "file": f"{name}  {values['bytes']:,} bytes ({parts})",
        "sha256": values["sha256"],
        "stack": f"{values['stack']}  {values['fingerprint']}",
        "classes": ", ".join(values["classes"]),
        "draws": f"{values['width']}x{values['height']}, {values['judged']} pose values judged",
        "weights": weights,
    }


def _trained_figures(found: "Trained") -> dict[str, str]:
    figures = {"trained on": f"{found.masks:,} masks"}
    for one in found.tests:
        figures[f"{one.clip.name}"] = (
            f"{one.mean:.4%} of the pixels seen otherwise, {one.worst:.4%} in the worst of "
            f"{one.masks} masks"
        )
    return figures


def _trained_values(out: Path, found: "Trained") -> dict[str, Any]:
    tests = [
        {"clip": one.clip, "masks": one.masks, "mean": one.mean, "worst": one.worst}
        for one in found.tests
    ]
    return {"file": out} | _values(found.shared) | {"masks": found.masks, "tests": tests}
