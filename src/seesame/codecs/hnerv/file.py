"""The hnerv codec's part of an encode: its decoder, its file, its corrections."""

from pathlib import Path

import torch
from torch import Tensor

from seesame.bitstream.container import Container, Section, pack_config
from seesame.codecs.base import container_for
from seesame.codecs.hnerv.architecture import pack_architecture
from seesame.codecs.hnerv.config import HnervSettings, design
from seesame.codecs.hnerv.decode import open_file
from seesame.codecs.hnerv.first_guess import guess
from seesame.codecs.hnerv.model import Decoder
from seesame.codecs.hnerv.representation import LATENTS, Representation
from seesame.codecs.hnerv.sections import CODEC_ID, unpack_symbols
from seesame.codecs.hnerv.warm_start import Start
from seesame.context import EncodeContext
from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.corrections.search import CorrectionSearch
from seesame.neural.corrections.write import with_corrections
from seesame.neural.fitting.trained_file import TrainedFile
from seesame.neural.weights.dequantise import dequantised
from seesame.neural.weights.network import QuantisedNetwork
from seesame.neural.weights.pack import pack_stream, pack_weights
from seesame.neural.weights.unpack import LAYOUT
from seesame.perception.stack import Stack
from seesame.runlog import RunLog
from seesame.video.clip import Clip


class HnervFile(TrainedFile):
    """The file of a decoder and a latent for each pair."""

    settings_type = HnervSettings
    settings: HnervSettings

    def __init__(
        self,
        clip: Clip,
        stack: Stack,
        settings: HnervSettings,
        context: EncodeContext,
        log: RunLog,
    ) -> None:
        super().__init__(clip, stack, settings, context, log)
        self.architecture = design(clip, stack, settings)
        self._warm = None if settings.init is None else Start.read(Path(settings.init))
        if self._warm is not None:
            self.architecture = self._warm.architecture(self.architecture)

    def build(self, frames: Tensor, outputs: ReferenceOutputs) -> Representation:
        """Make the decoder, and guess it and the latents before any training."""
        representation = Representation(self.architecture, len(frames))
        if self._warm is not None:
            self._warm.fill(representation, frames, outputs, self.stack, self.context.device)
        else:
            poses = outputs.poses[:, : self.stack.judged]
            guess(representation, frames, outputs.classes, poses)
        return representation

    def pack(self, network: QuantisedNetwork) -> Container:
        """Return the file of the present state."""
        weights, streams = network.symbols()
        config = {k: v for k, v in self.settings.stored(self.context).items() if k != "init"}
        clip = self.clip
        return container_for(
            clip,
            CODEC_ID,
            {
                Section.CONFIG: pack_config(config),
                Section.MODEL: pack_architecture(self.architecture),
                Section.WEIGHTS: pack_weights(weights, network.specs),
                Section.LATENTS: pack_stream(streams[LATENTS]),
            },
        )

    def open(self, container: Container) -> Clip:
        """Return the clip that a file decodes to."""
        return open_file(container, self.context.device)

    def corrections(self, container: Container, search: CorrectionSearch) -> Container:
        """Search corrections of single frames, and better symbols of the latents."""
        return corrected(container, search, self.context.device)


class NetworkRenderer:
    """Renders latents with a decoder, for the search for corrections.

    Args:
        decoder: the network; it is moved to the device.
        device: where it runs.
    """

    def __init__(self, decoder: Decoder, device: str) -> None:
        self.device = torch.device(device)
        self.size = decoder.architecture.render
        self._decoder = decoder.to(self.device)

    def __call__(self, latents: Tensor, pairs: Tensor) -> Tensor:
        """Return frames of the latents ``(B, d)``, whatever pairs they are of."""
        frames: Tensor = self._decoder(latents)
        return frames


def corrected(container: Container, search: CorrectionSearch, device: str = "cpu") -> Container:
    """Return a trained file with the corrections that a search finds.

    Corrections that it has already are dropped.

    Raises:
        DamagedError: a section is missing or does not decode.
    """
    file = unpack_symbols(container)
    decoder = dequantised(Decoder(file.architecture), file.weights)
    # The LATENTS section of layout 1 is no longer written.
    move = file.layout == LAYOUT
    found = search(NetworkRenderer(decoder, device), file.latents, move_latents=move)
    return with_corrections(container, file.latents, found)
