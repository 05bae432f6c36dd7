import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# The second decoder of the bitstream is a part of the codec's.
sys.path.append(str(Path(__file__).resolve().parents[2] / "bitstream"))


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Maps as small as these tests' are many times slower on threads that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
