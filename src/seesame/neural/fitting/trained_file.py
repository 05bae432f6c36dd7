"""A trained codec's part of an encode: its network, its file layout, its corrections."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from seesame.bitstream.container import Container, Section
from seesame.context import EncodeContext
from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.corrections.search import CorrectionSearch
from seesame.neural.fitting.loss.losses import Term
from seesame.neural.fitting.schedule import Schedule
from seesame.neural.fitting.settings import TrainSettings
from seesame.neural.render.geometry import render_size
from seesame.neural.weights.network import QuantisedNetwork
from seesame.perception.stack import Stack
from seesame.runlog import RunLog
from seesame.video.clip import Clip


class TrainedFile(ABC):
    """One clip's file while it is made; a codec's own part of an encode that trains.

    It is made once the settings are checked and before the source is read, so that it can refuse
    what it cannot do. ``self.clip``, ``stack``, ``settings`` and ``context`` are there for it.

    Args:
        clip: the source.
        stack: differentiable networks.
        settings: the user's.
        context: device, seed, progress.
        log: told of stages.
    """

    settings_type: ClassVar[type[TrainSettings]]
    trained_sections: ClassVar[tuple[Section, ...]] = (Section.WEIGHTS, Section.LATENTS)
    """The sections that training changes, so that the loss counts their bytes."""
    schedule: ClassVar[Schedule] = Schedule()
    render: tuple[int, int]
    """``(height, width)`` at which pairs are rendered."""
    first: Container | None = None
    """A file that needs no training, where there is one: it is judged and corrected first."""
    first_share: float = 1.0
    """Share of the time for corrections of that file."""
    trains: bool = True
    """False where nothing is trained."""
    resizable: bool = False
    """True where :meth:`resize` may be asked to change what is not trained."""
    fixed_bytes: int = 0
    """Bytes of the file that training does not change."""

    def __init__(
        self,
        clip: Clip,
        stack: Stack,
        settings: TrainSettings,
        context: EncodeContext,
        log: RunLog,
    ) -> None:
        self.clip, self.stack, self.settings, self.context = clip, stack, settings, context
        self.render = render_size(clip, stack)

    @property
    def train_settings(self) -> TrainSettings:
        """The settings that training goes by: the user's, unless a part of the file is fixed."""
        return self.settings

    def identity(self) -> Mapping[str, Any]:
        """Return more plain values that must agree for a checkpoint to be resumed.

        Clip, stack, settings and the network's tensors are compared in any case.
        """
        return {}

    @abstractmethod
    def build(self, frames: Tensor, outputs: ReferenceOutputs) -> QuantisedNetwork:
        """Return the network as it starts, on the CPU.

        torch's random numbers are seeded already. Pair i of a stream is ``frames[i]``.

        Args:
            frames: the source at render size, ``uint8 (N, 2, 3, h, w)`` on the CPU.
            outputs: the stack's outputs on the source.
        """

    def terms(self) -> Sequence[Term]:
        """Return terms of the loss beside the usual ones."""
        return ()

    @abstractmethod
    def pack(self, network: QuantisedNetwork) -> Container:
        """Return the file of the network's present state."""

    @abstractmethod
    def open(self, container: Container) -> Clip:
        """Return the clip that a file decodes to."""

    def trained_bytes(self, container: Container) -> int:
        """Return the bytes of everything in a file that is trained, and so in the loss's rate."""
        return sum(len(container.sections.get(s, b"")) for s in self.trained_sections)

    def corrections(self, container: Container, search: CorrectionSearch) -> Container:
        """Return a file with the corrections that a search finds; the same file for none.

        Whether they pay is judged on the file that comes back.
        """
        return container

    def resize(self, network: QuantisedNetwork, reach: float, wanted: float) -> bool:
        """Make the part of the file that is not trained smaller or larger; return whether it could.

        It is asked where limits choose the size. What the network has learned is kept.

        Args:
            network: the network in its present state.
            reach: of the present file: the largest figure as a multiple of its bound.
            wanted: the reach that the file should have.
        """
        return False

    def train_over(self, corrected: Container, network: QuantisedNetwork) -> None:  # noqa: B027
        """Take note of the corrected first file, over which ``network`` is then trained."""
