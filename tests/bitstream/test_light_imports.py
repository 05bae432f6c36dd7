"""Modules that read a file's structure, name a clip or parse a command line need no torch."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "seesame.bitstream.adaptive",
        "seesame.bitstream.container",
        "seesame.bitstream.entropy",
        "seesame.bitstream.tables",
        "seesame.bitstream.varint",
        "seesame.cli.codecs",
        "seesame.cli.fetch",
        "seesame.cli.info",
        "seesame.cli.report",
        "seesame.cli.report_run",
        "seesame.cli.score",
        "seesame.cli.stacks",
        "seesame.perception.stack",
        "seesame.video.clip",
        "seesame.video.span",
    ],
)
def test_light_modules_need_no_torch(module: str) -> None:
    code = f"import sys\nimport {module}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
