"""The speed of decoding, and the time of a random frame.

    python bench/decoding.py [--frames 1200] [--repeats 3] [--only hnerv,random,...]
    python bench/decoding.py --reads 10000    # a data loader over 20 files, and its memory

Every figure is that of a process of its own: frames a second from the first frame asked for to the
last one, and of the whole process, imports included. The hnerv files hold random weights of the
sizes that a minute of 1164x874 gets: decoding takes as long whatever the weights are. Classical
files are a minute of the synthetic drive. torchcodec, where it can be imported, decodes the same
stream to RGB; else PyAV's own conversion stands in for it, and the line says so.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from common import Results

WIDTH, HEIGHT = 1164, 874
BATCH = 16


def random_hnerv(path: Path, frames: int, render: tuple[int, int]) -> None:
    """Write a file of hnerv with random weights."""
    import torch

    from seesame.bitstream.container import Container, Section
    from seesame.codecs.hnerv.architecture import Architecture, pack_architecture
    from seesame.codecs.hnerv.representation import LATENTS, Representation
    from seesame.neural.weights.pack import pack_stream, pack_weights

    torch.manual_seed(0)
    architecture = Architecture(render, 37, (24, 22, 20, 18, 16))
    network = Representation(architecture, -(-frames // 2))
    network.start_quantising()
    weights, streams = network.symbols()
    sections = {
        Section.MODEL: pack_architecture(architecture),
        Section.WEIGHTS: pack_weights(weights, network.specs),
        Section.LATENTS: pack_stream(streams[LATENTS]),
    }
    container = Container(16, WIDTH, HEIGHT, Fraction(20), frames, 1, sections)
    container.write(path)


def classical(path: Path, name: str, frames: int, scale: float) -> None:
    """Write a drive as an .ssm file of a classical codec, and its stream as an .mkv."""
    import av

    from seesame.bitstream.container import Container
    from seesame.codecs.av.stream import read_stream
    from seesame.codecs.registry import get_codec
    from seesame.context import EncodeContext
    from seesame.scene import SceneClip, SceneConfig

    scene = SceneClip(SceneConfig(width=WIDTH, height=HEIGHT, seed=1), frames)
    settings = {"crf": {"x264": 26, "x265": 28}.get(name, 40), "preset": FAST[name], "gop": 40}
    settings["scale"] = scale
    get_codec(name).encode(scene, settings, EncodeContext()).write(path)
    head, packets = read_stream(Container.read(path), name)
    with av.open(str(path.with_suffix(".mkv")), "w") as container:
        stream = container.add_stream(ENCODERS[name], rate=20)
        stream.width, stream.height, stream.pix_fmt = head.width, head.height, "yuv420p"
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 20)
            packet.pts = packet.dts = number
            packet.is_keyframe = number % 40 == 0
            container.mux(packet)


FAST = {"svtav1": 10, "x264": "veryfast", "vp9": 8}
ENCODERS = {"svtav1": "libsvtav1", "x264": "libx264", "vp9": "libvpx-vp9"}


def sequential(path: str) -> tuple[int, float]:
    """Decode a file into memory; frames, and seconds from the first call on."""
    from seesame.decoders import open_clip

    clip = open_clip(path)
    start = time.perf_counter()
    count = sum(len(batch) for batch in clip.batches(BATCH))
    return count, time.perf_counter() - start


def saved(path: str, suffix: str) -> tuple[int, float]:
    """Decode a file into another one."""
    import seesame

    video = seesame.open(path)
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        start = time.perf_counter()
        video.save(Path(folder, f"out{suffix}"))
        return len(video), time.perf_counter() - start


def random_frames(path: str, count: int = 200) -> tuple[int, float]:
    """Take random frames, after a few that load what is loaded once."""
    import numpy as np

    import seesame

    video = seesame.open(path)
    numbers = np.random.default_rng(0).integers(0, len(video), count + 40).tolist()
    for number in numbers[:40]:
        video[number]
    start = time.perf_counter()
    for number in numbers[40:]:
        video[number]
    return count, time.perf_counter() - start


def torchcodec(path: str) -> tuple[int, float]:
    """Decode a stream to RGB by torchcodec, into memory."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(path, num_ffmpeg_threads=0, seek_mode="approximate")
    start = time.perf_counter()
    count = 0
    while count < len(decoder):
        count += len(decoder.get_frames_in_range(count, min(count + BATCH, len(decoder))))
    return count, time.perf_counter() - start


def pyav(path: str) -> tuple[int, float]:
    """Decode a stream to RGB by PyAV's own conversion, into memory."""
    import av

    start = time.perf_counter()
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        count = 0
        for frame in container.decode(stream):
            frame.to_ndarray(format="rgb24")
            count += 1
    return count, time.perf_counter() - start


