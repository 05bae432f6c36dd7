"""One hybrid encode: a network trained over a base that stands, and what it comes to."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.func import functional_call

from seesame.bitstream.container import Container, Section, pack_config, unpack_config
from seesame.codecs.hnerv.file import with_found
from seesame.codecs.hybrid.config import PREFIX, SCHEDULE, HybridSettings
from seesame.codecs.hybrid.decode import PostRenderer, at_render_size, base_pairs, open_file
from seesame.codecs.hybrid.model import Design, PostNetwork
from seesame.codecs.hybrid.pack import tensor_axes, unpack_base, unpack_network, with_base
from seesame.context import EncodeContext
from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.corrections.search import Plan, search
from seesame.neural.corrections.sidecar import Corrections, apply, pack_sidecar
from seesame.neural.fitting.loop import Candidate
from seesame.neural.fitting.losses import Material
from seesame.neural.fitting.session import Job
from seesame.neural.render.clip import unpack_corrections
from seesame.neural.weights.network import Parameters, QuantisedNetwork
from seesame.neural.weights.pack import pack_latents, pack_weights
from seesame.perception.stack import Stack
from seesame.runlog import RunLog
from seesame.video.clip import Clip

FIRST_CODES = 0.1
"""Deviation of the codes at the start."""
CORRECTING_FIRST = 0.2
"""Share of the time for corrections of the base, over which the network is then trained."""


class PostRepresentation(QuantisedNetwork):
    """A post-network and a code for each pair, over base pictures that stand.

    Args:
        design: of the network.
        pictures: the base's, ``uint8 (N, 2, 3, h', w')``.
        kernel: how they are resized.
    """

    capturable = False

    def __init__(self, design: Design, pictures: Tensor, kernel: str) -> None:
        network = PostNetwork(design)
        super().__init__(network, FIRST_CODES * torch.randn(len(pictures), design.code))
        self._size, self._kernel = design.render, kernel
        self.corrections: Tensor | None = None
        """Integers ``(N, 2, 7)`` that stand while the network is trained."""
        # Kept out of this module's state by the tuple.
        self._fixed = (PostNetwork(design, meta=True), pictures)

    def decode(self, parameters: Parameters, latents: Tensor, pairs: Tensor) -> Tensor:
        """Frames ``(B, 2, 3, h, w)`` of some pairs under given parameters."""
        form, pictures = self._fixed
        base = pictures[pairs.cpu()].to(latents.device)
        base = at_render_size(base, self._size, self._kernel)
        frames: Tensor = functional_call(form, parameters, (latents[pairs], base))
        if self.corrections is None:
            return frames
        return apply(frames.float(), self.corrections[pairs.cpu()])


class HybridJob(Job):
    """Looks for the file with the lowest true score: the base alone, or with what was added.

    Args:
        clip: the source.
        stack: the nets.
        settings: the user's.
        context: device, seed, progress, work folder.
        outputs: what the stack sees in the source.
        base: the base's own file.
        design: of what is added.
        log: told of stages, steps and candidates.
    """

    schedule = SCHEDULE

    def __init__(
        self,
        clip: Clip,
        stack: Stack,
        settings: HybridSettings,
        context: EncodeContext,
        outputs: ReferenceOutputs,
        base: Container,
        design: Design,
        log: RunLog | None = None,
    ) -> None:
        config = settings.stored(context)
        if Section.CONFIG in base.sections:
            made = unpack_config(base.sections[Section.CONFIG])
            config |= {PREFIX + name: value for name, value in made.items()}
        self.plain = with_base(base, pack_config(config))
        decoded = unpack_base(self.plain)
        self.pictures, self.kernel = torch.cat(list(base_pairs(decoded))), decoded.kernel
        self.design = design
        # Without a network the smallest one stands in, and is neither trained nor packed.
        trained = design if design.network else replace(design, code=1, width=1)
        rep = PostRepresentation(trained, self.pictures, self.kernel)
        super().__init__(clip, stack, settings, context, outputs, rep, repr(design), log)
        self.rep: PostRepresentation = rep
        self.beside = len(self.plain.to_bytes())
        self.train_settings = replace(settings, bytes=None)
        if settings.max_bytes is not None:
            # What is left for the network; a base beyond the bound leaves it the least.
            rest = max(500, settings.max_bytes - self.beside)
            self.train_settings = replace(self.train_settings, max_bytes=rest)

    def run(
        self, material: Material, start: float, look: float, stop: threading.Event
    ) -> Candidate:
        """The best file by its true score.

        Args:
            material: what training reads.
            start: when the encode began, of ``time.monotonic``.
            look: seconds that a pass over the source takes with the nets.
            stop: set when the user has had enough.
        """
        self.log.stage("judging the base")
        best = self.scored(self.plain)
        if self.settings.sidecar and not self._enough(best, stop):
            share = CORRECTING_FIRST if self.design.network else 1.0
            left = share * (start + self.seconds - time.monotonic()) - 2 * look
            bare = replace(self.plain, sections=self.plain.sections | self._bare_model())
            begun = Candidate(best.score, bare.to_bytes(), best.excess)
            found = self.correct(begun, left, stop, share=0.0)
            corrections = unpack_corrections(Container.from_bytes(found.data))
            if corrections is not None:
                best = _better(best, found)
                self.rep.corrections = torch.from_numpy(corrections.values)
        if self.design.network and not self._enough(best, stop):
            best = _better(best, self.train(material, start, look, stop))
        return best

    def _enough(self, best: Candidate, stop: threading.Event) -> bool:
        return stop.is_set() or (self.settings.limits.given and not best.excess)

    def _bare_model(self) -> dict[Section, bytes]:
        return {Section.MODEL: Design(self.design.render).pack()}

    def pack(self) -> Container:
        """The file of the present state."""
        weights, codes = self.rep.symbols()
        sections = {
            Section.MODEL: self.design.pack(),
            Section.WEIGHTS: pack_weights(weights, tensor_axes(self.design)),
            Section.LATENTS: pack_latents(codes),
        }
        if self.rep.corrections is not None:
            values = self.rep.corrections.numpy()
            sections[Section.SIDECAR] = pack_sidecar(Corrections(values))
        return replace(self.plain, sections=self.plain.sections | sections)

    def decoded(self, container: Container) -> Clip:
        """The clip that a file decodes to."""
        return open_file(container, self.context.device)

    def corrected(self, container: Container, plan: Plan, stop: Callable[[], bool]) -> Container:
        """A file with the corrections that a search finds; whether they pay is not judged."""
        found = unpack_network(container)
        assert found is not None
        if not found.design.network:
            plan = replace(plan, latents=False)
        renderer = PostRenderer(found, self.pictures, self.kernel, self.context.device)
        begun = unpack_corrections(container)
        result = search(renderer, found.codes, self.outputs, self.stack, plan, stop, begun)
        return with_found(container, found.codes, result)


def _better(left: Candidate, right: Candidate) -> Candidate:
    """The one that keeps the limits better, then the better score; among equals the first."""
    return right if (right.excess, right.score) < (left.excess, left.score) else left
