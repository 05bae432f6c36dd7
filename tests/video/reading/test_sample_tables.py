"""Headers that claim more samples than a file can hold are refused before FFmpeg lists them."""

import contextlib
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import quicktime
from videos import make_frames, make_video, read_all

from seesame.bounds import BOUNDS
from seesame.errors import DamagedError
from seesame.video.reading.reader import open_clip
from seesame.video.reading.tables import check_tables


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", quicktime.CLAIMS)
def test_claims_are_refused(name: str, tmp_path: Path) -> None:
    path = put(tmp_path / "a.mov", quicktime.CLAIMS[name])
    with pytest.raises(DamagedError, match=r"a\.mov: damaged: ") as refused:
        open_clip(path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_container_behind_other_bytes_is_counted_from_its_start(tmp_path: Path) -> None:
    path = put(tmp_path / "a.mov", b"GPS 48.1 11.5\r\n" * 30 + quicktime.CLAIMS["many sizes"])
    with pytest.raises(DamagedError, match="its tables claim"):
        open_clip(path)


def test_long_sound_is_listed_by_its_chunks(tmp_path: Path) -> None:
    """Plain sound has a sample for each instant, but FFmpeg makes an entry for many of them."""
    path, seconds = tmp_path / "a.mov", 120
    with av.open(str(path), "w") as out:
        film = out.add_stream("libx264", rate=1, width=64, height=48, pix_fmt="yuv420p")
        sound = out.add_stream("pcm_u8", rate=48000, layout="mono")
        for number, picture in enumerate(make_frames(seconds)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = number
            out.mux(film.encode(frame))
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.uint8), "u8", "mono")
            heard.sample_rate, heard.pts = 48000, number * 48000
            out.mux(sound.encode(heard))
        out.mux(film.encode(None))
        out.mux(sound.encode(None))
    data = path.read_bytes()
    at = data.rindex(b"stsz")
    assert struct.unpack(">I", data[at + 12 : at + 16])[0] > BOUNDS.samples
    assert open_clip(path).num_frames == seconds


@pytest.mark.parametrize("options", [{}, {"movflags": "frag_every_frame+dash+global_sidx"}])
def test_honest_files_are_read(options: dict[str, str], tmp_path: Path) -> None:
    frames = make_frames(20)
    path = make_video(tmp_path / "a.mp4", frames, **options)
    assert len(read_all(open_clip(path))) == 20


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_are_counted(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    names = list(quicktime.CLAIMS)
    data = bytearray(quicktime.CLAIMS[names[seed % len(names)]][:5000])
    for at in rng.integers(0, len(data), 12):
        data[at] = rng.integers(0, 256)
    with contextlib.suppress(DamagedError):
        check_tables(put(tmp_path / "a.mov", bytes(data)))
