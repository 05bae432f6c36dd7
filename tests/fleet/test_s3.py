"""Batches in an object store: moto on the loopback, which now and then fails or is slow."""

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command import Ran
from fleets import STACK, make_fleet

from seesame.decoders import open_clip
from seesame.fleet import storage

pytestmark = pytest.mark.fleet
s3fs = pytest.importorskip("s3fs", reason="needs s3fs (beside the extra fleet)")
pytest.importorskip("moto", reason="needs moto (beside the extra fleet)")

Run = Callable[..., Ran]
HELPERS = Path(__file__).resolve().parents[1] / "helpers"


class Flaky:
    """A WSGI application that refuses every seventh request, and delays every fifth.

    Args:
        app: that answers the others.
    """

    def __init__(self, app: Any) -> None:
        self.app, self.number = app, itertools.count(1)
        self.refused = 0
        self.on = False

    def __call__(self, environ: dict[str, Any], respond: Any) -> Iterable[bytes]:
        number = next(self.number)
        if self.on and number % 7 == 0:
            self.refused += 1
            status = "503 Slow Down" if number % 2 else "500 Internal Server Error"
            code = "SlowDown" if number % 2 else "InternalError"
            respond(status, [("Content-Type", "application/xml"), ("Connection", "close")])
            return [f"<Error><Code>{code}</Code><Message>later</Message></Error>".encode()]
        if self.on and number % 5 == 0:
            time.sleep(0.05)
        answer: Iterable[bytes] = self.app(environ, respond)
        return answer


@pytest.fixture(scope="module")
def store() -> Iterator[Flaky]:
    """A store with a bucket ``fleet``; this process and its workers find it."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = Flaky(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    values = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONPATH": os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")]),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        storage._remote.cache_clear()
        s3fs.S3FileSystem().mkdir("s3://fleet")
        yield app
        storage._remote.cache_clear()
        server.shutdown()


def names(folder: str) -> set[str]:
    files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    return {path.removeprefix(f"fleet/{folder}/") for path in files.find(f"s3://fleet/{folder}")}


def test_a_fleet_in_a_bucket(seesame: Run, store: Flaky, tmp_path: Path) -> None:
    make_fleet(tmp_path / "in", 3)
    (tmp_path / "in" / "junk.mp4").write_text("no video")
    files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    files.put(f"{tmp_path}/in/", "s3://fleet/in/", recursive=True)
    (tmp_path / "scratch").mkdir()
    line = ("batch", "s3://fleet/in", "-o", "s3://fleet/out", "--codec", "x264", "--set", "crf=30")
    line += ("--stack", STACK, "--jobs", 1, "--scratch", tmp_path / "scratch", "--quiet")

    store.on = True
    ran = seesame(*line, "--json")
    store.on = False
    assert store.refused > 3
    assert ran.code == 3, ran.err
    assert json.loads(ran.out)["clips"] == {"done": 3, "missed": 0, "failed": 1, "working": 0}
    kept = names("out")
    outputs = {"cam0/drive0.ssm", "cam1/drive1.ssm", "cam0/drive2.ssm"}
    states = {name for name in kept if name.startswith(".seesame/clips/")}
    assert len(states) == 4
    logs = {name for name in kept if name.startswith("events-")}
    assert len(logs) == 1
    assert kept - states - logs == outputs | {"catalog.csv", "catalog.parquet"}
    assert list((tmp_path / "scratch").iterdir()) == []
    for name in outputs:
        files.get(f"s3://fleet/out/{name}", str(tmp_path / "back.ssm"))
        assert open_clip(tmp_path / "back.ssm").width == 64

    again = seesame(*line, "--json")
    assert (again.code, json.loads(again.out)["worked_on"]) == (3, 0)
    rows = seesame("batch-status", "s3://fleet/out", "--clips", "--json").out.splitlines()
    assert {json.loads(row)["out"] for row in rows} == outputs | {"junk.ssm"}


def test_the_page_of_a_bucket(
    seesame: Run, store: Flaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = seesame("report", "s3://fleet/out", "--stack", STACK, "--quiet")
    assert ran.code == 0, ran.err
    text = Path("fleet.report.html").read_text()
    assert text.count('src="data:image/webp') == 6
    assert "No page of its own yet" not in text  # that needs files on this machine
    assert seesame("report", "s3://fleet/nothing").code == 2
