"""The hybrid codec's part of an encode: a base that stands, and a network trained over it."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from seesame.bitstream.container import Container, Section, pack_config, unpack_config
from seesame.codecs.hybrid.base import Base
from seesame.codecs.hybrid.config import PREFIX, SCHEDULE, TUNING, HybridSettings, design
from seesame.codecs.hybrid.decode import (
    Network,
    at_render_size,
    base_pairs,
    open_file,
    unpack_base,
    unpack_network,
)
from seesame.codecs.hybrid.design import Design
from seesame.codecs.hybrid.model import PostNetwork
from seesame.codecs.hybrid.sections import with_base
from seesame.context import EncodeContext
from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.corrections.apply import apply
from seesame.neural.corrections.search import CorrectionSearch
from seesame.neural.corrections.sidecar import Corrections, pack_sidecar, read_sidecar
from seesame.neural.corrections.write import with_corrections
from seesame.neural.fitting.settings import TrainSettings
from seesame.neural.fitting.trained_file import TrainedFile
from seesame.neural.weights.network import Parameters, QuantisedNetwork, Streams
from seesame.neural.weights.pack import pack_stream, pack_weights
from seesame.perception.stack import Stack
from seesame.runlog import RunLog
from seesame.video.clip import Clip

CODES = "codes"
"""The one stream of hybrid."""


class PostRepresentation(QuantisedNetwork):
    """A post-network and a code for each pair, over base pictures that stand.

    Args:
        design: of the network.
        pictures: the base's, ``uint8 (N, 2, 3, h', w')``.
        kernel: how they are resized.
        corrections: integers ``(N, 2, 7)`` that stand while the network is trained, or None.
    """

    capturable = False

    def __init__(
        self, design: Design, pictures: Tensor, kernel: str, corrections: Tensor | None = None
    ) -> None:
        network = PostNetwork(design)
        codes = TUNING.first_codes * torch.randn(len(pictures), design.code)
        super().__init__(network, design.tensors(), {CODES: codes})
        self._size, self._kernel, self.corrections = design.render, kernel, corrections
        # Kept out of this module's state by the tuple.
        self._fixed = (PostNetwork(design, meta=True), pictures)

    def stand_on(self, pictures: Tensor) -> None:
        """Take other pictures of the base, of the same shape, and drop the corrections."""
        self._fixed, self.corrections = (self._fixed[0], pictures), None

    def decode(self, parameters: Parameters, streams: Streams, pairs: Tensor) -> Tensor:
        """See :class:`~seesame.neural.weights.network.QuantisedNetwork`."""
        form, pictures = self._fixed
        codes = streams[CODES][pairs]
        base = pictures[pairs.cpu()].to(codes.device)
        base = at_render_size(base, self._size, self._kernel)
        frames: Tensor = functional_call(form, parameters, (codes, base))
        if self.corrections is None:
            return frames
        return apply(frames.float(), self.corrections[pairs.cpu()])


class HybridFile(TrainedFile):
    """The file of a base alone, or with what was added to it."""

    settings_type = HybridSettings
    settings: HybridSettings
    schedule = SCHEDULE

    def __init__(
        self,
        clip: Clip,
        stack: Stack,
        settings: HybridSettings,
        context: EncodeContext,
        log: RunLog,
    ) -> None:
        super().__init__(clip, stack, settings, context, log)
        self.design = design(clip, stack, settings)
        self.trains = self.design.network
        log.stage("encoding the base")
        self.first_share = TUNING.correcting_first if self.trains else 1.0
        self._base = Base(clip, settings, self.design, context)
        self.resizable = self._base.free
        self._use(self._base.encode())

    def _use(self, base: Container) -> None:
        """Take a base for that of the file."""
        config = self.settings.stored(self.context)
        if Section.CONFIG in base.sections:
            made = unpack_config(base.sections[Section.CONFIG])
            config |= {PREFIX + name: value for name, value in made.items()}
        self.first = self.plain = with_base(base, pack_config(config))
        self.fixed_bytes = len(self.plain.to_bytes())
        decoded = unpack_base(self.plain)
        self._pictures, self._kernel = torch.cat(list(base_pairs(decoded))), decoded.kernel

    @property
    def train_settings(self) -> TrainSettings:
        """See :class:`~seesame.neural.fitting.trained_file.TrainedFile`: the base's size stands."""
        settings = replace(self.settings, bytes=None)
        if settings.max_bytes is None:
            return settings
        # What is left for the network; a base beyond the bound leaves it the least.
        left = max(TUNING.least_network_bytes, settings.max_bytes - self.fixed_bytes)
        return replace(settings, max_bytes=left)

    def identity(self) -> Mapping[str, Any]:
        """See :class:`~seesame.neural.fitting.trained_file.TrainedFile`."""
        base = sha256(self.plain.sections[Section.STREAM]).hexdigest()
        return {"base": base}

    def build(self, frames: Tensor, outputs: ReferenceOutputs) -> PostRepresentation:
        """Return the network as it starts: it changes nothing in the base's pictures."""
        # Where nothing is trained, the smallest network stands in for none.
        shape = self.design if self.trains else replace(self.design, code=1, width=1)
        return PostRepresentation(shape, self._pictures, self._kernel)

    def resize(self, network: QuantisedNetwork, reach: float, wanted: float) -> bool:
        """Encode the base at another quality; its corrections, which fit it no more, are dropped.

        See :class:`~seesame.neural.fitting.trained_file.TrainedFile`.
        """
        assert isinstance(network, PostRepresentation)
        base = self._base.again(reach, wanted)
        if base is None:
            return False
        self._use(base)
        network.stand_on(self._pictures)
        return True

    def train_over(self, corrected: Container, network: QuantisedNetwork) -> None:
        """Keep the base's corrections while the network is trained."""
        found = read_sidecar(corrected)
        if found is not None:
            assert isinstance(network, PostRepresentation)
            network.corrections = torch.from_numpy(found.values)

    def pack(self, network: QuantisedNetwork) -> Container:
        """Return the file of the present state."""
        assert isinstance(network, PostRepresentation)
        weights, streams = network.symbols()
        sections = {
            Section.MODEL: self.design.pack(),
            Section.WEIGHTS: pack_weights(weights, network.specs),
            Section.LATENTS: pack_stream(streams[CODES]),
        }
        if network.corrections is not None:
            sections[Section.SIDECAR] = pack_sidecar(Corrections(network.corrections.numpy()))
        return replace(self.plain, sections=self.plain.sections | sections)

    def open(self, container: Container) -> Clip:
        """Return the clip that a file decodes to."""
        return open_file(container, self.context.device)

    def corrections(self, container: Container, search: CorrectionSearch) -> Container:
        """Search corrections of single frames, and better symbols of the codes."""
        file = container
        if Section.MODEL not in file.sections:
            bare = {Section.MODEL: Design(self.design.render).pack()}
            file = replace(file, sections=file.sections | bare)
        network = unpack_network(file)
        assert network is not None
        renderer = PostRenderer(network, self._pictures, self._kernel, self.context.device)
        begun, move = read_sidecar(file), network.design.network
        found = search(renderer, network.codes, move_latents=move, start=begun)
        made = with_corrections(file, network.codes, found)
        return container if made.sections == file.sections else made


class PostRenderer:
    """Renders pairs for the search for corrections.

    Args:
        found: the file's network, or none.
        pictures: the base's, ``uint8 (N, 2, 3, h', w')``.
        kernel: how they are resized.
        device: where.
    """

    def __init__(self, found: Network, pictures: Tensor, kernel: str, device: str) -> None:
        self.device, self.size = torch.device(device), found.design.render
        self._pictures, self._kernel = pictures, kernel
        self._network: PostNetwork | None = found.network
        if self._network is not None:
            self._network.to(self.device)

    def __call__(self, latents: Tensor, pairs: Tensor) -> Tensor:
        """Return frames ``(B, 2, 3, h, w)`` of some pairs."""
        base = at_render_size(self._pictures[pairs].to(self.device), self.size, self._kernel)
        if self._network is None:
            return base + 0.0 * latents.sum()  # a gradient of zero: no code is read
        frames: Tensor = self._network(latents, base)
        return frames