def loader(folder: str, reads: int) -> tuple[int, float]:
    """Read random frames of 20 files in two workers; print the workers' memory on the way."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    import seesame

    paths = sorted(Path(folder).glob("loader*.ssm"))

    class Frames(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.videos = [seesame.open(path) for path in paths]

        def __len__(self) -> int:
            return reads

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
            video = self.videos[index % len(self.videos)]
            frame = video[index * 7919 % len(video)]
            return frame, os.getpid(), rss(os.getpid())

    start = time.perf_counter()
    seen: dict[int, list[int]] = {}
    for _, workers, sizes in DataLoader(Frames(), batch_size=4, num_workers=2):
        for worker, size in zip(workers.tolist(), sizes.tolist(), strict=True):
            seen.setdefault(worker, []).append(size)
    seconds = time.perf_counter() - start
    for sizes in seen.values():
        tenth = max(1, len(sizes) // 10)
        told = [round(sum(sizes[i : i + tenth]) / tenth / 1e6) for i in range(0, len(sizes), tenth)]
        print(f"memory of a worker, MB, by tenths of its reads: {told}", file=sys.stderr)
    return reads, seconds


def rss(pid: int) -> int:
    """Return the memory of a process in bytes."""
    import psutil

    return int(psutil.Process(pid).memory_info().rss)


def measured(work: str, *words: object) -> tuple[float, float, float]:
    """Run some work in a process of its own: frames a second, of the whole process, peak MB."""
    command = [sys.executable, __file__, "--work", work, *map(str, words)]
    start = time.perf_counter()
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    whole = time.perf_counter() - start
    count, seconds, peak = json.loads(ran.stdout.splitlines()[-1])
    return count / seconds, count / whole, peak


WORK: dict[str, Callable[..., tuple[int, float]]] = {
    "sequential": sequential,
    "saved": saved,
    "random": random_frames,
    "torchcodec": torchcodec,
    "pyav": pyav,
    "loader": lambda folder, reads: loader(folder, int(reads)),
}


def report(what: str, rates: list[tuple[float, float, float]], bar: str) -> None:
    """Print a figure's median, and keep it."""
    fps, whole, peak = (statistics.median(values) for values in zip(*rates, strict=True))
    best = max(rate for rate, _, _ in rates)
    print(
        f"{what:44} {fps:7.1f} frames/s ({1000 / fps:6.2f} ms; best {best:.1f}; whole process "
        f"{whole:.1f}), {peak:.0f} MB   {bar}",
        flush=True,
    )
    line = {"what": what, "fps": round(fps, 2), "best": round(best, 2), "whole": round(whole, 2)}
    Results("decoding", append=True).add(line | {"peak_mb": round(peak), "repeats": len(rates)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--reads", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--work", nargs="+")
    options = parser.parse_args()
    if options.work:
        name, *words = options.work
        count, seconds = WORK[name](*words)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(json.dumps([count, seconds, peak]))
        return
    with tempfile.TemporaryDirectory(prefix="seesame-decoding-") as folder:
        if options.reads:
            for number in range(20):
                random_hnerv(Path(folder, f"loader{number:02}.ssm"), 100, (192, 256))
            read = measured("loader", folder, options.reads)
            report(f"data loader, {options.reads} reads", [read], "")
            return
        run(Path(folder), options)


def run(folder: Path, options: argparse.Namespace) -> None:
    """Measure everything, or what ``--only`` names."""
    only = set(filter(None, options.only.split(",")))

    def several(what: str, bar: str, *words: object) -> None:
        report(what, [measured(*map(str, words)) for _ in range(options.repeats)], bar)

    if not only or "hnerv" in only:
        small, large = folder / "small.ssm", folder / "large.ssm"
        random_hnerv(small, options.frames, (192, 256))
        random_hnerv(large, options.frames, (384, 512))
        several("hnerv, 256x192, into memory", "bar 250", "sequential", small)
        several("hnerv, 512x384, into memory", "bar 120", "sequential", large)
        several("hnerv, 256x192, a random frame", "bar 15 ms", "random", small)
        several("hnerv, 512x384, a random frame", "", "random", large)
        several("hnerv, 256x192, to .raw", "bar 120", "saved", small, ".raw")
        several("hnerv, 256x192, to a lossless .mkv", "bar 60", "saved", small, ".mkv")
    for name in FAST:
        if only and name not in only:
            continue
        path, half = folder / f"{name}.ssm", folder / f"{name}-half.ssm"
        classical(half, name, min(options.frames, 400), 0.5)
        several(f"{name} .ssm, scale 0.5, into memory", "", "sequential", half)
        classical(path, name, min(options.frames, 400), 1.0)
        several(f"{name} .ssm, into memory", "", "sequential", path)
        several(f"{name} .ssm, a random frame", "", "random", path)
        try:
            several(f"{name}, torchcodec", "bar: 1.3 times", "torchcodec", path.with_suffix(".mkv"))
        except subprocess.CalledProcessError:
            several(f"{name}, PyAV rgb24", "bar: 1.3 times", "pyav", path.with_suffix(".mkv"))


if __name__ == "__main__":
    main()
