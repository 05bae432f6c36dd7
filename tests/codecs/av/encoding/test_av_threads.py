import os
import subprocess
import sys

import pytest

from seesame.codecs.av.encoding import threads as av_threads
from seesame.codecs.av.encoding.threads import usual_scheduling

ENCODE = """
import os
import numpy as np
from seesame.context import EncodeContext
from seesame.codecs.registry import get_codec
from seesame.video.clip import ArrayClip

class Watched(ArrayClip):
    def batches(self, size):
        for batch in super().batches(4):
            yield batch
            policies = {os.sched_getscheduler(int(t)) for t in os.listdir("/proc/self/task")}
            assert policies == {os.SCHED_OTHER}, policies

clip = Watched(np.zeros((12, 64, 64, 3), np.uint8))
get_codec("svtav1").encode(clip, {"preset": 10}, EncodeContext())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_an_encode_leaves_all_threads_as_they_were() -> None:
    subprocess.run([sys.executable, "-c", ENCODE], check=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_what_was_changed_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    me, other = os.getpid(), 10**8  # no thread has the other number
    before, after = {me: 0, other: 2}, {me: 1, other: 1, other + 1: 1}
    # At the second look, one that an unchanged thread started meanwhile; then there is nothing.
    seen = iter([before, after, {**before, other - 1: 1}, before])
    monkeypatch.setattr(av_threads, "_policies", lambda: next(seen))
    put: list[tuple[int, int]] = []

    def setscheduler(thread: int, policy: int, _: object) -> None:
        put.append((thread, policy))
        if thread > other:
            raise ProcessLookupError

    monkeypatch.setattr(os, "sched_setscheduler", setscheduler)
    with usual_scheduling():
        pass
    assert put == [(me, 0), (other, 2), (other + 1, 0), (other - 1, 0)]
