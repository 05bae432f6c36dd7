"""The readers under test: for each, how a case is made and how it is read as a user would."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np

from fuzzing.binaries import BINARIES
from fuzzing.corpus import CODECS, Corpus
from fuzzing.crafted import crafted, many_parts
from fuzzing.damage import damaged, damaged_json, with_other_varint
from fuzzing.ssm import Ssm, changed
from fuzzing.texts import TEXTS
from seesame.bitstream.container import Container, Section, pack_config, unpack_config
from seesame.codecs.registry import codec_by_id
from seesame.codecs.semantic.renderer_file import pack_file, read_file
from seesame.codecs.semantic.shared import SharedRenderer
from seesame.decoders import VideoDecoder, open_clip
from seesame.errors import UserError

FRAMES = 3
"""Frames that are decoded of a file."""
Files = dict[str, bytes]
"""A case: the content of some files by their names."""


@dataclass(frozen=True)
class Target:
    """Something that reads untrusted files.

    Args:
        make: makes a case.
        read: reads a case from a folder; it raises UserError where that is refused.
    """

    make: Callable[[Random, Corpus], Files]
    read: Callable[[Path, Random], None]


def _container(random: Random, corpus: Corpus) -> Files:
    data = changed(random, random.choice(corpus.pool), corpus.pool)
    return {"case.ssm": data if random.randrange(3) else damaged(random, data)}


def _read_container(folder: Path, random: Random) -> None:
    """Read the container, its settings and what ``info`` tells; a sound file has only one form."""
    data = (folder / "case.ssm").read_bytes()
    container = Container.read(folder / "case.ssm")
    assert container.to_bytes() == data, "a file that is read has another form"
    container.config()
    codec_by_id(container.codec_id).notes(container)


def _codec(name: str) -> Target:
    def make(random: Random, corpus: Corpus) -> Files:
        files = corpus.files[name]
        base = random.choices(files, [1 / one.frames for one in files])[0]  # short ones are quick
        kind = random.randrange(100)
        if kind < 8 and name in ("hnerv", "hybrid", "semantic"):
            data = crafted(random, base).to_bytes()
        elif kind < 2 and name == "segments":
            data = _many(random, corpus, base)
        elif kind < 40 and name == "copy":
            data = _copied(random, base, corpus)
        else:
            near = corpus.files[name] if random.randrange(2) else corpus.pool
            data = changed(random, base, near)
        return {"case.ssm": data}

    return Target(make, read_ssm)


def _many(random: Random, corpus: Corpus, base: Ssm) -> bytes:
    small = min(corpus.files["x264"], key=lambda one: len(one.section(Section.STREAM)))
    part = replace(small, contest=True, sections=((2, small.section(Section.STREAM)),))
    stream = many_parts(random, part)
    count = stream.count(part.to_bytes())
    whole = replace(part, codec_id=base.codec_id, contest=False, frames=count * part.frames)
    return whole.having(Section.STREAM, stream).to_bytes()


def _copied(random: Random, base: Ssm, corpus: Corpus) -> bytes:
    """Return a copy whose inner file is damaged, and not its name."""
    stream = base.section(Section.STREAM)
    head = stream[: 1 + stream[0]]
    others = [one.section(Section.STREAM) for one in corpus.files["copy"]]
    return base.having(
        Section.STREAM, head + damaged(random, stream[len(head) :], others)
    ).to_bytes()


def read_ssm(folder: Path, random: Random) -> None:
    """Open a file as a user does and decode its first frames, or some frame by its number."""
    path = folder / "case.ssm"
    kind = random.randrange(5)
    if kind == 0:
        video = VideoDecoder(path)
        number = random.choice((0, len(video) // 2, -1))
        frame = video.get_frame_at(number)
        assert frame.data.shape == (3, video.height, video.width)
        return
    clip = open_clip(path)
    if kind == 1:
        assert clip.num_frames > 0
        assert clip.fps > 0
        _ = getattr(clip, "times", None)
    with closing(clip.batches(1 if kind < 4 else 2)) as batches:
        for batch in islice(batches, FRAMES):
            assert batch.dtype == np.uint8
            assert batch.shape[1:] == (clip.height, clip.width, 3)


def _renderer(random: Random, corpus: Corpus) -> Files:
    data = random.choice(corpus.renderers)
    if not random.randrange(6):
        return {"case.renderer": damaged(random, data)}
    header, parts = read_file(data, "")
    for _ in range(random.choice((1, 1, 2))):
        kind = random.randrange(5)
        key = random.choice(list(parts))
        if kind < 2:
            header = damaged_json(random, header, 2)
        elif kind == 2:
            parts[key] = with_other_varint(random, parts[key])
        elif kind == 3 and len(parts) > 1:
            del parts[key]
        else:
            parts[key] = damaged(random, parts[key], list(parts.values()))
    try:
        return {"case.renderer": pack_file(header, parts)}
    except (UserError, TypeError, AttributeError):  # nothing that the writer can store
        return {"case.renderer": damaged(random, data)}


def _read_renderer(folder: Path, random: Random) -> None:
    shared = SharedRenderer.read(folder / "case.renderer")
    if random.randrange(2):
        _ = shared.prior


def _config(random: Random, corpus: Corpus) -> Files:
    files = [one for one in corpus.pool if one.section(Section.CONFIG)]
    config = random.choice(files).section(Section.CONFIG)
    value = damaged_json(random, unpack_config(config))
    try:
        data = pack_config(value)
    except UserError:
        data = config
    return {"case": damaged(random, data) if random.randrange(2) else data}


def _read_config(folder: Path, random: Random) -> None:
    unpack_config((folder / "case").read_bytes())


TARGETS: dict[str, Target] = {
    "container": Target(_container, _read_container),
    **{name: _codec(name) for name in CODECS},
    "renderer": Target(_renderer, _read_renderer),
    "config": Target(_config, _read_config),
    **{name: Target(*one) for name, one in (TEXTS | BINARIES).items()},
}
"""Everything that is tried, by name."""
