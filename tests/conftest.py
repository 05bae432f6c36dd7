"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
import torch


def pytest_configure() -> None:
    torch.set_num_threads(min(2, os.cpu_count() or 1))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real clips; the test is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data" / "clips").is_dir():
        pytest.skip("needs ../shared (the real clips) beside the checkout")
    return folder
