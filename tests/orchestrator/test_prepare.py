"""A lab's ./prepare fetches what it runs on: whole or not at all, and nothing twice."""

import hashlib
import http.server
import pathlib
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from orchestrator import labs

DATA = bytes(range(256)) * 20_000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    path = labs.HOME / "hadoop" / "prepare"
    module = ModuleType("prepare")
    module.__file__ = str(path)
    exec(compile(path.read_text(), path, "exec"), module.__dict__)
    return module


class Mirror(http.server.ThreadingHTTPServer):
    """Serves DATA; the first answers break off after so many bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.breaks = list[int]()
        self.knows_ranges = True
        self.index = ""
        self.asked = list[str | None]()  # the Range of each request
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        if self.path == "/simple/lab/":
            self.give(self.server.index.encode())
        else:
            self.give_data(self.headers["Range"] if self.server.knows_ranges else None)

    def give_data(self, span: str | None) -> None:
        self.server.asked.append(span)
        first = int(span.removeprefix("bytes=").removesuffix("-")) if span else 0
        if first >= len(DATA):
            self.send_error(416)
        else:
            self.give(DATA[first:], 206 if span else 200)

    def give(self, data: bytes, code: int = 200) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: self.server.breaks.pop(0)] if self.server.breaks else data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with Mirror() as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_download_that_breaks_off_goes_on_where_it_was(
    prepare: ModuleType, mirror: Mirror, tmp_path: pathlib.Path
) -> None:
    mirror.breaks = [1_000_000, 2_000_000]
    prepare.download(f"{mirror.url}/file", tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == DATA
    assert mirror.asked == ["bytes=0-", "bytes=1000000-", "bytes=3000000-"]


def test_what_another_command_has_fetched_is_not_fetched_again(
    prepare: ModuleType, mirror: Mirror, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "file").write_bytes(DATA[:4_000_000])
    prepare.download(f"{mirror.url}/file", tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == DATA
    prepare.download(f"{mirror.url}/file", tmp_path / "file", DIGEST)
    assert mirror.asked == ["bytes=4000000-", f"bytes={len(DATA)}-"]


def test_a_mirror_without_ranges_gives_the_whole(prepare: ModuleType, mirror: Mirror, tmp_path: pathlib.Path) -> None:
    mirror.knows_ranges = False
    (tmp_path / "file").write_bytes(DATA[:4_000_000])
    prepare.download(f"{mirror.url}/file", tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == DATA


def test_another_file_than_was_asked_for_is_not_kept(
    prepare: ModuleType, mirror: Mirror, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "file").write_bytes(b"something else")
    with pytest.raises(SystemExit, match="has another checksum"):
        prepare.download(f"{mirror.url}/file", tmp_path / "file", DIGEST)
    assert not (tmp_path / "file").exists()


def test_one_that_always_breaks_off_says_so_and_keeps_what_it_has(
    prepare: ModuleType, mirror: Mirror, tmp_path: pathlib.Path
) -> None:
    mirror.breaks = [1000] * prepare.ATTEMPTS
    with pytest.raises(SystemExit, match=r"file breaks off: 5000 of \d+ bytes came\n.*goes on where it was"):
        prepare.download(f"{mirror.url}/file", tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == DATA[:5000]


@pytest.mark.parametrize(
    "index",
    [
        '{"files": [{"url": "/old", "hashes": {}}, {"url": "../../file", "hashes": {"sha256": "' + DIGEST + '"}}]}',
        f'<a href="/old#sha256=00">lab-1</a> <a href="../../file#sha256={DIGEST}">lab-2</a>',
    ],
    ids=["json", "html"],
)
def test_a_file_is_found_by_its_checksum(prepare: ModuleType, mirror: Mirror, index: str) -> None:
    mirror.index = index
    assert prepare.in_index("lab", DIGEST) == f"{mirror.url}/file"
    with pytest.raises(SystemExit, match="has no file with the checksum 1234"):
        prepare.in_index("lab", "1234")
