"""Fetching against a server on this machine that speaks the Git-LFS batch API."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from seesame.errors import DamagedError, UserError
from seesame.perception.comma.fetch import COMMA_FILES, Published, fetch_comma, models_folder

DATA = {"a.bin": bytes(range(256)) * 40, "b.bin": b"seesame" * 999}
FILES = [Published(n, hashlib.sha256(d).hexdigest(), len(d)) for n, d in DATA.items()]


class Server(ThreadingHTTPServer):
    """Serves ``objects`` (by SHA-256) and notes the ranges that it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects = {f.sha256: DATA[f.name] for f in FILES}
        self.ranges: list[str | None] = []
        self.honour_range = True
        self.cut = None  # declare everything, send only so many bytes
        self.status = 200
        self.batch: bytes | None = None
        self.scheme = "http"

    @property
    def repository(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/repo.git"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of these tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/repo.git/info/lfs/objects/batch":
            self.send_error(404)
            return
        objects = []
        for item in json.loads(body)["objects"]:
            base = f"{self.server.scheme}://127.0.0.1:{self.server.server_port}"
            action = {"download": {"href": f"{base}/{item['oid']}", "header": {"X-Key": "k"}}}
            objects.append({**item, "actions": action})
        answer = self.server.batch or json.dumps({"objects": objects}).encode()
        self.reply(200, answer)

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        data = self.server.objects.get(self.path[1:])
        if self.server.status != 200 or data is None or self.headers.get("X-Key") != "k":
            self.send_error(self.server.status if self.server.status != 200 else 404)
            return
        start = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        if wanted and self.server.honour_range:
            end = f"{len(data) - 1}/{len(data)}"
            self.reply(206, data[start:], {"Content-Range": f"bytes {start}-{end}"})
        else:
            self.reply(200, data)

    def reply(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: self.server.cut])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(server: Server, folder: Path, **kwargs: object) -> list[Path]:
    return fetch_comma(folder, files=FILES, repository=server.repository, **kwargs)


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_fetches_and_leaves_only_the_files(server: Server, tmp_path: Path) -> None:
    shares: list[float] = []
    paths = fetch(server, tmp_path / "new" / "folder", progress=lambda s, t: shares.append(s))
    assert [p.read_bytes() for p in paths] == list(DATA.values())
    assert left(tmp_path / "new" / "folder") == sorted(DATA)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_second_fetch_downloads_nothing(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    before = len(server.ranges)
    fetch(server, tmp_path)
    assert len(server.ranges) == before


@pytest.mark.parametrize("honour", [True, False])
def test_a_cut_download_is_resumed(server: Server, tmp_path: Path, honour: bool) -> None:
    server.cut = 1000
    with pytest.raises(UserError, match=r"a\.bin: the download was cut off; run the command again"):
        fetch(server, tmp_path)
    assert left(tmp_path) == [".a.bin.part"]
    server.cut, server.honour_range = None, honour
    fetch(server, tmp_path)
    assert server.ranges[1] == "bytes=1000-"
    assert left(tmp_path) == sorted(DATA)
    assert (tmp_path / "a.bin").read_bytes() == DATA["a.bin"]


def test_a_wrong_object_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    server.objects[FILES[0].sha256] = b"x" * FILES[0].size
    with pytest.raises(DamagedError, match="SHA-256 differs"):
        fetch(server, tmp_path)
    assert left(tmp_path) == []


def test_a_wrong_part_does_not_survive(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".a.bin.part").write_bytes(b"evil")
    with pytest.raises(DamagedError, match="SHA-256 differs"):
        fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert left(tmp_path) == sorted(DATA)


def test_an_endless_object_is_stopped(server: Server, tmp_path: Path) -> None:
    server.objects[FILES[0].sha256] = DATA["a.bin"] + bytes(5_000_000)
    with pytest.raises(DamagedError, match="sends more"):
        fetch(server, tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("status", [404, 500])
def test_a_refusal_is_one_line(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    with pytest.raises(UserError, match=f"server answers {status}") as caught:
        fetch(server, tmp_path)
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"objects": []}', b'{"objects": [{}]}'])
def test_a_useless_batch_answer_is_refused(server: Server, tmp_path: Path, answer: bytes) -> None:
    server.batch = answer
    with pytest.raises(UserError, match="no usable Git-LFS answer"):
        fetch(server, tmp_path)


def test_an_object_that_the_store_lacks(server: Server, tmp_path: Path) -> None:
    objects = [{"oid": f.sha256, "error": {"code": 404, "message": "gone"}} for f in FILES]
    server.batch = json.dumps({"objects": objects}).encode()
    with pytest.raises(UserError, match=r"has no a\.bin \(gone\)"):
        fetch(server, tmp_path)


def test_other_schemes_are_refused(server: Server, tmp_path: Path) -> None:
    server.scheme = "file"
    with pytest.raises(UserError, match="not https"):
        fetch(server, tmp_path)


def test_no_network(tmp_path: Path) -> None:
    server = Server()
    address = server.repository
    server.server_close()
    with pytest.raises(UserError, match=r"cannot be fetched .*check the network"):
        fetch_comma(tmp_path, files=FILES, repository=address)


def test_another_file_of_that_name_is_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(UserError, match="move it away, or overwrite it"):
        fetch(server, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"mine"
    fetch(server, tmp_path, overwrite=True)
    assert (tmp_path / "a.bin").read_bytes() == DATA["a.bin"]


def test_copies_from_a_checkout(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    (source / "models").mkdir(parents=True)
    (source / "models" / "a.bin").write_bytes(DATA["a.bin"])
    (source / "b.bin").write_bytes(DATA["b.bin"])
    fetch_comma(out, source=source, files=FILES)
    assert left(out) == sorted(DATA)


@pytest.mark.parametrize("wrong", [b"short", b"x" * len(DATA["b.bin"])])
def test_a_wrong_copy_is_refused(tmp_path: Path, wrong: bytes) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    (source / "a.bin").write_bytes(DATA["a.bin"])
    with pytest.raises(UserError, match=r"no b\.bin in this folder"):
        fetch_comma(out, source=source, files=FILES)
    (source / "b.bin").write_bytes(wrong)
    with pytest.raises(DamagedError, match="not the published file"):
        fetch_comma(out, source=source, files=FILES)
    assert left(out) == ["a.bin"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be made"):
        fetch_comma(tmp_path / "file" / "inner", files=FILES, source=tmp_path)


def test_models_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SEESAME_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "seesame" / "comma"
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path / "home"))
    assert models_folder() == tmp_path / "home" / "comma"


def test_the_published_files_are_those_of_the_design() -> None:
    assert [(f.name, f.size) for f in COMMA_FILES] == [
        ("segnet.safetensors", 38_502_892),
        ("posenet.safetensors", 55_835_560),
        ("0.mkv", 37_545_489),
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", f.sha256) for f in COMMA_FILES)
