"""Data loaders over .ssm files: the example of the docs, the same frames, and flat memory."""

import os
import re
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from random_files import random_hnerv
from torch.utils.data import DataLoader, Dataset

from seesame.codecs.registry import get_codec
from seesame.context import EncodeContext
from seesame.decoders import VideoDecoder, open_clip
from seesame.scene import SceneClip, SceneConfig
from seesame.video.clip import ArrayClip, Frames
from seesame.video.writing.writer import write_clip

ROOT = Path(__file__).resolve().parents[1]
COUNT, FILES = 24, 20


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty small files of several codecs."""
    folder = tmp_path_factory.mktemp("drives")
    scene = SceneClip(SceneConfig(width=100, height=80, seed=3), COUNT)
    clip = ArrayClip(np.concatenate(list(scene.batches(8))), 20)
    write_clip(folder / "source.mp4", clip.batches(8), fps=clip.fps, width=100, height=80, crf=20)
    makers = {
        "hnerv": lambda seed: random_hnerv(clip, seed=seed),
        "x264": lambda seed: encoded("x264", crf=20 + seed, gop=8),
        "svtav1": lambda seed: encoded("svtav1", crf=20 + seed, gop=8, preset=12),
        "copy": lambda seed: get_codec("copy").encode(
            open_clip(folder / "source.mp4"), {}, EncodeContext()
        ),
    }

    def encoded(name: str, **settings: object):  # type: ignore[no-untyped-def]
        return get_codec(name).encode(clip, settings, EncodeContext())

    for number in range(FILES):
        name = list(makers)[number % len(makers)]
        makers[name](number).write(folder / f"{number:02}-{name}.ssm")
    (folder / "source.mp4").unlink()
    return sorted(folder.glob("*.ssm"))


class Random(Dataset):  # type: ignore[type-arg]
    """Random frames, which are chosen by the number asked for, and the reader's memory."""

    def __init__(self, paths: list[Path], reads: int) -> None:
        self.videos = [VideoDecoder(path) for path in paths]
        for video in self.videos[::2]:
            video[5]  # decoders that are at work when the workers start
        self.reads = reads

    def __len__(self) -> int:
        return self.reads

    def __getitem__(self, index: int) -> tuple[int, int, torch.Tensor, int]:
        video, number = index % len(self.videos), index * 7919 % COUNT
        memory = psutil.Process(os.getpid()).memory_info().rss
        return video, number, self.videos[video][number], memory


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_the_frames_of_one_pass(start: str, files: list[Path]) -> None:
    whole: list[Frames] = [np.concatenate(list(open_clip(path).batches(8))) for path in files]
    reads = 200 if start == "fork" else 60
    loader = DataLoader(Random(files, reads), 4, num_workers=2, multiprocessing_context=start)
    seen = 0
    for videos, numbers, frames, _ in loader:
        for video, number, frame in zip(videos, numbers, frames, strict=True):
            assert np.array_equal(frame.permute(1, 2, 0), whole[video][number])
            seen += 1
    assert seen == reads


def test_memory_does_not_grow(files: list[Path]) -> None:
    """A frame has 24 kB: one that stayed behind at every read would make 14 MB."""
    loader = DataLoader(Random(files, 1200), 4, num_workers=2, multiprocessing_context="fork")
    memory = [sizes.tolist() for *_, sizes in loader]
    for worker in (memory[::2], memory[1::2]):  # they take turns
        half = np.concatenate(worker[len(worker) // 2 :])
        assert half[-40:].mean() - half[:40].mean() < 4e6


def test_the_example_of_the_docs(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    text = (ROOT / "docs" / "data_loading.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    (tmp_path / "drives").symlink_to(files[0].parent)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    exec(compile(code, "docs/data_loading.md", "exec"), {"__name__": "example"})
    found = re.fullmatch(r"loss (\d\.\d\d)\n", capfd.readouterr().out)
    assert found is not None
    assert 0.3 < float(found[1]) < 1.5
