"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"
REQUIRE_SHARED = "SEESAME_REQUIRE_SHARED"
"""Set by .ci/run where the real clips are present: a skip that names them is then a failure."""


def pytest_configure() -> None:
    torch.set_num_threads(min(2, os.cpu_count() or 1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Turn a skip for want of ``../shared`` into a failure where ``../shared`` is there."""
    report = yield
    excuse = str(report.longrepr)
    if report.skipped and "../shared" in excuse and os.environ.get(REQUIRE_SHARED):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped although {SHARED} is required: {excuse}"
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real clips; the test is skipped where it is absent."""
    if not (SHARED / "data" / "clips").is_dir():
        pytest.skip("needs ../shared (the real clips) beside the checkout")
    return SHARED
