"""One clip's work in a worker: fetched, compressed, judged, put in place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleets import STACK, make_fleet
from videos import make_frames, make_video

from seesame.decoders import open_clip
from seesame.fleet.plan import Defaults, Task, make_tasks
from seesame.fleet.sources.listing import list_source
from seesame.fleet.target.state import DONE, FAILED, MISSED, UNCHANGED, State
from seesame.fleet.work.compress import Bench, do_task
from seesame.metric.evaluator import evaluate
from seesame.perception.registry import load_stack

Do = Callable[..., State]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_fleet(tmp_path / "in", 1)[0]


@pytest.fixture
def do(tmp_path: Path) -> Do:
    """Do the work on a source, and return its state; nothing stays in scratch space."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def work(source: object, target: object = tmp_path / "out", **more: Any) -> State:
        changes = {
            name: more.pop(name) for name in ("known", "found", "fingerprint") if name in more
        }
        asked: list[int] = []
        (task,) = tasks(source, target, **more)
        bench = Bench(scratch, f"{target}/.seesame/incoming", asked.append, lambda: None)
        state = do_task(replace(task, **changes), bench)
        assert list(scratch.iterdir()) == []
        assert len(asked) == 1 or state.status in (FAILED, UNCHANGED)
        return state

    return work


def tasks(source: object, target: object, **more: Any) -> list[Task]:
    plain: dict[str, Any] = {"codec": "x264", "settings": {"crf": 30}, "stack": STACK} | more
    entries = list_source(str(source), str(target))
    return make_tasks(entries, str(target), Defaults(**plain), load_stack)


def check(state: State, source: Path, file: Path) -> None:
    """The state's figures are those of the file on the disk."""
    stack = load_stack(STACK)
    found = evaluate(
        open_clip(source),
        open_clip(file),
        stack,
        file.stat().st_size,
        as_read=True,
        every_frame=True,
    )
    assert state.bytes == file.stat().st_size
    assert (state.seg, state.pose, state.score) == (
        found.score.seg,
        found.score.pose,
        found.score.total,
    )
    assert state.frames_seg == found.figures.seg
    pairs = 100 * found.seg + (10 * found.pose) ** 0.5
    assert state.worst_pair == int(pairs.argmax())
    assert state.worst_pair_seg == found.seg[state.worst_pair]


def test_an_ssm_file_and_its_figures(do: Do, clip: Path, tmp_path: Path) -> None:
    state = do(clip)
    assert (state.status, state.error, state.missed) == (DONE, "", "")
    assert (state.width, state.height, state.frames, state.fps) == (64, 48, 8, 25.0)
    assert state.source_bytes == clip.stat().st_size
    check(state, clip, tmp_path / "out" / "drive0.ssm")


def test_a_plain_video_and_its_figures(do: Do, tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", make_frames(8, 80, 96))
    state = do(source, suffix=".mkv")
    assert state.status == DONE
    assert state.used["crf"] == 30
    check(state, source, tmp_path / "out" / "a.mkv")


def test_limits_choose_the_quality(do: Do, tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", make_frames(8, 80, 96))
    settings = {"max_seg": 0.2, "preset": "ultrafast", "scale": 1}
    for suffix in (".ssm", ".mp4"):
        state = do(source, suffix=suffix, settings=settings)
        assert (state.status, state.limits) == (DONE, {"max_seg": 0.2})
        assert state.frames_seg is not None
        assert 0 < state.frames_seg <= 0.2
        assert state.used["crf"] > 30
        check(state, source, tmp_path / "out" / f"a{suffix}")


def test_a_missed_limit_as_the_user_wishes(do: Do, tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mkv", make_frames(8, 80, 96))
    settings = {"max_seg": 1e-6, "crf": 40}
    best = do(source, settings=settings)
    assert best.status == MISSED
    assert best.missed.startswith("seg is 0.")
    check(best, source, tmp_path / "out" / "a.ssm")
    failed = do(source, tmp_path / "none", settings=settings, on_miss="fail")
    assert failed.status == FAILED
    assert failed.error.startswith(f"{source}: seg is 0.")
    assert not (tmp_path / "none").exists()
    for suffix in (".ssm", ".mp4"):
        kept = do(source, settings=settings, on_miss="keep-source", suffix=suffix)
        assert (kept.status, kept.kept_source, kept.seg, kept.missed) == (DONE, True, 0.0, "")
        check(kept, source, tmp_path / "out" / f"a{suffix}")


def test_what_is_wrong_with_a_clip_is_one_line(do: Do, clip: Path, tmp_path: Path) -> None:
    whole = clip.read_bytes()
    bad = {
        "junk.mp4": b"no video at all",
        "empty.mp4": b"",
        "cut.mp4": whole[: len(whole) // 2],
        "one.mp4": make_video(tmp_path / "one.mp4", make_frames(1)).read_bytes(),
    }
    for name, data in bad.items():
        path = tmp_path / "bad" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        state = do(path)
        assert state.status == FAILED, name
        assert "\n" not in state.error
        assert "scratch" not in state.error
        assert "Error:" not in state.error
    assert not (tmp_path / "out").exists()


def test_a_clip_that_has_gone_and_a_folder(do: Do, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "fleet.csv").write_text(f"uri\n{clip}\n")
    (tmp_path / "dir.csv").write_text("uri\nin\n")
    assert "is a folder, not a video" in do(tmp_path / "dir.csv").error
    clip.unlink()
    assert do(tmp_path / "fleet.csv").error == f"{clip}: not found"


def test_a_finished_clip_with_the_same_content_is_left_alone(
    do: Do, clip: Path, tmp_path: Path
) -> None:
    content = do(clip).content
    out = tmp_path / "out" / "drive0.ssm"
    out.unlink()
    assert do(clip, known=content).status == UNCHANGED
    assert not out.exists()
    assert do(clip, known="other").status == DONE


def test_a_stack_that_changes_meanwhile_is_told(do: Do, clip: Path) -> None:
    assert "has changed since the run began" in do(clip, fingerprint="other").error


def test_uris_are_fetched_and_outputs_moved(do: Do, clip: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    state = do(f"file://{clip}", f"file://{tmp_path}/there")
    assert (state.status, state.uri) == (DONE, f"file://{clip}")
    check(state, clip, tmp_path / "there" / "drive0.ssm")
    assert [p.name for p in (tmp_path / "there").rglob("*") if p.is_file()] == ["drive0.ssm"]
    clip.write_bytes(clip.read_bytes()[:500])
    failed = do(f"file://{clip}", f"file://{tmp_path}/there")
    assert f"file://{clip}" in failed.error
    assert str(tmp_path / "scratch") not in failed.error


def test_a_store_that_refuses_is_a_reason(
    do: Do, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    from seesame.fleet import storage

    place = storage.storage("file:///")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    tries = []

    def refuse(local: str, path: str) -> None:
        tries.append(path)
        raise OSError("the store is full")

    monkeypatch.setattr(place.files, "put_file", refuse)
    state = do(clip, f"file://{tmp_path}/there")
    assert (state.status, state.error) == (FAILED, "OSError: the store is full")
    assert len(tries) == storage.TUNING.tries
