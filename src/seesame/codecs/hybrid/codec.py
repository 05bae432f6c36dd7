"""The hybrid codec; encoder and decoder are imported when they are used."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seesame.bitstream.container import Container, Section
from seesame.codecs.av.stream import read_stream
from seesame.codecs.base import Codec
from seesame.codecs.hybrid.design import unpack_design
from seesame.codecs.hybrid.sections import CODEC_ID, base_of, unpack_symbols
from seesame.neural.corrections.sidecar import read_sidecar
from seesame.neural.weights.tensors import count

if TYPE_CHECKING:
    from seesame.context import EncodeContext
    from seesame.video.clip import Clip


class HybridCodec(Codec):
    """A classical stream, and a small network and corrections that mend it for the stack."""

    name = "hybrid"
    codec_id = CODEC_ID
    summary = "a classical base mended by a small network trained against the stack; minutes"
    trains = True

    def encode(
        self, clip: "Clip", settings: Mapping[str, Any], context: "EncodeContext"
    ) -> Container:
        """Encode the base, train what is added to it, and keep what lowers the true score.

        Raises:
            UserError: bad settings, no stack, a clip that forms no pair, a guard without gradients.
            DamagedError: the clip ends early.
        """
        from seesame.codecs.hybrid.file import HybridFile
        from seesame.neural.fitting.session import fit

        return fit(HybridFile, self.name, clip, settings, context)

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return True: training needs one. Raises UserError for bad settings."""
        from seesame.codecs.hybrid.config import HybridSettings

        HybridSettings.from_mapping(settings)
        return True

    def decode(self, container: Container, device: str = "cpu") -> "Clip":
        """Return the decoded clip. Raises DamagedError when the sections do not fit together."""
        from seesame.codecs.hybrid.decode import open_file

        self.check(container)
        return open_file(container, device)

    def notes(self, container: Container) -> dict[str, str]:
        """Describe the parts of a file. Raises DamagedError when they are damaged."""
        member, base = base_of(container)
        head, _ = read_stream(base, member.name)
        size = len(container.sections[Section.STREAM])
        lines = {"base": f"{member.name}, {size:,} bytes, coded at {head.width}x{head.height}"}
        found = unpack_symbols(container)
        if found is not None and found.design.network:
            weights = count(found.design.tensors())
            used = sum(len(container.sections[s]) for s in (Section.WEIGHTS, Section.LATENTS))
            lines["network"] = f"{weights:,} weights, {used:,} bytes with the pairs' codes"
        corrections = read_sidecar(container)
        if corrections is not None:
            lines["sidecar"] = corrections.text(len(container.sections[Section.SIDECAR]))
        return lines

    def weights(self, container: Container) -> int:
        """Return the network's weights. Raises DamagedError."""
        model = container.sections.get(Section.MODEL)
        return 0 if model is None else count(unpack_design(model, "the file").tensors())

    def tensors(self, container: Container) -> dict[str, int]:
        """Return the bytes of each tensor. Raises DamagedError when it does not decode."""
        sizes: dict[str, int] = {}
        unpack_symbols(container, sizes=sizes)
        return sizes

    def frame_bytes(self, container: Container) -> tuple[int, ...]:
        """Return the bytes of the base's stream for each frame, as the base's codec tells them."""
        from seesame.codecs.av.codec import AvCodec

        member, base = base_of(container)
        return AvCodec(member.name).frame_bytes(base)
