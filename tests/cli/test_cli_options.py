"""What stands behind the shared flags."""

from fractions import Fraction

import pytest
import torch

from seesame.cli.options import (
    Device,
    parse_duration,
    parse_fps,
    parse_settings,
    parse_size,
    resolve_device,
)
from seesame.errors import UserError


def test_sizes() -> None:
    assert parse_size(None) is None
    assert parse_size("1164x874") == (1164, 874)
    assert parse_size("2X4") == (2, 4)


@pytest.mark.parametrize("text", ["", "x", "12", "12x", "0x5", "-1x5", "1.5x2", "1x2x3"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(UserError, match="--size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "fps"),
    [("20", Fraction(20)), ("30000/1001", Fraction(30000, 1001)), ("23.976", Fraction(2997, 125))],
)
def test_frame_rates(text: str, fps: Fraction) -> None:
    assert parse_fps(text) == fps


@pytest.mark.parametrize("text", ["", "0", "-1", "1/0", "fast", "nan", "inf"])
def test_bad_frame_rates(text: str) -> None:
    with pytest.raises(UserError, match="--fps"):
        parse_fps(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("20m", 1200), ("1.5h", 5400), ("0.5", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1m", "m", "1d", "nan", "inf", "1e999h"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(UserError, match="--budget"):
        parse_duration(text)


def test_settings_are_json_where_they_can_be() -> None:
    assert parse_settings(["crf=40", "scale=0.5", "grain=true", "kernel=lanczos", "x=a=b"]) == {
        "crf": 40,
        "scale": 0.5,
        "grain": True,
        "kernel": "lanczos",
        "x": "a=b",
    }


@pytest.mark.parametrize("pairs", [["crf"], ["=4"], ["crf=1", "crf=2"]])
def test_bad_settings(pairs: list[str]) -> None:
    with pytest.raises(UserError, match="--set"):
        parse_settings(pairs)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device(Device.auto) == resolve_device(Device.cpu) == "cpu"
    for device in (Device.cuda, Device.mps):
        with pytest.raises(UserError, match=device.value):
            resolve_device(device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device(Device.auto) == "cuda"
