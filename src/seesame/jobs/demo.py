"""The demo: one drive through AV1 and through a trained codec, each judged from disk."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seesame.context import Progress, no_progress
from seesame.decoders import counted, decode_file
from seesame.jobs.spec import Outcome, Settings
from seesame.jobs.workbench import Workbench
from seesame.scene import SceneClip, SceneConfig
from seesame.video.clip import Clip
from seesame.video.writing.writer import write_clip


@dataclass(frozen=True)
class DemoSettings:
    """The codecs that the demo compares, and the source that it renders.

    Args:
        av1: settings of AV1, of which the best by score is shown, so that it gets its better side:
            three qualities at half the size.
        source_crf: x264's quality of the rendered source, about 30 KB a frame, as the challenge's
            camera writes.
        batch: frames decoded at once when the decoder is timed.
    """

    av1: tuple[Mapping[str, Any], ...] = (
        {"crf": 40, "scale": 0.5},
        {"crf": 47, "scale": 0.5},
        {"crf": 54, "scale": 0.5},
    )
    source_crf: int = 17
    batch: int = 16


@dataclass(frozen=True)
class Row:
    """One codec's line of the table.

    Args:
        label: names the codec and its settings.
        outcome: its file and figures.
        decode_fps: frames decoded in a second.
    """

    label: str
    outcome: Outcome
    decode_fps: float

    @property
    def path(self) -> Path:
        """The file."""
        assert self.outcome.path is not None
        return self.outcome.path

    def values(self, clip: str) -> dict[str, Any]:
        """Return the line as plain values; ``clip`` is the source's name."""
        container, score = self.outcome.container, self.outcome.score
        assert self.outcome.evaluation is not None
        return {
            "clip": clip,
            "width": container.width,
            "height": container.height,
            "fps": float(container.fps),
            "num_frames": container.num_frames,
            "source_bytes": self.outcome.source_bytes,
            "stack": self.outcome.evaluation.stack,
            "label": self.label,
            "codec": self.outcome.codec,
            "settings": dict(self.outcome.settings),
            "file": self.path.name,
            "bytes": self.outcome.bytes,
            "seg": score.seg,
            "pose": score.pose,
            "rate": score.rate,
            "score": score.total,
            "encode_s": self.outcome.encode_s,
            "decode_fps": self.decode_fps,
        }


def render_drive(
    path: Path,
    size: tuple[int, int],
    seconds: float,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = no_progress,
    settings: DemoSettings = DemoSettings(),
) -> None:
    """Render the synthetic drive into a file, so that the rate has an honest denominator.

    Args:
        path: the output, an .mkv or .mp4.
        size: ``(width, height)``.
        seconds: length.
        seed: of the scene.
        overwrite: replace a file that is there.
        progress: called with the share done and a short text.
        settings: of the demo.

    Raises:
        UserError: the output is there already or cannot be written.
    """
    config = SceneConfig(width=size[0], height=size[1], seed=seed)
    scene = SceneClip(config, max(2, round(seconds * config.fps)))
    write_clip(
        path,
        counted(scene, progress),
        fps=scene.fps,
        width=scene.width,
        height=scene.height,
        crf=settings.source_crf,
        overwrite=overwrite,
    )


def compare(
    bench: Workbench,
    codec: str,
    codec_settings: Settings,
    label: str,
    folder: Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    settings: DemoSettings = DemoSettings(),
) -> list[Row]:
    """Compress a clip with AV1 and with another codec, and judge both.

    Args:
        bench: the clip and the stack.
        codec: the other codec.
        codec_settings: its settings.
        label: its name in the table and, with hyphens, of its file.
        folder: for the files.
        seed: of every random step.
        overwrite: replace files that are there.
        settings: of the demo.

    Returns:
        The best of the AV1 files by score, then the other codec's.

    Raises:
        UserError: bad settings, a clip that forms no pair, or files that cannot be written.
        DamagedError: the clip ends early.
    """

    def made(codec: str, chosen: Settings, label: str) -> tuple[str, Outcome]:
        out = folder / _file_name(label)
        outcome = bench.encode(codec, chosen, out=out, overwrite=overwrite, seed=seed, label=label)
        return label, outcome

    bench.reference()  # once, before any time is taken
    av1 = [made("svtav1", one, _av1_label(one)) for one in settings.av1]
    best = min(av1, key=lambda one: one[1].score.total)
    return [
        Row(label, outcome, _decode_fps(outcome, bench.device, settings.batch))
        for label, outcome in (best, made(codec, codec_settings, label))
    ]


def file_names(label: str, settings: DemoSettings = DemoSettings()) -> list[str]:
    """Return the names of the .ssm files that :func:`compare` writes."""
    return [_file_name(name) for name in (*map(_av1_label, settings.av1), label)]


def _file_name(label: str) -> str:
    return f"{label.replace(' ', '-')}.ssm"


def _av1_label(one: Settings) -> str:
    return f"AV1 crf {one['crf']} scale {one['scale']}"


def _decode_fps(outcome: Outcome, device: str, batch: int) -> float:
    """Frames a second of one whole decode, parsing included, nothing else running."""
    assert outcome.path is not None
    start = time.perf_counter()
    clip: Clip = decode_file(outcome.path, device)
    frames = sum(len(frames) for frames in clip.batches(batch))
    return frames / (time.perf_counter() - start)
