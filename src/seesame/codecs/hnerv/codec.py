"""The hnerv codec; encoder and decoder are imported when they are used."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seesame.bitstream.container import Container, Section
from seesame.codecs.base import Codec
from seesame.codecs.hnerv.architecture import unpack_architecture
from seesame.codecs.hnerv.sections import CODEC_ID, unpack_symbols
from seesame.neural.corrections.sidecar import read_sidecar
from seesame.neural.render.bounds import section

if TYPE_CHECKING:
    from seesame.context import EncodeContext
    from seesame.video.clip import Clip


class HnervCodec(Codec):
    """A network overfitted to the clip against the stack; the file is the network."""

    name = "hnerv"
    codec_id = CODEC_ID
    summary = "neural representation trained against the stack; slow to encode, smallest files"
    trains = True

    def encode(
        self, clip: "Clip", settings: Mapping[str, Any], context: "EncodeContext"
    ) -> Container:
        """Train a representation of the clip and pack it, see :func:`.session.fit`.

        Raises:
            UserError: bad settings, no stack, a clip that forms no pair, a guard without gradients.
            DamagedError: the clip ends early.
        """
        from seesame.codecs.hnerv.file import HnervFile
        from seesame.neural.fitting.session import fit

        return fit(HnervFile, self.name, clip, settings, context)

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return True: training needs one. Raises UserError for bad settings."""
        from seesame.codecs.hnerv.config import HnervSettings

        HnervSettings.from_mapping(settings)
        return True

    def decode(self, container: Container, device: str = "cpu") -> "Clip":
        """Return the decoded clip. Raises DamagedError when the sections do not fit together."""
        from seesame.codecs.hnerv.decode import open_file

        self.check(container)
        return open_file(container, device)

    def notes(self, container: Container) -> dict[str, str]:
        """Describe the sidecar. Raises DamagedError when it is damaged."""
        corrections = read_sidecar(container)
        if corrections is None:
            return {}
        return {"sidecar": corrections.text(len(container.sections[Section.SIDECAR]))}

    def weights(self, container: Container) -> int:
        """Return the decoder's weights. Raises DamagedError."""
        architecture, _ = unpack_architecture(section(container, Section.MODEL), "the file")
        return architecture.parameters()

    def tensors(self, container: Container) -> dict[str, int]:
        """Return the bytes of each tensor. Raises DamagedError when it does not decode."""
        sizes: dict[str, int] = {}
        unpack_symbols(container, sizes=sizes)
        return sizes
