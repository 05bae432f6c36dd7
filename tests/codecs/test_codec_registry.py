import subprocess
import sys

import pytest

from seesame.codecs.registry import codec_by_id, codec_names, codecs, get_codec
from seesame.errors import DamagedError, UserError

IDS = {
    "copy": 0,
    "x264": 1,
    "x265": 2,
    "svtav1": 3,
    "vp9": 4,
    "hnerv": 16,
    "hybrid": 17,
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
        UserError, match=r"'h266'.*copy, x264, x265, svtav1, vp9, hnerv, hybrid, segments"
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
