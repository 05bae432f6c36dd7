"""``seesame demo``: one drive through AV1 and through hnerv, judged from disk, in one table."""

import json as jsonlib
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seesame.cli.compress import HNERV, Preset
from seesame.cli.options import (
    Device,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SeedOption,
    StackOption,
    parse_duration,
    parse_size,
    resolve_device,
)
from seesame.cli.output import print_json, print_table
from seesame.cli.progress import progress
from seesame.jobs.roundtrip import (
    Encoded,
    counted,
    decode_file,
    describe,
    encode_file,
    judge_file,
    open_source,
)

if TYPE_CHECKING:
    from seesame.context import EncodeContext
    from seesame.metric.evaluator import Evaluation, ReferenceOutputs
    from seesame.perception.stack import Stack
    from seesame.video.clip import Clip

AV1 = "svtav1"
AV1_SETTINGS: tuple[dict[str, Any], ...] = (
    {"crf": 40, "scale": 0.5},
    {"crf": 47, "scale": 0.5},
    {"crf": 54, "scale": 0.5},
)
"""AV1 is given its better settings: three qualities at half the size; the best is shown."""
SOURCE_CRF = 17
"""x264's quality of the rendered source: about 30 KB a frame, as the challenge's camera writes."""
COLUMNS = ("codec", "bytes", "seg", "pose", "rate", "score", "encode s", "decode fps")


@dataclass(frozen=True)
class Row:
    """One codec's line of the table."""

    label: str
    encoded: Encoded
    settings: Mapping[str, Any]
    evaluation: "Evaluation"
    decode_fps: float = 0.0


