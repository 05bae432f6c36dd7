"""Training a shared renderer from a user's drives, from folders of clips to the file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from seesame.codecs.semantic.shared import SharedRenderer
from seesame.codecs.semantic.training.drives import Seen, seen_in_clip, seen_in_scenes
from seesame.codecs.semantic.training.loop import disagreement
from seesame.codecs.semantic.training.settings import TrainingSettings
from seesame.codecs.semantic.training.train import Training, check_stack, train_shared
from seesame.decoders import open_clip
from seesame.errors import UserError
from seesame.files import beside
from seesame.jobs.spec import Stages, silent
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack
from seesame.video.clip import Clip
from seesame.video.reading.images import PICTURES

VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".hevc", ".h264", ".ts", ".y4m", ".ssm")
"""The suffixes by which clips are found in folders; a clip that is named may have any."""
TEST_PAIRS = 100
"""Pairs of each clip on which a renderer is tested."""
PICTURES_FPS = 20
"""Frames a second of a folder of pictures; masks do not depend on it."""

Note = Callable[[str], None]


@dataclass(frozen=True)
class RendererJob:
    """The training of one renderer.

    Args:
        stack: name of the stack, as ``load_stack`` takes it.
        drives: clips, and folders in which clips are looked for.
        out: the file to write; its checkpoint lies beside it until it is done.
        settings: how long, how many synthetic drives, and the seed.
        tests: clips that are kept out of the training, on which the renderer is tested.
        start: a renderer to start from.
        device: where the networks run, a torch device.
        resume: go on with a training that was stopped.
        overwrite: replace ``out`` if it is there.
    """

    stack: str
    drives: tuple[Path, ...]
    out: Path
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    tests: tuple[Path, ...] = ()
    start: Path | None = None
    device: str = "cpu"
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Tested:
    """How well a renderer draws one clip.

    Args:
        clip: which.
        masks: how many were drawn.
        mean: share of their pixels that the stack sees otherwise than the masks say.
        worst: the same of the worst mask.
    """

    clip: Path
    masks: int
    mean: float
    worst: float


@dataclass(frozen=True)
class Trained:
    """A renderer that was trained, the masks it was trained on, and its tests."""

    shared: SharedRenderer
    masks: int
    tests: tuple[Tested, ...]


def train(job: RendererJob, stages: Stages = silent, note: Note = lambda line: None) -> Trained:
    """Train a renderer, write it and test it.

    Args:
        job: what to train on, and how.
        stages: called with the label of a stage that begins.
        note: called with a line about each clip that cannot be used.

    Raises:
        UserError: a stack for which no renderer can be trained, drives that are missing or of no
            use, a checkpoint of another training, or an output that cannot be written.
        DamagedError: the renderer to start from, or a clip for tests, is damaged.
    """
    stack = load_stack(job.stack, job.device)
    check_stack(stack)
    start = None if job.start is None else SharedRenderer.read(job.start)
    clips = find_clips(job.drives)
    same = {path.resolve() for path in clips} & {path.resolve() for path in job.tests}
    if same:
        raise UserError(f"{min(same)}: is a clip for tests and among the drives; choose one")
    for path in job.tests:
        _open(path, job.device)  # before anything is computed
    drives = _drives(job, stack, clips, stages, note)
    training = Training(
        stack=stack,
        drives=drives,
        settings=job.settings,
        device=job.device,
        stages=stages,
        folder=beside(job.out, ".work"),
        resume=job.resume,
        start=start,
    )
    shared = train_shared(training)
    shared.write(job.out, job.overwrite)
    tests = tuple(run_test(shared, stack, clip, job.device, stages) for clip in job.tests)
    return Trained(shared, sum(2 * len(seen.second) for seen in drives), tests)


def _drives(
    job: RendererJob, stack: Stack, clips: list[Path], stages: Stages, note: Note
) -> list[Seen]:
    """Return what the stack sees in all drives, the synthetic ones first."""
    found = []
    if job.settings.synthetic:
        with stages("synthetic drives") as told:
            found.append(
                seen_in_scenes(
                    stack,
                    job.settings.synthetic,
                    job.device,
                    job.settings.seed,
                    lambda share: told(share, ""),
                )
            )
    pairs = max(1, job.settings.masks // 2)
    some = [clips[i * len(clips) // pairs] for i in range(pairs)] if len(clips) > pairs else clips
    most = max(1, pairs // max(1, len(some)))
    with stages("drives") as told:
        for index, path in enumerate(some):
            told(index / len(some), path.name)
            try:
                found.append(_seen(path, stack, job.device, most))
            except UserError as error:
                note(f"not trained on: {error}")
    if not found:
        raise UserError("there is nothing to train on: name drives, or allow synthetic ones")
    return found


def _seen(path: Path, stack: Stack, device: str, most: int) -> Seen:
    return seen_in_clip(_open(path, device), stack, device, most)


def _open(path: Path, device: str) -> Clip:
    """Return a clip of one pair or more. Raises UserError."""
    clip = open_clip(path, fps=PICTURES_FPS if path.is_dir() else None, device=device)
    if clip.num_frames < 2:
        raise UserError(f"{path}: has one frame, which forms no pair")
    return clip


def run_test(
    shared: SharedRenderer, stack: Stack, path: Path, device: str, stages: Stages = silent
) -> Tested:
    """Return how well a renderer draws pairs spread over a clip. Raises UserError."""
    with stages(f"test on {path.name}") as told:
        masks = _seen(path, stack, device, TEST_PAIRS).masks
        told(0.5, "")
        shares = disagreement(shared.renderer.to(torch.device(device)), stack, masks, device)
    return Tested(path, len(masks), float(shares.mean()), float(shares.max()))


def find_clips(paths: Sequence[Path]) -> list[Path]:
    """Return the clips that files and folders stand for, in a fixed order, each once.

    A file is a clip, as is a folder with pictures; other folders are searched.

    Raises:
        UserError: there is no such file, or a folder holds no clip.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: there is no such file or folder")
        inside = _clips_in(path) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: holds no clip ({', '.join(VIDEOS)}, or pictures)")
        found += inside
    return list(dict.fromkeys(found))


def _clips_in(folder: Path) -> list[Path]:
    """Return the clips in a folder and its folders."""
    try:
        entries = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from error
    if any(one.suffix.lower() in PICTURES and one.is_file() for one in entries):
        return [folder]
    found = []
    for one in entries:
        if one.is_dir() and not one.is_symlink():  # a link may lead round in a circle
            found += _clips_in(one)
        elif one.suffix.lower() in VIDEOS:
            found.append(one)
    return found
