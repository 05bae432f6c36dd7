"""Fixtures shared by all tests."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from command import Ran

SHARED = Path(__file__).resolve().parents[2] / "shared"
REQUIRED = {
    "SEESAME_REQUIRE_SHARED": "../shared",
    "SEESAME_REQUIRE_CHROMIUM": "chromium",
    "SEESAME_REQUIRE_BUBBLEWRAP": "bubblewrap",
}
"""Set by .ci/run for what is there: a skip that names it is then a failure."""


def pytest_configure() -> None:
    # A busy machine is no failure.
    hypothesis.settings.register_profile("seesame", deadline=None)
    hypothesis.settings.load_profile("seesame")
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    # A shell's background ignores Ctrl-C, and nohup the end of the terminal; commands inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Turn a skip for want of something into a failure where that is required."""
    report = yield
    excuse = str(report.longrepr)
    for variable, what in REQUIRED.items():
        if report.skipped and what in excuse and os.environ.get(variable):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} skipped although {what} is required: {excuse}"
    return report


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of reference outputs, and a store of trials, for the tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEESAME_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SEESAME_SEARCH", str(tmp_path_factory.mktemp("search") / "search.sqlite"))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real clips; the test is skipped where it is absent."""
    if not (SHARED / "data" / "clips").is_dir():
        pytest.skip("needs ../shared (the real clips) beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("chromium cannot be driven: playwright is not installed (the dev extra)")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("needs chromium")
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def seesame(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the real command line in this process: ``seesame("info", path)``."""
    from seesame.cli.main import main

    def run(*words: object) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic drive of twelve small frames, as a camera's file: ``drive.mp4``, 160x120."""
    from seesame.scene import SceneClip, SceneConfig
    from seesame.video.writing.writer import write_clip

    scene = SceneClip(SceneConfig(width=160, height=120, seed=3), 12)
    path = tmp_path_factory.mktemp("drive") / "drive.mp4"
    write_clip(path, scene.batches(4), fps=scene.fps, width=160, height=120, crf=18)
    return path