def demo(
    clip: Annotated[
        Path | None,
        typer.Option(
            "--clip", metavar="CLIP", help="Your own clip instead of the synthetic drive."
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.2, max=600, help="Length of the synthetic drive.")
    ] = 10.0,
    size: Annotated[
        str, typer.Option("--size", metavar="WxH", help="Frame size of the synthetic drive.")
    ] = "1164x874",
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for everything that is made.")
    ] = Path("seesame-demo"),
    preset: Annotated[
        Preset, typer.Option("--preset", help="Effort of hnerv; draft takes about 2 minutes.")
    ] = Preset.draft,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="Training time of hnerv, as 90s or 20m."),
    ] = None,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    seed: SeedOption = 0,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compress ten seconds of synthetic drive with AV1 and with hnerv, and compare.

    Everything is scored from the files on disk. DIR gets the source, the
    compressed files, demo.png (what came back, what the stack sees, where it
    differs) and demo.json.
    """
    hnerv: dict[str, Any] = {"preset": preset.value}
    if budget is not None:
        hnerv["budget_s"] = parse_duration(budget)
    frame_size = parse_size(size)
    assert frame_size is not None
    with _folder(out, overwrite):
        from seesame.context import EncodeContext
        from seesame.metric.evaluator import reference_outputs
        from seesame.perception.registry import load_stack

        where = resolve_device(device)
        eyes = load_stack(stack, where)
        path = clip or _render(out, frame_size, seconds, seed, overwrite, quiet)
        source = open_source(path)
        with progress("look at the source", quiet) as bar:
            reference = reference_outputs(source, eyes, device=where, progress=bar)
        context = EncodeContext(eyes, where, seed)
        shop = _Shop(source, reference, eyes, context, out, overwrite, quiet)
        rows = [shop.best_av1(), shop.run(HNERV, hnerv, f"hnerv {preset.value}")]
        rows = [replace(row, decode_fps=_decode_fps(row.encoded.path, where)) for row in rows]
        _draw(out, path, source, rows, eyes, where, overwrite)
        _write_json(out, path, source, rows, overwrite)
    _print(out, path, source, rows, json)


@dataclass
class _Shop:
    """Encodes the one source in several ways and judges each."""

    source: "Clip"
    reference: "ReferenceOutputs"
    stack: "Stack"
    context: "EncodeContext"
    out: Path
    overwrite: bool
    quiet: bool

    def run(self, codec: str, settings: dict[str, Any], label: str) -> Row:
        path = self.out / f"{label.replace(' ', '-')}.ssm"
        encoded = encode_file(
            self.source,
            path,
            codec,
            settings,
            self.context,
            overwrite=self.overwrite,
            quiet=self.quiet,
        )
        evaluation = judge_file(
            self.reference,
            path,
            self.stack,
            self.context.device,
            quiet=self.quiet,
            label=f"score {label}",
        )
        return Row(label, encoded, settings, evaluation)

    def best_av1(self) -> Row:
        """The best of a few AV1 settings, by score."""
        rows = [
            self.run(AV1, settings, f"AV1 crf {settings['crf']} scale {settings['scale']}")
            for settings in AV1_SETTINGS
        ]
        return min(rows, key=lambda row: row.evaluation.score.total)


@contextmanager
def _folder(out: Path, overwrite: bool) -> Iterator[None]:
    """Make the output folder; take it away again when nothing was put into it."""
    from seesame.files import check_output

    if out.exists():
        for name in ("demo.png", "demo.json", "source.mkv"):
            check_output(out / name, overwrite)
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if made and not any(out.iterdir()):
            out.rmdir()


def _render(
    out: Path,
    size: tuple[int, int],
    seconds: float,
    seed: int,
    overwrite: bool,
    quiet: bool,
) -> Path:
    """The synthetic drive as a file, so that the rate has an honest denominator."""
    from seesame.scene import SceneClip, SceneConfig
    from seesame.video.writer import write_clip

    config = SceneConfig(width=size[0], height=size[1], seed=seed)
    scene = SceneClip(config, max(2, round(seconds * config.fps)))
    path = out / "source.mkv"
    with progress("render the drive", quiet) as bar:
        write_clip(
            path,
            counted(scene, bar),
            fps=scene.fps,
            width=scene.width,
            height=scene.height,
            crf=SOURCE_CRF,
            overwrite=overwrite,
        )
    return path


def _decode_fps(path: Path, device: str) -> float:
    """Frames a second of one whole decode, parsing included, nothing else running."""
    start = time.perf_counter()
    frames = sum(len(batch) for batch in decode_file(path, device).batches(16))
    return frames / (time.perf_counter() - start)


def _draw(
    out: Path,
    path: Path,
    source: "Clip",
    rows: list[Row],
    stack: "Stack",
    device: str,
    overwrite: bool,
) -> None:
    from seesame.cli.picture import Shown, draw
    from seesame.files import replacing

    index = source.num_frames // 4 * 2 + 1
    shown = [
        Shown(
            row.label,
            f"{row.encoded.bytes:,} bytes · seg {row.evaluation.score.seg:.2%} · "
            f"score {row.evaluation.score.total:.3f}",
            decode_file(row.encoded.path, device),
        )
        for row in rows
    ]
    with replacing(out / "demo.png", overwrite) as temporary:
        title = f"{path.name}, {describe(source)}; frame {index}, stack {stack.name}"
        draw(temporary, title, source, shown, index, stack, device)


def _row_values(path: Path, source: "Clip", row: Row) -> dict[str, Any]:
    score = row.evaluation.score
    return {
        "clip": path.name,
        "width": source.width,
        "height": source.height,
        "fps": float(source.fps),
        "num_frames": source.num_frames,
        "source_bytes": source.source_bytes,
        "stack": row.evaluation.stack,
        "label": row.label,
        "codec": row.encoded.codec,
        "settings": dict(row.settings),
        "file": row.encoded.path.name,
        "bytes": row.encoded.bytes,
        "seg": score.seg,
        "pose": score.pose,
        "rate": score.rate,
        "score": score.total,
        "encode_s": row.encoded.seconds,
        "decode_fps": row.decode_fps,
    }


def _write_json(out: Path, path: Path, source: "Clip", rows: list[Row], overwrite: bool) -> None:
    from seesame.files import replacing

    lines = [jsonlib.dumps(_row_values(path, source, row), allow_nan=False) for row in rows]
    with replacing(out / "demo.json", overwrite) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _print(out: Path, path: Path, source: "Clip", rows: list[Row], json: bool) -> None:
    if json:
        for row in rows:
            print_json(_row_values(path, source, row))
        return
    made = "" if path.parent != out else f" (rendered, then x264 at crf {SOURCE_CRF})"
    print(f"source  {path}{made}  {describe(source)}")
    print_table(COLUMNS, [cells(_row_values(path, source, row)) for row in rows], right=COLUMNS[1:])
    print(f"AV1 is the best of {len(AV1_SETTINGS)} settings. Lower is better everywhere but fps.")
    print(f"picture {out / 'demo.png'}")
    print("next: " + shlex.join(["seesame", "info", str(rows[-1].encoded.path)]))


def cells(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The table's cells from one line of demo.json."""
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
