"""The functions ``seesame.compress`` and ``seesame.score``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seesame.context import Note, Progress, no_note, no_progress
from seesame.decoders import VideoDecoder, open_clip, resolve_device
from seesame.jobs.spec import Outcome
from seesame.jobs.workbench import Workbench
from seesame.metric.evaluator import evaluate
from seesame.metric.figures import Figures
from seesame.metric.limits import Limits
from seesame.metric.score import Score
from seesame.perception.registry import complete_stack
from seesame.perception.stack import Stack
from seesame.search.within.quality import encode_within, finds_quality
from seesame.video.clip import Clip


@dataclass(frozen=True, eq=False)
class Compressed:
    """A compressed clip, as it was read back from disk and judged; :meth:`save` writes it.

    Args:
        outcome: the file and its figures.
    """

    outcome: Outcome

    @property
    def nbytes(self) -> int:
        """Size of the file in bytes."""
        return self.outcome.bytes

    @property
    def score(self) -> Score:
        """The score and its parts: ``seg``, ``pose``, ``rate``, ``total``.

        Raises ValueError where the clip was compressed without a stack.
        """
        return self.outcome.score

    @property
    def codec(self) -> str:
        """Name of the codec."""
        return self.outcome.codec

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the codec was given."""
        return dict(self.outcome.settings)

    @property
    def seconds(self) -> float:
        """Wall seconds of the encode."""
        return self.outcome.encode_s

    @property
    def missed(self) -> dict[str, float]:
        """The limits that the file does not keep, and by how much it exceeds each."""
        return {one.name: one.by for one in self.outcome.missed}

    @property
    def figures(self) -> Figures:
        """The figures that limits bind: of every frame or, by the challenge's rule, of the second
        frames; with percentiles, classes and the worst moment.

        Raises ValueError where the clip was compressed without a stack.
        """
        return self.outcome.figures

    def check_limits(self) -> None:
        """Raise LimitsNotMetError, with figures, where the file does not keep every limit."""
        self.outcome.check_limits()

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the .ssm file: whole and verified, or not at all. Returns the path.

        Raises:
            OutputExistsError: it is there already, and ``overwrite`` is false.
            UserError: it cannot be written (no space, no permission).
        """
        self.outcome.container.write(Path(path), overwrite)
        return Path(path)


def compress(
    clip: Clip | str | Path,
    stack: Stack | None = None,
    *,
    codec: str = "hnerv",
    device: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    note: Note = no_note,
    **settings: Any,
) -> Compressed:
    """Compress a clip, read the file back from disk, and score it.

    Nothing is written to where it stays until :meth:`Compressed.save`.

    Args:
        clip: a clip from ``open_clip`` or ``open``, or the path of one.
        stack: the perception networks, from ``load_stack``: those that the codec trains against and
            that give the score. None for no score, with a codec that needs none.
        codec: its name, as ``seesame codecs`` lists them.
        device: where networks run: ``auto`` for a GPU where there is one, or a torch device.
        seed: of every random step; the same seed gives the same file.
        progress: called with the share of the encode that is done (0..1) and a short text.
        note: called with lines that the user should know.
        **settings: the codec's own, as ``crf=40`` or ``preset="fast"``; its page in the
            documentation lists them. Limits are among them: ``max_seg``, ``max_pose``,
            ``max_bytes``, ``target_score``. ``max_seg`` and ``max_pose`` are a number, a text as
            ``"p95=0.02"``, ``"worst=0.05"`` or ``"lane=0.05"``, or a list of these. Limits on seg
            bind every frame; with ``challenge_rule=True``, second frames alone. A classical codec
            finds the ``crf`` that keeps them with the fewest bytes, unless it is given.

    Raises:
        UnsupportedSettingError: the codec has no such setting, or does not take the value.
        MissingStackError: the codec needs a stack with these settings.
        UserError: unknown codec, or a clip that it cannot encode or that forms no pair.
        DamagedError: the clip is damaged.
    """
    where = resolve_device(device)
    path = Path(clip) if isinstance(clip, str | Path) else None
    opened = open_clip(clip, device=where) if isinstance(clip, str | Path) else clip
    opened = opened.clip if isinstance(opened, VideoDecoder) else opened
    if stack is not None:
        stack = complete_stack(stack, "the stack")
    bench = Workbench(opened, stack, where, path=path, note=note)
    limits, settings = Limits.split(settings)
    bench.challenge_rule = limits.challenge_rule
    if finds_quality(codec, settings, limits):
        found = encode_within(
            bench, codec, settings, limits, seed=seed, progress=progress or no_progress
        )
        return Compressed(found)
    outcome = bench.encode(
        codec, settings, judge=False, limits=limits, seed=seed, progress=progress
    )
    return Compressed(outcome if stack is None else bench.judged(outcome))


def score(
    reference: Clip | str | Path,
    file: Clip | str | Path,
    stack: Stack,
    *,
    nbytes: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Score:
    """Score a compressed or decoded file against its source.

    ``100 * seg + 25 * rate + sqrt(10 * pose)``; lower is better. The rate is the size of the file
    on disk over that of the source.

    Args:
        reference: the source, as a clip or a path.
        file: a clip, a decoded video or a path: an .ssm file, or a video of any kind.
        stack: the perception networks, from ``load_stack``.
        nbytes: bytes of the compressed file, where ``file`` was decoded from another one; its own
            size when None.
        device: where networks run: ``auto`` for a GPU where there is one, or a torch device.
        progress: called with the share done (0..1) and a short text.

    Returns:
        The averages over all pairs: ``seg``, ``pose``, ``rate`` and their sum ``total``.

    Raises:
        UserError: the two do not have the same size and number of frames, or form no pair.
        DamagedError: one is damaged.
    """
    where = resolve_device(device)
    source, decoded = (
        one if not isinstance(one, str | Path) else open_clip(one, device=where)
        for one in (reference, file)
    )
    size = decoded.source_bytes if nbytes is None else nbytes
    judge = complete_stack(stack, "the stack")
    return evaluate(
        source, decoded, judge, size, device=where, progress=progress, as_read=True
    ).score
