import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seesame.bitstream import mixing
from seesame.bitstream.mixing_loops import (
    DECODE,
    ENCODE,
    LARGEST,
    ONE,
    PLACE,
    PRICE,
    code_bit,
    mixed,
    train,
)
from seesame.errors import DamagedError

CHANCES = st.integers(1, ONE - 1)


def coded(bits: list[tuple[int, int]]) -> bytes:
    state, data, price = mixing.encoder_state(), np.zeros(4 * len(bits) + 8, np.uint8), np.zeros(1)
    for bit, chance in bits:
        assert code_bit(ENCODE, state, data, price, bit, chance) == bit
    return data[: state[PLACE]].tobytes() + mixing.last_bytes(state)


def decoded(data: bytes, chances: list[int], name: str = "a file") -> list[int]:
    state, price = mixing.decoder_state(data), np.zeros(1)
    array = np.frombuffer(bytearray(data or b"\0"), np.uint8)
    bits = [code_bit(DECODE, state, array, price, 0, chance) for chance in chances]
    mixing.check_place(state, data, name)
    mixing.check_end(state, data, name)
    return bits


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), CHANCES), max_size=200))
def test_bits_come_back_and_cost_what_their_chances_say(bits: list[tuple[int, int]]) -> None:
    data = coded(bits)
    assert decoded(data, [chance for _, chance in bits]) == [bit for bit, _ in bits]
    price = np.zeros(1)
    for bit, chance in bits:
        code_bit(PRICE, np.zeros(4, np.int64), np.zeros(1, np.uint8), price, bit, chance)
    ideal = sum(-math.log2((c if bit else ONE - c) / ONE) for bit, c in bits)
    assert price[0] == pytest.approx(ideal)
    assert len(data) * 8 <= ideal * 1.001 + 0.01 * len(bits) + 16


def test_likely_bits_are_almost_free() -> None:
    data = coded([(0, 1)] * 100_000 + [(1, ONE - 1)] * 100_000)
    assert len(data) <= 2


def test_the_end_is_exact() -> None:
    random = np.random.default_rng(0)
    bits = [(int(random.random() < 0.3), int(0.3 * ONE)) for _ in range(1000)]
    data, chances = coded(bits), [chance for _, chance in bits]
    for bad in (data[:-3], data + b"\0", data + b"x", data[:20], b""):
        with pytest.raises(DamagedError, match=r"^a file is damaged"):
            decoded(bad, chances)


def test_squash_is_the_logistic_function_and_stretch_its_inverse() -> None:
    squash, stretch = mixing.squash_table(), mixing.stretch_table()
    x = np.arange(-LARGEST, LARGEST + 1) / 1024
    assert np.abs(squash / ONE - 1 / (1 + np.exp(-x))).max() < 1 / ONE
    assert (np.diff(squash) >= 0).all()
    assert (squash + squash[::-1] == ONE).all()
    p = (np.arange(1, 65535) + 0.5) / 65536
    assert np.abs(stretch[1:-1] / 1024 - np.log(p / (1 - p))).max() < 0.02
    assert int(squash.astype(np.int64).sum()) == ONE * LARGEST + ONE // 2


def test_a_mixer_learns_which_input_to_trust() -> None:
    random = np.random.default_rng(1)
    weights, squash = np.full(2, 20000, np.int32), mixing.squash_table()
    for _ in range(3000):
        bit = int(random.random() < 0.5)
        inputs = np.array([2000 if bit else -2000, random.choice([-2000, 2000])], np.int32)
        chance = squash[mixed(inputs, weights) + LARGEST]
        train(inputs, weights, (((bit << 22) - int(chance)) * 64) >> 14)
    assert weights[0] > 10 * abs(weights[1])


def test_a_full_disk_only_keeps_loops_from_being_kept(tmp_path: Path) -> None:
    program = """
import errno
from numba.core import caching
def save(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")
caching.IndexDataCacheFile.save = save
from seesame.bitstream.mixing_loops import compiled
@compiled
def twice(value):
    return 2 * value
print(twice(21))
"""
    home = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    script = tmp_path / "script.py"  # numba keeps functions of files alone
    script.write_text(program)
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, env=home)
    assert ran.stdout == "42\n", ran.stderr
