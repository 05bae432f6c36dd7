"""Files whose networks have any shape that a few bytes can name, up to the limits and beyond."""

from dataclasses import replace
from random import Random

from fuzzing.damage import number
from fuzzing.ssm import Ssm
from seesame.bitstream.container import Section
from seesame.bitstream.entropy import SymbolEncoder
from seesame.bitstream.varint import pack_varint
from seesame.codecs.hnerv.architecture import Architecture, pack_architecture
from seesame.codecs.hybrid.design import Design
from seesame.neural.weights.tensors import Specs

HNERV, HYBRID, SEMANTIC = 16, 17, 19


def crafted(random: Random, base: Ssm) -> Ssm:
    """Return a file of a trained codec with a network of another shape, which decodes.

    All weights and codes are zero, which takes a byte or two a tensor, or begin as large tables and
    end in noise.
    """
    scale = random.choice((8, 8, 8, 40, 256))
    if base.codec_id == HNERV:
        render = _side(random), _side(random)
        channels = tuple(random.randrange(1, scale + 1) for _ in range(5))
        shape = Architecture(render, random.randrange(1, scale + 1), channels)
        specs, codes, model = shape.tensors(), shape.latent, pack_architecture(shape)
    elif base.codec_id == HYBRID:
        sizes = random.randrange(1, min(scale, 64) + 1), random.randrange(1, min(scale, 128) + 1)
        design = Design((_side(random), _side(random)), *sizes, random.randrange(7))
        specs, codes, model, render = design.tensors(), sizes[0], design.pack(), design.render
    else:
        return _masks(random, base)
    frames = number(random, base.frames) if not random.randrange(3) else base.frames
    frames = max(1, min(frames, 1 << 26))
    found = replace(base, frames=frames).having(Section.MODEL, model)
    found = found.having(Section.WEIGHTS, _weights(random, specs))
    found = found.having(Section.LATENTS, _stream(random, codes, -(-frames // 2)))
    found = replace(found, sections=tuple(s for s in found.sections if s[0] != Section.SIDECAR))
    if random.randrange(3):
        found = replace(found, height=render[0], width=render[1])
    return found


def _side(random: Random) -> int:
    return random.choice(
        (1, 2, 31, 32, 33, 48, 64, 97, 1 << random.randrange(12), random.choice((200, 2048)))
    )


def _masks(random: Random, base: Ssm) -> Ssm:
    """Return a semantic file with more frames than it has masks for."""
    frames = random.choice((1, 2, 3, 40, 1000, 1 << 17, 1 << 24))
    return replace(base, frames=frames)


def _weights(random: Random, specs: Specs) -> bytes:
    coder = SymbolEncoder()
    noisy = random.randrange(len(specs)) if random.randrange(2) else -1
    for place, spec in enumerate(specs.values()):
        _list(coder, spec.rows)
        if place == noisy:
            return _noise(random, coder)
        coder.uniform([0], 16)
    return coder.to_bytes()


def _stream(random: Random, values: int, pairs: int) -> bytes:
    coder = SymbolEncoder()
    for _ in range(4):
        _list(coder, values)
    if pairs > 1:
        if not random.randrange(3):
            return _noise(random, coder)
        coder.uniform([0], 16)
    return coder.to_bytes()


def _list(coder: SymbolEncoder, count: int) -> None:
    """Code a list of zeros."""
    coder.uniform([0], 17)
    if count > 1:
        coder.uniform([0], 16)


def _noise(random: Random, coder: SymbolEncoder) -> bytes:
    """Begin an array of large symbols, and end in noise."""
    coder.uniform([random.randrange(1, 16)], 16)
    coder.uniform([random.randrange(256)], 256)
    return coder.to_bytes() + random.randbytes(random.choice((0, 4, 40, 400)))


def many_parts(random: Random, base: Ssm) -> bytes:
    """Return a stream of segments with as many parts as are allowed, or more."""
    part = base.to_bytes()
    return (pack_varint(len(part)) + part) * random.choice((500, 9999, 10_000, 10_001))
