"""The worst clips of a fleet: which they are, and the pictures of their worst moments."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image

from seesame.decoders import VideoDecoder
from seesame.errors import UserError
from seesame.fleet.storage import is_remote, joined, storage
from seesame.fleet.target.state import State
from seesame.perception.stack import Stack
from seesame.report.palette import DIFFERS
from seesame.video.clip import Frames


@dataclass(frozen=True)
class WorstTuning:
    """The numbers of the worst clips' pictures.

    Args:
        count: clips that are shown.
        width: of a picture in pixels, at most.
        quality: of WebP, of 100.
        most_fetched: bytes of a clip in an object store, above which it is not fetched for this.
    """

    count: int = 12
    width: int = 320
    quality: int = 72
    most_fetched: int = 256 << 20


TUNING = WorstTuning()


@dataclass(frozen=True)
class Pictures:
    """The second frame of a clip's worst pair, as ``data:`` URIs of WebP.

    Args:
        source: of the source.
        file: of the output.
        marked: of the output, with the pixels in yellow whose class has changed; None where
            another stack judged it.
    """

    source: str
    file: str
    marked: str | None


def worst_states(states: Iterable[State], count: int = TUNING.count) -> list[State]:
    """Return the finished clips with the highest ``100 seg + sqrt(10 pose)``, worst first.

    Clips whose outputs equal their sources are left out.
    """
    judged = [s for s in states if s.finished and (distortion(s) or 0.0) > 0 and is_below(s.out)]
    return sorted(judged, key=lambda state: (-(distortion(state) or 0.0), state.out))[:count]


def distortion(state: State) -> float | None:
    """Return the score without its rate term; None for a clip that was not judged."""
    if state.seg is None or state.pose is None:
        return None
    return float(100 * state.seg + (10 * max(state.pose, 0.0)) ** 0.5)


def is_below(out: str) -> bool:
    """Return whether an output's name leads nowhere but below the target."""
    path = PurePosixPath(out)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def pictures(
    state: State,
    target: str,
    scratch: Path,
    stack: Stack,
    device: str,
    tuning: WorstTuning = TUNING,
) -> Pictures:
    """Return pictures of the worst moment of a clip.

    Args:
        state: of the clip.
        target: the folder or URI of its output.
        scratch: a folder for what must be fetched.
        stack: the networks that find the classes. A state names its stack as well, but a file from
            elsewhere must not choose what is loaded.
        device: where the networks run.
        tuning: sizes.

    Raises:
        UserError: the source or the output is not there any more, or cannot be read.
    """
    source = _local(state.uri, scratch, tuning)
    output = _local(joined(target, state.out), scratch, tuning)
    number = 2 * (state.worst_pair or 0) + 1
    frames = [_frame(path, number) for path in (source, output)]
    height, width = frames[0].shape[:2]
    wide = min(tuning.width, width)
    size = wide, max(1, round(height * wide / width))  # an output may be a scaled one
    small = [Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC) for frame in frames]
    same = stack.fingerprint == state.fingerprint
    marked = _marked(small[1], frames, stack, device) if same else None
    uris = [_uri(one, tuning) for one in small]
    return Pictures(uris[0], uris[1], None if marked is None else _uri(marked, tuning))


def _local(path: str, scratch: Path, tuning: WorstTuning) -> Path:
    """Return a file on this machine, fetched where it is elsewhere. Raises UserError."""
    place = storage(path)
    found = place.stat(path)
    if found is None:
        raise UserError(f"{path}: is not there any more")
    if not is_remote(path):
        return Path(path)
    if found.size > tuning.most_fetched:
        raise UserError(f"{path}: is too large to be fetched for a picture")
    local = scratch / f"fetched{PurePosixPath(path).suffix[:16]}"
    place.fetch(path, local)
    return local


def _frame(path: Path, number: int) -> Frames:
    """Return one frame, ``uint8 (H, W, 3)``. Raises UserError."""
    try:
        found: Frames = VideoDecoder(path, dimension_order="NHWC")[number].numpy()
    except IndexError as error:
        raise UserError(f"{path}: has no frame {number} any more") from error
    return found


def _marked(
    picture: Image.Image, frames: list[Frames], stack: Stack, device: str
) -> Image.Image | None:
    """Return the output's picture with those pixels in yellow whose class differs.

    None where the networks give a scaled output a map of another size.
    """
    with torch.inference_mode():
        inputs = [torch.from_numpy(f[None]).to(device).permute(0, 3, 1, 2).float() for f in frames]
        classes = [stack.segment(one)[0].argmax(0).cpu().numpy() for one in inputs]
    if classes[0].shape != classes[1].shape:
        return None
    differs = Image.fromarray((classes[0] != classes[1]).astype(np.uint8) * 255)
    small = differs.resize(picture.size, Image.Resampling.BOX)
    mask = Image.fromarray((np.asarray(small) > 127).astype(np.uint8) * 255)
    over = Image.new("RGB", picture.size, tuple(int(level) for level in DIFFERS))
    return Image.composite(over, picture, mask)


def _uri(picture: Image.Image, tuning: WorstTuning) -> str:
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=tuning.quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
