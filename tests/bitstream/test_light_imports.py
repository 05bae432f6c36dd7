"""What reads a file's structure, or only names a clip, needs no torch."""

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
        "seesame.perception.stack",
        "seesame.video.clip",
        "seesame.video.span",
    ],
)
def test_light_modules_need_no_torch(module: str) -> None:
    code = f"import sys\nimport {module}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
