"""The base's encode: at the size that is left for it, where the user names no quality."""

import math
from dataclasses import replace

from seesame.bitstream.container import Container, Section
from seesame.codecs.av.codec import AvCodec
from seesame.codecs.av.settings import FAMILY, Member, Range
from seesame.codecs.hnerv.config import BITS_A_WEIGHT, target_bytes
from seesame.codecs.hybrid.config import HybridSettings
from seesame.codecs.hybrid.model import Design, PostNetwork
from seesame.context import EncodeContext, EncodeMemory
from seesame.video.clip import Clip

OVER_HNERV = 1.5
"""Bytes of a whole file as a multiple of what hnerv would choose."""
DETAIL = 1.6
"""Width of the coded pictures as a multiple of what the stack reads."""
ENCODES = 3
"""Most encodes of the base in the search for its quality."""
NEAR = 0.1
"""Logarithm of a size's ratio to the wanted one that is near enough."""
SLOPES = {51: -0.12, 63: -0.06}
"""Change of a size's logarithm a step of quality, by the largest quality; only the first guess."""


def encode_base(
    clip: Clip, settings: HybridSettings, design: Design, context: EncodeContext
) -> Container:
    """The base's file.

    Raises:
        UserError: the encoder refuses the settings or the clip.
        DamagedError: the clip ends early.
    """
    member = FAMILY[settings.base]
    whole = {"scale": _scale(clip, design), **settings.base_settings}
    quiet = replace(context, progress=lambda share, text: None, memory=EncodeMemory())
    codec = AvCodec(member.name)
    if whole.keys() & {"crf", "kbps"}:
        context.progress(0.0, f"encoding the base, {member.name}")
        return codec.encode(clip, whole, quiet)
    wanted = wanted_bytes(clip, settings, design)
    made: dict[int, tuple[float, Container]] = {}
    crf = member.defaults.crf + 4
    while crf not in made and len(made) < ENCODES:
        context.progress(0.0, f"encoding the base, {member.name}, crf {crf}")
        file = codec.encode(clip, whole | {"crf": crf}, quiet)
        beyond = math.log(len(file.sections[Section.STREAM]) / wanted)
        made[crf] = beyond, file
        if abs(beyond) < NEAR:
            break
        crf = _next(member, {crf: beyond for crf, (beyond, _) in made.items()})
    return min(made.values(), key=lambda one: abs(one[0]))[1]


def wanted_bytes(clip: Clip, settings: HybridSettings, design: Design) -> int:
    """What the base may take of the size that the whole aims at."""
    pairs = -(-clip.num_frames // 2)
    whole = settings.aim(round(OVER_HNERV * target_bytes(pairs, clip.source_bytes)))
    return max(whole // 4, whole - network_bytes(design, pairs))


def network_bytes(design: Design, pairs: int) -> int:
    """About what a network and its codes take."""
    if not design.network:
        return 0
    weights = sum(p.numel() for p in PostNetwork(design, meta=True).parameters())
    return round((weights * BITS_A_WEIGHT + design.code * pairs * 4) / 8)


def _scale(clip: Clip, design: Design) -> float:
    """The coded size, in hundredths of the source's."""
    return min(1.0, max(0.05, round(DETAIL * design.render[1] / clip.width, 2)))


def _next(member: Member, beyond: dict[int, float]) -> int:
    """The quality to try next: where a line through the last two sizes meets the wanted one."""
    allowed = member.own["crf"]
    assert isinstance(allowed, Range)
    slope = SLOPES[int(allowed.most)]
    last, *before = reversed(beyond)
    if before:
        found = (beyond[last] - beyond[before[0]]) / (last - before[0])
        slope = min(found, slope / 3)  # sizes fall, and not by almost nothing
    step = -beyond[last] / slope
    return int(min(max(round(last + step), allowed.least), allowed.most))
