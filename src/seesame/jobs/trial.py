"""One trial: a file on disk, read back, decoded and judged."""

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import seesame
from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id, get_codec
from seesame.context import EncodeContext
from seesame.metric.evaluator import ReferenceOutputs, evaluate
from seesame.metric.score import Score
from seesame.perception.stack import Stack
from seesame.video.clip import Clip


@dataclass(frozen=True)
class Trial:
    """What one encode came to.

    Args:
        codec: its name.
        settings: all of its settings.
        bytes: size of the file on disk.
        source_bytes: size of the source.
        seg: seg distortion of the decoded file.
        pose: its pose distortion.
        encode_s: seconds of the encode; none to speak of where another trial's stream was used.
        judge_s: seconds of decoding and judging.
    """

    codec: str
    settings: Mapping[str, Any]
    bytes: int
    source_bytes: int
    seg: float
    pose: float
    encode_s: float
    judge_s: float

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
    """What all trials of a search have in common; two searches with the same share their trials.

    Args:
        clip: SHA-256 of the source's content, with its size and rate where those are given.
        stack: fingerprint of the judges.
        device: where they run.
    """

    clip: str
    stack: str
    device: str

    def key(self, codec: str, settings: Mapping[str, Any]) -> str:
        """Names a trial: everything that its figures depend on."""
        values = {
            "clip": self.clip,
            "stack": self.stack,
            "device": self.device,
            "codec": codec,
            "settings": dict(settings),
            "seesame": seesame.__version__,
            "encoders": version("av"),
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def run_trial(
    clip: Clip,
    outputs: ReferenceOutputs,
    stack: Stack,
    codec: str,
    settings: Mapping[str, Any],
    context: EncodeContext,
) -> Trial:
    """Encode, write, read back, decode and judge.

    Args:
        clip: the source.
        outputs: what ``stack`` sees in it.
        stack: the judges.
        codec: by its name.
        settings: the codec's.
        context: with the judges and their device. Its ``kept`` saves the encode where the trial
            before it has the same stream.

    Raises:
        UserError: the encoder refuses the settings or the clip.
        DamagedError: the clip ends early.
    """
    return encoded_and_judged(clip, outputs, stack, codec, settings, context)[0]


def encoded_and_judged(
    clip: Clip,
    outputs: ReferenceOutputs,
    stack: Stack,
    codec: str,
    settings: Mapping[str, Any],
    context: EncodeContext,
) -> tuple[Trial, Container]:
    """As :func:`run_trial`, any codec; also the file, as read back from disk."""
    with tempfile.TemporaryDirectory(prefix="seesame-search-") as folder:
        path = Path(folder) / "trial.ssm"
        start = time.monotonic()
        size = get_codec(codec).encode(clip, settings, context).write(path)
        encoded = time.monotonic()
        container = Container.read(path)
        decoded = codec_by_id(container.codec_id).decode(container, context.device)
        found = evaluate(outputs, decoded, stack, size, device=context.device)
        judged = time.monotonic()
    trial = Trial(
        codec,
        dict(settings),
        size,
        clip.source_bytes,
        found.score.seg,
        found.score.pose,
        round(encoded - start, 3),
        round(judged - encoded, 3),
    )
    return trial, container
