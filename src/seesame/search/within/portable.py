"""The smallest portable file within limits: frame size and quality are found, all else is given.

A sample of the clip chooses the frame size, since bytes and distortions of a sample foretell those
of the whole well enough for that. The quality is then found on the whole clip. Where the stack has
gradients, encodes of the whole also tell how to correct the source for the next one
(:mod:`seesame.codecs.av.encoding.closed_loop`). What won on a clip of the same camera can take the
place of the sample: :class:`~seesame.search.within.found.Start`.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seesame.codecs.av.encoding.portable import LEAST_SIDE
from seesame.codecs.registry import codec_name
from seesame.context import EncodeMemory, Progress, no_note
from seesame.files import check_output
from seesame.jobs.portable import (
    MAX_SHARE,
    Portable,
    check_portable,
    place_portable,
    plan_portable,
    write_portable,
)
from seesame.jobs.spec import Source, silent
from seesame.jobs.trial import Trial
from seesame.jobs.workbench import Workbench
from seesame.metric.limits import Limits
from seesame.search.excerpt import sample, windows
from seesame.search.goal import Goal
from seesame.search.sampled import scaled
from seesame.search.space import SPACES, complete
from seesame.search.within.cheapest import CheapestTuning, cheapest, level
from seesame.search.within.found import Forecast, FoundPortable, PortableTuning, Start
from seesame.search.within.look import Look, relaxed
from seesame.temporary import temporary_folder
from seesame.video.clip import Clip


def finds_portable(settings: Mapping[str, Any]) -> bool:
    """Return whether a search has anything to find: the settings give no quality."""
    return "crf" not in settings and not settings.get("kbps")


def usual_scales(clip: Clip, tuning: PortableTuning) -> list[float]:
    """Return the frame sizes that a clip can be coded at, in the order in which they are tried."""
    least = (LEAST_SIDE + 1) / min(clip.width, clip.height)
    odd = clip.width % 2 or clip.height % 2
    return [s for s in tuning.scales if s == 1 or s >= least][: None if not odd else -1] or [1.0]


def find_portable(
    bench: Workbench,
    codec: str,
    settings: Mapping[str, Any],
    limits: Limits,
    out: Path,
    *,
    overwrite: bool = False,
    tracks: bool = True,
    max_share: float = MAX_SHARE,
    sampled: float | None = None,
    closed_loop: bool = True,
    start: Start | None = None,
    progress: Progress,
    tuning: PortableTuning = PortableTuning(),
) -> FoundPortable:
    """Write the smallest portable file that keeps limits; without limits, that of the best score.

    Args:
        bench: the clip and the stack.
        codec: name of a classical codec.
        settings: its settings, without a quality; with ``scale`` where the frame size is given.
        limits: what the file has to keep.
        out: the output.
        overwrite: replace an existing output.
        tracks: copy the tracks beside the video.
        max_share: as :func:`~seesame.jobs.portable.write_portable` takes it.
        sampled: seconds of the clip to choose the frame size on; the usual share when None.
        closed_loop: correct the source by earlier encodes, where limits bind the stack's outputs
            and the stack has gradients.
        start: what won on a clip of the same camera and size: it saves the sample, and most of the
            encodes. The limits are still confirmed on the whole of this clip.
        progress: called with the share done and a short text.
        tuning: of the search.

    Returns:
        The file; the nearest one where none keeps the limits.

    Raises:
        UserError: the codec refuses the settings or the clip, or the output cannot be written.
        MissingStackError: the bench has no stack.
        DamagedError: the clip ends early.
    """
    started = time.monotonic()
    check_output(out, overwrite)
    usual = {"scale": usual_scales(bench.clip, tuning)[0], **settings}
    check_portable(bench, plan_portable(bench, codec, usual), out, tracks)
    bench.reference()
    with temporary_folder() as folder:
        search = _Search(bench, codec, settings, limits, folder, progress, tuning, closed_loop)
        suffix, forecast = out.suffix.lower(), None
        made = [] if start is None else search.shared(start, suffix, tracks)
        shared = bool(made)
        if not shared:
            forecast = search.choose_size(sampled)
            made = search.whole(suffix, tracks)
        best = min(made, key=lambda one: search.goal.rank(Trial.of(one.file)))
        best = replace(best, file=replace(best.file, advice=search.advice(best.file)))
        file = place_portable(bench, best.file, out, overwrite=overwrite, max_share=max_share)
    seconds = time.monotonic() - started
    first = made[0].file.bytes
    return FoundPortable(file, forecast, first, search.spent, best.rounds, seconds, shared)


@dataclass(frozen=True)
class _Made:
    """A file of the whole clip, and by how many earlier ones its pictures were corrected."""

    file: Portable
    rounds: int


class _Search:
    """The state of one search.

    Args:
        bench: the clip and the stack.
        codec: name of the codec.
        settings: those that are given.
        limits: what the file has to keep.
        folder: for files on trial.
        progress: called with the share done and a short text.
        tuning: of the search.
        closed_loop: correct the source by earlier encodes, where that is possible.
    """

    def __init__(
        self,
        bench: Workbench,
        codec: str,
        settings: Mapping[str, Any],
        limits: Limits,
        folder: Path,
        progress: Progress,
        tuning: PortableTuning,
        closed_loop: bool,
    ) -> None:
        name = codec_name(codec)
        self.bench = replace(bench, memory=EncodeMemory(), stages=silent, note=no_note)
        self.codec, self.limits = name, bench.bound(limits)
        self.settings = {"preset": tuning.presets[name], **settings}
        self.folder, self.progress, self.tuning = folder, progress, tuning
        self.goal = Goal(self.limits)
        self.crfs: Sequence[int] = SPACES[name].axis("crf").values
        self.crf: int = complete(name, {})["crf"]
        self.spent = 0.0
        self.loop = closed_loop and self._can_correct()
        self._files = 0

    def choose_size(self, sampled: float | None) -> Forecast:
        """Choose the frame size and the CRF to start with, by encodes of a sample."""
        clip, tuning = self.bench.clip, self.tuning
        usual = min(tuning.most_seconds, tuning.share * clip.num_frames / float(clip.fps))
        spans = windows(clip, sampled or usual, tuning.window_seconds)
        piece = sample(clip, spans, self.folder)
        source = Source(piece.path, source_bytes=piece.source_bytes)
        part = replace(
            self.bench,
            clip=source.open(self.bench.device),
            path=None,
            outputs=None,
            memory=EncodeMemory(),
        )
        share = piece.frames / clip.num_frames
        limits = scaled(self.goal, share).limits
        if self.loop:
            # Without corrections, the sample may miss by what they are expected to gain.
            limits = relaxed(limits, math.exp(tuning.gains[0]))
        scales = self._scales()
        looks = [self._look(part, scale, limits, share) for scale in scales[:2]]
        if len(scales) > 2:
            smaller = looks[0].value(self.crfs) <= looks[1].value(self.crfs)
            looks.append(self._look(part, scales[2 if smaller else -1], limits, share))
        chosen = min(looks, key=lambda look: look.value(self.crfs))
        self.crf = chosen.crf(self.crfs)
        self.settings = {**self.settings, "scale": chosen.scale}
        seconds = float(np.mean([trial.encode_s for trial in chosen.found.values()]))
        return Forecast(round(math.exp(chosen.log_bytes(self.crf)) / share), seconds / share)

    def _scales(self) -> list[float]:
        """Return the frame sizes to try."""
        if "scale" in self.settings:
            return [self.settings["scale"]]
        return usual_scales(self.bench.clip, self.tuning)

    def _look(self, part: Workbench, scale: float, limits: Limits, share: float) -> Look:
        """Encode the sample at one frame size, near the CRF that just keeps the limits."""
        found: dict[int, Trial] = {}

        def measure(crf: int) -> Trial:
            settings = {**self.settings, "scale": scale, "crf": crf}
            file = self._written(part, settings, ".mkv", tracks=False, share=share)
            found[crf] = Trial.of(file)
            return found[crf]

        if limits.given:
            most = CheapestTuning(most=self.tuning.looks)
            cheapest(measure, limits, self.crfs, self.crf, most)
        else:
            for part_of_most in self.tuning.unlimited:
                measure(round(part_of_most * self.crfs[-1]))
        look = Look(scale, found, limits)
        self.crf = look.crf(self.crfs)
        return look

    def shared(self, start: Start, suffix: str, tracks: bool) -> list[_Made]:
        """Encode the whole clip as :meth:`whole`, beginning with what won on another clip.

        Returns:
            The files; none where the other clip's settings do not fit this one.
        """
        if start.scale not in self._scales():
            return []
        own = self.settings, self.crf
        self.settings = {**self.settings, "scale": start.scale}
        self.crf = self._inside(start.crf)
        made = self.whole(suffix, tracks, shared=True)
        if not made:
            self.settings, self.crf = own
        return made

    def whole(self, suffix: str, tracks: bool, shared: bool = False) -> list[_Made]:
        """Encode the whole clip, and return the files in the order in which they were made.

        Args:
            suffix: of the files.
            tracks: copy the tracks beside the video.
            shared: the settings are those that won on another clip. A file that keeps the limits
                closely is then enough; no file is returned where the first is far from them.
        """
        made: list[_Made] = []
        trials: dict[tuple[int, int], Trial] = {}

        def measure(crf: int, earlier: Sequence[Portable] = ()) -> Trial:
            key = crf, len(earlier)
            if key not in trials:
                settings = {**self.settings, "crf": crf}
                paths = [one.path for one in earlier]
                file = self._written(self.bench, settings, suffix, tracks=tracks, earlier=paths)
                made.append(_Made(file, len(paths)))
                trials[key] = Trial.of(file)
            return trials[key]

        start, tuning = self.crf, self.tuning
        most, earlier = math.floor(tuning.most - self.spent), list[Portable]()
        first = measure(start)
        if not self.limits.given:
            return made
        one, two = tuning.gains if self.loop else (0.0, 0.0)
        if shared and abs(level(self.limits, first) - two) > tuning.unlike:
            return []
        if self.loop:
            second = measure(start, [made[0].file])
            seen = level(self.limits, second) - (two - one)
            start = self._inside(start - math.ceil(seen / CheapestTuning().slope))
            earlier = [one.file for one in made]
            most = 1 if shared and self.goal.kept(second) else most - 2
        left = CheapestTuning(most=max(1, most), enough=tuning.enough if shared else 0.0)
        cheapest(lambda crf: measure(crf, earlier), self.limits, self.crfs, start, left)
        return made

    def advice(self, file: Portable) -> str:
        """Return what would help where a file misses a limit; empty where it keeps them."""
        distortion = [held for held in file.missed if held.name != "bytes"]
        if not file.missed:
            return ""
        if not distortion:
            return f"--max-bytes {file.bytes}"
        if self.limits.bytes is not None:
            return "without --max-bytes, or with higher limits"
        return "--set scale=1" if self.settings["scale"] < 1 else "higher limits"

    def _inside(self, crf: int) -> int:
        return min(max(crf, self.crfs[0]), self.crfs[-1])

    def _can_correct(self) -> bool:
        """Return whether limits bind classes, which corrections can bring back."""
        stack, limits = self.bench.stack, self.limits
        able = stack is not None and stack.differentiable and limits.on_seg
        usual = {"scale": self._scales()[0], **self.settings}
        return able and not plan_portable(self.bench, self.codec, usual).turned

    @property
    def _bounded(self) -> list[int]:
        """The numbers of the classes that have a limit of their own."""
        assert self.bench.stack is not None
        names = [bound.of for bound in self.limits.more if bound.figure == "seg"]
        return [i for i, name in enumerate(self.bench.stack.classes) if name in names]

    def _written(
        self,
        bench: Workbench,
        settings: Mapping[str, Any],
        suffix: str,
        *,
        tracks: bool,
        share: float = 1.0,
        earlier: Sequence[Path] = (),
    ) -> Portable:
        """Write a file on trial, and judge it."""
        self._files += 1
        text = f"encode {self._files}: " + ("a sample, " if share < 1 else "")
        text += f"scale {settings.get('scale', 1):g}, crf {settings['crf']}"
        text += ", corrected" if earlier else ""
        before = self.spent

        def told(done: float, _: str) -> None:
            self.progress(min(1.0, (before + done * share) / self.tuning.most), text)

        file = write_portable(
            bench,
            self.codec,
            settings,
            self.folder / f"{self._files}{suffix}",
            tracks=tracks,
            max_share=math.inf,
            limits=self.limits,
            progress=told,
            earlier=earlier,
            classes=self._bounded if earlier else (),
        )
        self.spent += share
        return file
