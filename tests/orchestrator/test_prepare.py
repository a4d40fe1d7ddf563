"""A lab's ./prepare fetches what it runs on: whole or not at all, and nothing twice."""

import hashlib
import http.server
import os
import pathlib
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from orchestrator.command_line import labs

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


def test_classes_that_java_links_wrongly_are_in_no_archive(prepare: ModuleType, tmp_path: pathlib.Path) -> None:
    (tmp_path / "lib").mkdir()
    with zipfile.ZipFile(tmp_path / "lib" / "some.jar", "w") as jar:
        for name, version in (("org/Old", 49), ("org/Young", 50), ("org/Unloaded", 52)):
            jar.writestr(f"{name}.class", bytes.fromhex("cafebabe 0000") + bytes([0, version]))
    lists = "\n".join(["org/Young", "java/lang/Object id: 0", "\0\0", "org/Old", "java/lang/String", "org/Young"])
    assert prepare.linkable(lists, tmp_path) == ["java/lang/String", "org/Young"]


def test_an_archive_of_classes_is_made_anew_where_java_or_its_recipe_is_another_or_it_is_not_whole(
    prepare: ModuleType, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, java, archive = list[str](), ["one"], tmp_path / "lab-1.0" / "classes.jsa"

    def answered(*argv: Any, **_: Any) -> "subprocess.CompletedProcess[str]":
        made.append(pathlib.Path(argv[0]).name)
        archive.write_text("classes")
        return subprocess.CompletedProcess(argv, 0, "org/Young\n", "")

    part = tmp_path / "parts" / "lab"
    (tmp_path / "lab-1.0" / "lib").mkdir(parents=True)
    part.mkdir(parents=True)
    (part / "pom.xml").write_text("<lab>1.0</lab>")
    (part / "classes").write_text("the recipe")
    monkeypatch.setitem(prepare.__dict__, "in_own_namespaces", answered)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("subprocess.run", lambda argv, **_: subprocess.CompletedProcess(argv, 0, "", java[0]))
    once = ["classes", "bash"]
    for change, so_far in (
        (lambda: None, once),
        (lambda: None, once),
        (lambda: java.__setitem__(0, "two"), once * 2),
        (lambda: (part / "classes").write_text("a better recipe"), once * 3),
        (lambda: None, once * 3),
        (lambda: os.truncate(archive, 3), once * 4),
        (archive.unlink, once * 5),
        (archive.with_suffix(".size").unlink, once * 6),
        (lambda: None, once * 6),
    ):
        change()
        prepare.class_archive(part, tmp_path)
        assert made == so_far


def test_what_the_repository_has_not_is_named(prepare: ModuleType) -> None:
    told = "[ERROR] Could not find artifact org.apache.hadoop:hadoop-hdfs:jar:3.4.9 in central (https://…) -> [Help 1]"
    with pytest.raises(SystemExit, match=r"org\.apache\.hadoop:hadoop-hdfs:jar:3\.4\.9 is not to be had\n.*pom\.xml"):
        prepare.explain(pathlib.Path("parts/hadoop"), told)
    with pytest.raises(SystemExit, match=r"Connection refused\n.*goes on where it was"):
        prepare.explain(pathlib.Path("parts/hadoop"), "[INFO] x\n[ERROR] Connection refused\n")


def test_jars_that_are_not_those_of_the_list_are_named(prepare: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"a\.jar: another checksum\nb\.jar: missing\nc\.jar: not on the list"):
        prepare.compare(pathlib.Path("jars.sha256"), {"a.jar": "1", "b.jar": "2"}, {"a.jar": "3", "c.jar": "4"})
