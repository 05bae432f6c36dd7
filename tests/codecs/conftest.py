import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
# The second decoder of the bitstream is a part of the codec's; hybrid trains as hnerv does.
sys.path += [str(HERE.parent / "bitstream"), str(HERE / "hnerv")]


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Maps as small as these tests' are many times slower on threads that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
