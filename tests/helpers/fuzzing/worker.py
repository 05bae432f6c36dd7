"""The process in which cases run: it loads everything once, and forks for each run of cases.

It reads lines of JSON from its standard input, each a run of cases, and writes lines of JSON to the
pipe whose handle it is given: the child's process id, then one line a case, then the child's end.
"""

import ctypes
import gc
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

MEGABYTE = 1 << 20
BROKEN = 70
"""Exit status of a child that fails outside of what is tried: the fuzzer is at fault."""
_TRIM_ABOVE = 64
"""Megabytes that a case took, above which freed memory is given back before the next one."""


@cache
def scratch() -> Path:
    """Return a folder for the files of this process's cases."""
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


def memory(name: str) -> int:
    """Return a number of ``/proc/self/status`` in megabytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) >> 10


def _kind(error: BaseException) -> str:
    """Return an error's message without what differs from case to case."""
    text = re.sub(r"/\S*/|\d+|'[^']*'", "#", str(error))
    return f"{type(error).__name__}: {text}"[:90]


def _try(target: Any, files: dict[str, bytes], random: Random) -> tuple[str, str]:
    """Read one case; return how it ended, and the error in words."""
    from seesame.errors import UserError

    folder = scratch() / "case"
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        path = folder / name
        if path.parent != folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    try:
        target.read(folder, random)
    except UserError as error:
        return "refused", _kind(error)
    except MemoryError:
        return "memory", traceback.format_exc()[-900:]
    except BaseException as error:
        full = "alloc" in str(error).lower() or "memory" in str(error).lower()
        return "memory" if full else "exception", traceback.format_exc()[-900:]
    finally:
        _clear(folder)
    return "read", ""


def _clear(folder: Path) -> None:
    """Empty a folder, which stays: to remove and to make it takes longer than many a case."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def run_case(name: str, seed: int, corpus: Any) -> dict[str, Any]:
    """Make one case and read it; return what came of it, with seconds and the peak of memory."""
    from fuzzing.targets import TARGETS

    random = Random(f"{name}:{seed}")
    files = TARGETS[name].make(random, corpus)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    start = time.process_time()  # of all threads: a busy machine does not count
    end, text = _try(TARGETS[name], files, random)
    seconds = time.process_time() - start
    peak = memory("VmHWM")
    if peak > before + _TRIM_ABOVE:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
    row = {"seed": seed, "end": end, "seconds": round(seconds, 4), "megabytes": peak}
    row["before"] = round(time.process_time(), 2)
    return row | ({"text": text} if text else {})


def _child(task: dict[str, Any], corpus: Any, out: int) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it dies with its parent
    room = memory("VmSize") + task["room"]
    resource.setrlimit(resource.RLIMIT_AS, (room * MEGABYTE,) * 2)
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch())
    for seed in range(task["first"], task["first"] + task["count"]):
        _tell(out, run_case(task["target"], seed, corpus))


def _tell(out: int, row: dict[str, Any]) -> None:
    os.write(out, json.dumps(row).encode() + b"\n")


def _warm(corpus: Any) -> None:
    """Read every sound file once, so that libraries and compiled loops are loaded before a fork.

    Raises AssertionError where the corpus does not decode.
    """
    from fuzzing.targets import FRAMES
    from seesame.decoders import open_clip
    from seesame.video import compiled

    compiled.expect(compiled.PLAIN_FRAMES)
    for path in sorted(corpus.folder.glob("*.ssm")):
        clip = open_clip(path)
        assert sum(len(batch) for batch in clip.batches(FRAMES)) == clip.num_frames, path


def main(out: int, warm: bool = True) -> None:
    """Fork for every line of the standard input, after every sound file was read."""
    from fuzzing.corpus import Corpus

    corpus = Corpus()
    os.environ["SEESAME_HOME"] = str(corpus.folder)
    if warm:
        _warm(corpus)
    gc.collect()
    gc.freeze()
    _tell(out, {"ready": memory("VmRSS")})
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                _child(json.loads(line), corpus, out)
            except BaseException:
                traceback.print_exc()
                os._exit(BROKEN)
            os._exit(0)
        _tell(out, {"pid": child})
        _, status = os.waitpid(child, 0)
        _tell(out, {"status": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main(int(sys.argv[1]))
