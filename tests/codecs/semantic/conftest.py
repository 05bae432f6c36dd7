from collections.abc import Iterator
from pathlib import Path

import pytest
from small_semantic import SmallStack, StillStack, put, small_renderer


@pytest.fixture(scope="module")
def renderers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's folder, with the renderers of SmallStack and of StillStack and no others."""
    home = tmp_path_factory.mktemp("home")
    for stack in (SmallStack(), StillStack()):
        put(small_renderer(stack), home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEESAME_HOME", str(home))
        yield home / "renderers"
