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


class Base:
    """The base's encodes of a clip, at the user's quality or at qualities that are found.

    Args:
        clip: the source.
        settings: of the whole codec.
        design: of the network over it.
        context: of the encode.
    """

    def __init__(
        self, clip: Clip, settings: HybridSettings, design: Design, context: EncodeContext
    ) -> None:
        self.member = FAMILY[settings.base]
        self.free = not settings.base_settings.keys() & {"crf", "kbps"}
        """True where the user has not said which quality."""
        self.crf = self.member.defaults.crf + 4
        """The quality of the last encode, where it is free."""
        self._clip, self._settings, self._design, self._context = clip, settings, design, context
        self._whole = {"scale": _scale(clip, design), **settings.base_settings}
        self._quiet = replace(context, progress=no_progress, memory=EncodeMemory())
        self._reached: dict[int, float] = {}
        self._made: dict[int, Container] = {}

    def encode(self) -> Container:
        """Return the base's first file.

        Its quality is the user's, or the one that meets the size left for the base; where limits
        choose the size, a usual one, as :meth:`again` comes to it.

        Raises:
            UserError: the encoder refuses the settings or the clip.
            DamagedError: the clip ends early.
        """
        if not self.free:
            self._context.progress(0.0, f"encoding the base, {self.member.name}")
            return AvCodec(self.member.name).encode(self._clip, self._whole, self._quiet)
        if self._settings.by_limits and self._settings.max_bytes is None:
            return self._at(self.crf)
        wanted = wanted_bytes(self._clip, self._settings, self._design)
        made: dict[int, tuple[float, Container]] = {}
        crf = self.crf
        while crf not in made and len(made) < TUNING.encodes:
            file = self._at(crf)
            beyond = math.log(len(file.sections[Section.STREAM]) / wanted)
            made[crf] = beyond, file
            if abs(beyond) < TUNING.near:
                break
            crf = _next(self.member, {crf: beyond for crf, (beyond, _) in made.items()})
        self.crf = min(made, key=lambda one: abs(made[one][0]))
        return made[self.crf][1]

    def again(self, reach: float, wanted: float) -> Container | None:
        """Return the base at another quality; None where there is none that comes nearer.

        Args:
            reach: of the present file, as :meth:`.TrainedFile.resize` has it.
            wanted: the reach that it should have.
        """
        if not self.free:
            return None
        allowed = self.member.own["crf"]
        assert isinstance(allowed, Range)
        self._reached[self.crf] = math.log(reach)
        usual = -TUNING.reach_a_size * TUNING.slopes[int(allowed.most)]
        others = [crf for crf in self._reached if crf != self.crf]
        slope = usual
        if others:
            near = min(others, key=lambda crf: abs(crf - self.crf))
            found = (self._reached[near] - self._reached[self.crf]) / (near - self.crf)
            slope = min(max(found, usual / 3), usual * 3)
        step = math.log(wanted / reach) / slope
        # Away from the wanted reach by one at least, towards fewer distortions rather than more.
        whole = min(-1, math.floor(step)) if step < 0 else math.floor(step)
        crf = int(min(max(self.crf + whole, allowed.least), allowed.most))
        return None if crf == self.crf else self._at(crf)

    def _at(self, crf: int) -> Container:
        self.crf = crf
        if crf not in self._made:
            self._context.progress(0.0, f"encoding the base, {self.member.name}, crf {crf}")
            codec = AvCodec(self.member.name)
            self._made[crf] = codec.encode(self._clip, self._whole | {"crf": crf}, self._quiet)
        return self._made[crf]


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
