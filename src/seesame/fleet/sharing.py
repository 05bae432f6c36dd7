"""What the clips of one camera share: the search for a clip's settings begins with what won before.

Clips of one recipe are of one camera where they have the same ``group`` or, without one, lie in the
same folder. Only the first guess is shared. The limits are confirmed on the whole of every clip, so
they hold in any order; the file itself may differ with the clips that ended before it.
"""

import posixpath
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median_low

from seesame.codecs.registry import get_codec
from seesame.fleet.plan import Task
from seesame.fleet.target.state import DONE, State
from seesame.search.within.found import Start


@dataclass(frozen=True)
class SharingTuning:
    """The numbers of what is shared.

    Args:
        recent: clips of one camera that the next one's first guess is made from.
    """

    recent: int = 5


class Shared:
    """What has won so far, by recipe, camera and frame size of the clips.

    Args:
        tuning: its numbers.
    """

    def __init__(self, tuning: SharingTuning = SharingTuning()) -> None:
        newest = partial(deque[Start], maxlen=tuning.recent)
        self._won: defaultdict[tuple[str, str], defaultdict[str, deque[Start]]] = defaultdict(
            partial(defaultdict, newest)
        )

    def add(self, state: State) -> None:
        """Add a clip that has ended; one that says nothing for others is left out."""
        quality = get_codec(state.codec).quality if state.codec else None
        if quality is None or state.status != DONE or state.kept_source:
            return
        value = state.used.get(quality.setting)
        if isinstance(value, int) and quality.setting not in state.settings:
            won = Start(float(state.used.get("scale", 1.0)), value)
            key = state.recipe, camera(state.group, state.uri)
            self._won[key][size_name(state.width, state.height)].append(won)

    def starts(self, task: Task) -> Mapping[str, Start]:
        """Return the first guess for a clip, by the frame sizes that it may turn out to have."""
        key = task.recipe, camera(task.group, task.uri)
        if key not in self._won:
            return {}
        return {size: _middle(won) for size, won in self._won[key].items()}


def camera(group: str, uri: str) -> str:
    """Return what clips of one camera have in common: their group, else their folder."""
    return f"group {group}" if group else posixpath.dirname(uri)


def size_name(width: int | None, height: int | None) -> str:
    """Return the name of a frame size: ``960x540``."""
    return f"{width}x{height}"


def _middle(won: "deque[Start]") -> Start:
    """Return the usual frame size, the newest of equals, and the middle quality at that size."""
    (scale, _), *_ = Counter(one.scale for one in reversed(won)).most_common(1)
    return Start(scale, median_low(one.crf for one in won if one.scale == scale))
