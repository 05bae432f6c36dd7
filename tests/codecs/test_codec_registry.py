import subprocess
import sys
from pathlib import Path

import pytest

from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id, codec_names, codecs, get_codec
from seesame.errors import DamagedError, UserError

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
IDS = {
    "copy": 0,
    "x264": 1,
    "x265": 2,
    "svtav1": 3,
    "vp9": 4,
    "hnerv": 16,
    "hybrid": 17,
    "semantic": 19,
    "segments": 18,
}


@pytest.mark.parametrize(("name", "codec_id"), IDS.items())
def test_ids_never_change(name: str, codec_id: int) -> None:
    codec = get_codec(name)
    assert (codec.name, codec.codec_id) == (name, codec_id)
    assert codec_by_id(codec_id) is codec
    assert codec.summary


def test_all_codecs_are_listed() -> None:
    assert [codec.name for codec in codecs()] == list(codec_names()) == list(IDS)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        UserError, match=r"'h266'.*copy, x264, x265, svtav1, vp9, hnerv, hybrid, semantic, segments"
    ):
        get_codec("h266")


def test_an_unknown_id_is_damage() -> None:
    with pytest.raises(DamagedError, match="codec id 99"):
        codec_by_id(99)


def test_names_cost_no_import() -> None:
    code = (
        "import sys; from seesame.codecs.registry import codec_names; codec_names(); "
        "assert not {'seesame.codecs.av.codec', 'seesame.codecs.hnerv.codec'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", codec_names())
def test_a_file_of_another_codec_is_no_damage(name: str) -> None:
    golden = Container.read(GOLDEN / "hybrid" / "small.ssm")
    if name == "hybrid":
        golden = Container.read(GOLDEN / "av" / "x264.ssm")
    with pytest.raises(UserError, match=f"made by another codec than {name}") as caught:
        get_codec(name).decode(golden)
    assert not isinstance(caught.value, DamagedError)
