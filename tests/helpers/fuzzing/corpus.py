"""The sound files that cases are made from: golden files, and small ones of seesame's writers."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import fake_stack
import numpy as np
import small_semantic
import torch
from random_files import random_corrections, random_hybrid
from videos import make_frames, make_video

from fuzzing.ssm import Ssm, as_part, joined
from seesame.bitstream.container import Container, Section
from seesame.bitstream.stamps import pack_times
from seesame.bitstream.varint import pack_varint
from seesame.codecs.base import container_for
from seesame.codecs.hnerv.architecture import Architecture, pack_architecture
from seesame.codecs.hnerv.representation import LATENTS, Representation
from seesame.codecs.registry import get_codec
from seesame.codecs.semantic.labels import read_labels
from seesame.codecs.semantic.masks.coder import encode_masks
from seesame.codecs.semantic.sections import read_head
from seesame.codecs.semantic.shared import SharedRenderer
from seesame.context import EncodeContext
from seesame.neural.weights.pack import pack_stream, pack_weights
from seesame.video.clip import ArrayClip

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
CODECS = ("copy", "x264", "x265", "svtav1", "vp9", "hnerv", "hybrid", "segments", "semantic")
FOLDER = Path(__file__).resolve().parents[2] / "fuzz" / "corpus"
"""The corpus. It is kept, since encoders do not always give the same bytes, and cases depend on it.
``python -m fuzzing.corpus`` makes it anew."""
RENDERERS = "renderers"
"""Folder of the corpus with the shared renderers that semantic files name."""
_AV = {
    "x264": ({"crf": 40}, {"crf": 45, "depth": 10, "sharpen": 0.5}, {"crf": 40, "bframes": 2}),
    "x265": ({"crf": 40}, {"crf": 45, "scale": 0.5, "up": "area"}),
    "svtav1": ({"crf": 50, "preset": 10}, {"crf": 50, "preset": 10, "depth": 10, "scale": 0.5}),
    "vp9": ({"crf": 50}, {"crf": 50, "scale": 0.5, "up": "nearest", "sharpen": 1.0}),
}


def build(folder: Path) -> None:
    """Write the corpus into an empty folder: ``CODEC-NUMBER.ssm`` files and renderers."""
    torch.manual_seed(0)
    renderers = folder / RENDERERS
    shutil.copytree(GOLDEN / "semantic" / "renderers", renderers)
    shared = small_semantic.small_renderer()
    own = renderers / "small.renderer"
    shared.write(own)
    made: dict[str, list[Ssm]] = {name: [] for name in CODECS}
    for path in sorted(GOLDEN.glob("*/*.ssm")):
        container = Container.read(path)
        if path.parent.name != "bitstream":
            made[_name(container)].append(Ssm.of(container))
    for container in (*_classical(), *_copied(folder), *_trained(), *_semantic(shared, own)):
        made[_name(container)].append(Ssm.of(container))
    made["segments"] += _segments(made)
    for name, files in made.items():
        for number, one in enumerate(files):
            (folder / f"{name}-{number}.ssm").write_bytes(one.to_bytes())


def _name(container: Container) -> str:
    return next(name for name in CODECS if get_codec(name).codec_id == container.codec_id)


def _clip(frames: int = 5, size: tuple[int, int] = (48, 64)) -> ArrayClip:
    return ArrayClip(make_frames(frames, *size), Fraction(25), 50_000)


def _classical() -> Iterator[Container]:
    for name, wishes in _AV.items():
        for number, settings in enumerate(wishes):
            wanted = {"scale": 1.0, "threads": 1, **settings}
            made = get_codec(name).encode(_clip(), wanted, EncodeContext())
            if not number:
                pts = [0, 40, 81, 120, 161]
                times = pack_times(pts, Fraction(1, 1000), 40, made.fps)
                made = replace(made, sections=made.sections | {Section.TIMES: times})
            yield made


def _copied(folder: Path) -> Iterator[Container]:
    """Yield copies of files in the formats whose bytes seesame looks at, and in some more."""
    frames = make_frames(4, 64, 64)  # x265 breaks its heap at smaller sizes
    kinds = (".mp4", ".mov", ".mkv", ".ts", ".h264", ".hevc", ".avi", ".webm", ".raw", ".png")
    for suffix in kinds:
        path = folder / f"copied{suffix}"
        if suffix == ".raw":
            path.write_bytes(frames[:, :16, :16].tobytes())
        elif suffix == ".png":
            path = make_video(path.with_suffix(".mov"), frames[:2], "png", "rgb24")
        else:
            codec = {".hevc": "libx265", ".webm": "libvpx-vp9"}.get(suffix, "libx264")
            quiet = {"x265-params": "log-level=none"} if suffix == ".hevc" else {}
            path = make_video(
                path, frames, codec, encoder={"g": "2", "threads": "1", **quiet}, fflags="+bitexact"
            )
        stream = pack_varint(len(path.suffix)) + path.suffix.encode() + path.read_bytes()
        count = 2 if suffix == ".png" else 4
        shown = frames[:count, :16, :16] if suffix == ".raw" else frames[:count]
        clip = ArrayClip(shown, Fraction(25), path.stat().st_size)
        path.unlink()
        yield container_for(clip, 0, {Section.STREAM: stream})


def _trained() -> Iterator[Container]:
    clip = ArrayClip(fake_stack.tiny_clip(5, (48, 64)).frames, Fraction(25), 50_000)
    for render, channels in (((24, 32), (2, 2, 2, 2, 2)), ((48, 64), (3, 3, 2, 2, 2))):
        shape = Architecture(render, 2, channels)
        network = Representation(shape, 3)
        network.start_quantising()
        weights, streams = network.symbols()
        yield container_for(
            clip,
            get_codec("hnerv").codec_id,
            {
                Section.MODEL: pack_architecture(shape),
                Section.WEIGHTS: pack_weights(weights, network.specs),
                Section.LATENTS: pack_stream(streams[LATENTS]),
                Section.SIDECAR: random_corrections(3),
            },
        )
    for base in ("x264", "x265", "svtav1", "vp9"):
        yield random_hybrid(clip, base, scale=1.0, crf=40)
    settings = {"base": "x264", "network": False, "sidecar": False, "steps": 1, "base.crf": 40}
    context = EncodeContext(stack=fake_stack.FakeStack((40, 50)))
    yield get_codec("hybrid").encode(clip, settings, context)


def _semantic(shared: SharedRenderer, own: Path) -> Iterator[Container]:
    """Yield files with the shared renderer, with their own, and without codes."""
    stack = small_semantic.SmallStack()
    for number in range(4):
        clip = small_semantic.small_clip(3 if number else 8, (48, 64), number)
        settings = {"renderer": str(own), "every_frame": number == 1}
        made = get_codec("semantic").encode(clip, settings, EncodeContext(stack=stack))
        if number:  # of few pixels, since masks take the most time
            head = replace(read_head(made), size=(12, 16), changed=0)
            masks = np.stack(list(read_labels(made)))[:, ::4, ::4]
            prior = None if number == 2 else shared.prior
            coded = encode_masks(np.ascontiguousarray(masks), head.classes, prior)
            made.sections |= {Section.MODEL: head.pack(), Section.MASKS: coded}
        if number == 2:
            renderer = shared.without_stack().to_bytes()
            model = replace(head, renderer=b"").pack()
            made.sections |= {Section.MODEL: model, Section.RENDERER: renderer}
        yield small_semantic.with_residuals(made) if not number else made


def _segments(made: dict[str, list[Ssm]]) -> Iterator[Ssm]:
    """Yield files whose parts are of several codecs."""
    for names in (("x264", "vp9"), ("hnerv", "svtav1", "hnerv")):
        parts = [made[name][1] for name in names]
        whole = parts[0]
        some = [as_part(one, whole) for one in parts]
        yield joined(whole, [one.to_bytes() for one in some], sum(one.frames for one in some))


class Corpus:
    """A corpus that was built.

    Args:
        folder: where it lies.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.files: dict[str, list[Ssm]] = {}
        for path in sorted(folder.glob("*.ssm")):
            name = path.name.partition("-")[0]
            self.files.setdefault(name, []).append(Ssm.of(Container.read(path)))
        self.pool = [one for some in self.files.values() for one in some]
        self.renderers = [path.read_bytes() for path in sorted((folder / RENDERERS).iterdir())]

    @property
    def digest(self) -> str:
        """The first digits of a SHA-256 of all files, by which two corpora are told apart."""
        whole = hashlib.sha256()
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            whole.update(path.name.encode() + path.read_bytes())
        return whole.hexdigest()[:16]


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    os.environ["SEESAME_HOME"] = str(FOLDER)
    build(FOLDER)
