"""One trial of a search: the figures of one encode, and what names them in the store."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seesame.jobs.environment import environment
from seesame.jobs.spec import Judged, Source
from seesame.metric.figures import Figures
from seesame.metric.score import Score
from seesame.metric.storage.cache import source_digest
from seesame.perception.stack import Stack
from seesame.video.clip import Clip


@dataclass(frozen=True)
class Trial:
    """The figures of one encode.

    Args:
        codec: name of the codec.
        settings: all of its settings.
        bytes: size of the file on disk.
        source_bytes: size of the source.
        seg: seg distortion of the decoded file, 0..1.
        pose: its pose distortion, 0 or more.
        encode_s: seconds of the encode; next to none where another trial's stream was used.
        judge_s: seconds of decoding and judging.
        figures: what limits bind; None for a trial of an older store.
    """

    codec: str
    settings: Mapping[str, Any]
    bytes: int
    source_bytes: int
    seg: float
    pose: float
    encode_s: float
    judge_s: float
    figures: Figures | None = None

    @classmethod
    def of(cls, outcome: Judged) -> "Trial":
        """Return the figures of a judged outcome. Raises ValueError when it was not judged."""
        return cls(
            outcome.codec,
            outcome.settings,
            outcome.bytes,
            outcome.source_bytes,
            outcome.score.seg,
            outcome.score.pose,
            round(outcome.encode_s, 3),
            round(outcome.judge_s, 3),
            outcome.figures,
        )

    @property
    def judged(self) -> Figures:
        """The figures that limits bind. Raises ValueError for a trial of an older store."""
        if self.figures is None:
            raise ValueError("a trial without the figures that limits bind")
        return self.figures

    @property
    def score(self) -> Score:
        """The score and its parts."""
        return Score(self.seg, self.pose, self.bytes / self.source_bytes)

    @property
    def distortion(self) -> float:
        """The score without its rate term."""
        return Score(self.seg, self.pose, 0.0).total


@dataclass(frozen=True)
class Subject:
    """Everything that all trials of a search have in common; searches with equal ones share trials.

    Args:
        clip: SHA-256 of the source's content, with its size and rate.
        stack: fingerprint of the perception networks.
        device: the torch device where they run.
        environment: see :func:`~seesame.jobs.environment.environment`.
        every_frame: whether every frame was judged for segmentation, not second frames alone.
    """

    clip: str
    stack: str
    device: str
    environment: Mapping[str, Any] = field(default_factory=dict)
    every_frame: bool = True

    @classmethod
    def of(
        cls,
        source: Source,
        clip: Clip,
        stack: Stack,
        device: str,
        threads: int | None = None,
        every_frame: bool = True,
    ) -> "Subject":
        """Return the subject of trials on a clip.

        Args:
            source: of the clip; its content is read.
            clip: what ``source`` opens.
            stack: the perception networks.
            device: the torch device where they run.
            threads: torch's threads in the processes that judge; those of this one when None.
            every_frame: whether every frame is judged for segmentation.
        """
        shape = f"{clip.width}x{clip.height}, {clip.num_frames} frames, {clip.fps} fps"
        if source.source_bytes is not None:
            shape += f", of {source.source_bytes} bytes"
        reading = getattr(clip, "reading", "")
        if reading:
            shape += f", {reading}"
        name = f"{source_digest(source.path)} {shape}"
        found = environment(device, threads)
        return cls(name, stack.fingerprint, device, found, every_frame)

    def key(self, codec: str, settings: Mapping[str, Any]) -> str:
        """Return the name of a trial in the store: a digest of all that its figures depend on."""
        values = {
            "clip": self.clip,
            "stack": self.stack,
            "device": self.device,
            "environment": dict(self.environment),
            "codec": codec,
            "settings": dict(settings),
            "every_frame": self.every_frame,
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
