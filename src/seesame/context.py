"""The things that an encoder is given beside the clip and its own settings."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from seesame.metric.evaluator import ReferenceOutputs
    from seesame.perception.stack import Stack

Progress = Callable[[float, str], None]
"""Called with the share done (0..1) and a short text."""
Note = Callable[[str], None]
"""Called with one line that the user should know but need not act on."""
T = TypeVar("T")


def no_progress(share: float, text: str) -> None:
    """Ignore progress."""


def no_note(line: str) -> None:
    """Ignore a note."""


class EncodeMemory:
    """Keeps what several encodes of one clip have in common; the oldest entries go first.

    A search encodes one clip many times. With a memory, an encoder decodes, filters and converts
    the source once, and reuses a stream where two settings differ only in what the decoder does.

    Args:
        most: bytes that the entries may take together.
    """

    def __init__(self, most: int = 256 << 20) -> None:
        self._most = most
        self._entries: OrderedDict[Hashable, tuple[int, object]] = OrderedDict()

    def recall(self, key: Hashable, kind: type[T]) -> T | None:
        """Return the entry with this key, or None. Raises TypeError if it is no ``kind``."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        found = self._entries[key][1]
        if not isinstance(found, kind):
            raise TypeError(f"the entry {key!r} is a {type(found).__name__}")
        return found

    def fits(self, size: int) -> bool:
        """Return whether an entry of ``size`` bytes can be kept at all."""
        return size <= self._most

    def keep(self, key: Hashable, size: int, value: object) -> None:
        """Keep an entry of ``size`` bytes, if it fits."""
        self._entries.pop(key, None)
        if not self.fits(size):
            return
        while self._entries and size + sum(s for s, _ in self._entries.values()) > self._most:
            self._entries.popitem(last=False)
        self._entries[key] = size, value


@dataclass(frozen=True)
class EncodeContext:
    """The things that an encoder may use beside the clip and its own settings.

    Args:
        stack: the perception networks that the encoder trains or measures against, if it does.
        device: the torch device of the networks.
        seed: of every random step.
        progress: called with the share done and a short text.
        note: called with a line that the user should know.
        advise: called, by an encoder whose file misses limits, with flags that would help.
        work: folder for checkpoints of a resumable encode; None where nothing is to be kept.
        log: file to which an encode that trains writes its log, beside the one in ``work``.
        guards: further stacks whose outputs an encoder that trains is to keep as well.
        outputs: what ``stack`` gives for the source, where the caller knows it already.
        started: time at which the work on this encode began, of ``time.monotonic``; a time that the
            user gave counts from then. None where the encoder's own start is meant.
        memory: shared by several encodes of the same clip; None for a single encode.
    """

    stack: "Stack | None" = None
    device: str = "cpu"
    seed: int = 0
    progress: Progress = no_progress
    note: Note = no_note
    advise: Note = no_note
    work: Path | None = None
    log: Path | None = None
    guards: "tuple[Stack, ...]" = ()
    outputs: "ReferenceOutputs | None" = None
    started: float | None = None
    memory: EncodeMemory | None = None
