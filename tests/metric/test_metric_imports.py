"""The package's names are there, and its light modules need no torch."""

import subprocess
import sys

import pytest

import seesame.metric


def test_every_name_can_be_imported() -> None:
    for name in seesame.metric.__all__:
        assert getattr(seesame.metric, name).__module__.startswith("seesame.metric.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = seesame.metric.nothing


@pytest.mark.parametrize(
    "modules",
    ["seesame.metric.limits, seesame.metric.score", "seesame.metric.rates.front"],
)
def test_light_modules_need_no_torch(modules: str) -> None:
    code = f"import sys\nimport {modules}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
