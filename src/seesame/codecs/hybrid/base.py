"""The base's encode: the user's quality, or the one that meets the size left for the base."""

import math
from dataclasses import replace

from seesame.bitstream.container import Container, Section
from seesame.codecs.av.codec import AvCodec
from seesame.codecs.av.settings import FAMILY, Member, Range
from seesame.codecs.hybrid.config import TUNING, HybridSettings
from seesame.codecs.hybrid.design import Design
from seesame.context import EncodeContext, EncodeMemory, no_progress
from seesame.neural.fitting.settings import TUNING as SIZES
from seesame.neural.fitting.settings import target_bytes
from seesame.neural.weights.tensors import count
from seesame.video.clip import Clip


def encode_base(
    clip: Clip, settings: HybridSettings, design: Design, context: EncodeContext
) -> Container:
    """Return the base's file.

    Raises:
        UserError: the encoder refuses the settings or the clip.
        DamagedError: the clip ends early.
    """
    member = FAMILY[settings.base]
    whole = {"scale": _scale(clip, design), **settings.base_settings}
    quiet = replace(context, progress=no_progress, memory=EncodeMemory())
    codec = AvCodec(member.name)
    if whole.keys() & {"crf", "kbps"}:
        context.progress(0.0, f"encoding the base, {member.name}")
        return codec.encode(clip, whole, quiet)
    wanted = wanted_bytes(clip, settings, design)
    made: dict[int, tuple[float, Container]] = {}
    crf = member.defaults.crf + 4
    while crf not in made and len(made) < TUNING.encodes:
        context.progress(0.0, f"encoding the base, {member.name}, crf {crf}")
        file = codec.encode(clip, whole | {"crf": crf}, quiet)
        beyond = math.log(len(file.sections[Section.STREAM]) / wanted)
        made[crf] = beyond, file
        if abs(beyond) < TUNING.near:
            break
        crf = _next(member, {crf: beyond for crf, (beyond, _) in made.items()})
    return min(made.values(), key=lambda one: abs(one[0]))[1]


def wanted_bytes(clip: Clip, settings: HybridSettings, design: Design) -> int:
    """Return the bytes that the base may take of the size that the whole aims at."""
    pairs = -(-clip.num_frames // 2)
    whole = settings.aim(round(TUNING.over_hnerv * target_bytes(pairs, clip.source_bytes)))
    return max(whole // 4, whole - network_bytes(design, pairs))


def network_bytes(design: Design, pairs: int) -> int:
    """Return about the bytes that a network and its codes take."""
    if not design.network:
        return 0
    weights = count(design.tensors())
    return round((weights * SIZES.bits_a_weight + design.code * pairs * 4) / 8)


def _scale(clip: Clip, design: Design) -> float:
    """Return the coded size as a share of the source's, in hundredths."""
    return min(1.0, max(0.05, round(TUNING.detail * design.render[1] / clip.width, 2)))


def _next(member: Member, beyond: dict[int, float]) -> int:
    """Return the quality to try next: a line through the last two sizes meets the wanted one."""
    allowed = member.own["crf"]
    assert isinstance(allowed, Range)
    slope = TUNING.slopes[int(allowed.most)]
    last, *before = reversed(beyond)
    if before:
        found = (beyond[last] - beyond[before[0]]) / (last - before[0])
        slope = min(found, slope / 3)  # sizes fall, and not by almost nothing
    step = -beyond[last] / slope
    return int(min(max(round(last + step), allowed.least), allowed.most))
