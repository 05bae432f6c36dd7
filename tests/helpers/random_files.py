"""Files of trained codecs whose networks are random: made at once, and decoded as any other."""

import numpy as np
import torch

from seesame.bitstream.container import Container, Section
from seesame.codecs.base import container_for
from seesame.codecs.hnerv.architecture import Architecture, pack_architecture
from seesame.codecs.hnerv.representation import LATENTS, Representation
from seesame.codecs.hybrid.design import Design
from seesame.codecs.hybrid.file import CODES, PostRepresentation
from seesame.codecs.registry import get_codec
from seesame.context import EncodeContext
from seesame.neural.corrections.sidecar import Corrections, pack_sidecar
from seesame.neural.weights.pack import pack_stream, pack_weights
from seesame.video.clip import Clip


def random_corrections(pairs: int) -> bytes:
    numbers = np.random.default_rng(pairs).integers(-20, 21, (pairs, 2, 7))
    return pack_sidecar(Corrections((numbers * (numbers % 3 > 0)).astype(np.int8)))


def random_hnerv(clip: Clip, render: tuple[int, int] = (40, 50), seed: int = 0) -> Container:
    """Return a file of hnerv with the clip's size and length."""
    torch.manual_seed(seed)
    architecture = Architecture(render, 3, (5, 4, 4, 4, 4))
    pairs = -(-clip.num_frames // 2)
    network = Representation(architecture, pairs)
    network.start_quantising()
    weights, streams = network.symbols()
    sections = {
        Section.MODEL: pack_architecture(architecture),
        Section.WEIGHTS: pack_weights(weights, network.specs),
        Section.LATENTS: pack_stream(streams[LATENTS]),
        Section.SIDECAR: random_corrections(pairs),
    }
    return container_for(clip, get_codec("hnerv").codec_id, sections)


def random_hybrid(clip: Clip, base: str = "x264", **settings: object) -> Container:
    """Return a file of hybrid: the clip by a classical codec, and a random network over it."""
    torch.manual_seed(0)
    wanted = {"base": base, "network": False, "sidecar": False, "steps": 1}
    wanted |= {f"base.{name}": value for name, value in settings.items()}
    from fake_stack import FakeStack

    made = get_codec("hybrid").encode(clip, wanted, EncodeContext(stack=FakeStack((40, 50))))
    design = Design((40, 50), code=3, width=4, depth=2)
    pairs = -(-clip.num_frames // 2)
    network = PostRepresentation(design, torch.zeros(pairs, 2, 3, 40, 50), "bilinear")
    for values in network.parameters():
        torch.nn.init.normal_(values, std=0.1)
    network.start_quantising()
    weights, streams = network.symbols()
    made.sections[Section.MODEL] = design.pack()
    made.sections[Section.WEIGHTS] = pack_weights(weights, network.specs)
    made.sections[Section.LATENTS] = pack_stream(streams[CODES])
    made.sections[Section.SIDECAR] = random_corrections(pairs)
    return made
