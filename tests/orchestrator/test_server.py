"""Client and server over a real socket: bounds, versions, streams, descriptors, and what goes wrong on the way."""

import array
import asyncio
import contextlib
import os
import pathlib
import queue
import socket
import stat
import threading
from collections.abc import Callable, Iterator

import anyio
import anyio.from_thread
import pytest
from fake_lab import eventually

from orchestrator import client, errors, protocol, version
from orchestrator.daemon import clients, server


class Source:
    def __init__(self, *events: protocol.Event, endless: bool = False) -> None:
        self.events, self.endless, self.closed = list(events), endless, threading.Event()
        self._ends = anyio.Event()

    def __aiter__(self) -> "Source":
        return self

    async def __anext__(self) -> protocol.Event:
        if self.events:
            return self.events.pop(0)
        if self.endless:
            await self._ends.wait()
        raise StopAsyncIteration

    def more(self) -> list[protocol.Event]:
        found, self.events = self.events, []
        return found

    def close(self) -> None:
        self._ends.set()
        self.closed.set()


class Echo:
    """Answers with what it was asked."""

    def __init__(self) -> None:
        self.seen: list[server.Request] = []
        self.source: Source | None = None

    async def __call__(self, request: server.Request) -> server.Answer:
        self.seen.append(request)
        match request.path:
            case "/refuse":
                raise errors.Invalid("not so", problems=[errors.Problem(("a", 0), "bad")])
            case "/fail":
                raise RuntimeError("a fault")
            case "/stream":
                self.source = Source(protocol.Note("a"), protocol.Settled(0))
                return server.Stream(self.source)
            case "/endless":
                self.source = Source(protocol.Note("a"), endless=True)
                return server.Stream(self.source, endless=True)
            case "/large":
                return {"text": "x" * 4_000_000}
            case "/flood":
                self.source = Source(*[protocol.Note("x" * 10_000)] * 1000)
                return server.Stream(self.source)
            case "/pass":
                read, write = os.pipe()
                os.write(write, b"through")
                os.close(write)
                return server.Passed(read)
            case "/v1/daemon":
                return {"version": "any"}
        return {"path": request.path, "body": request.body}


@contextlib.contextmanager
def serving(path: str, handler: server.Handler, at_rest: Callable[[], None] = lambda: None) -> Iterator[None]:
    async def main(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with await server.listen(path) as listener:
            task_status.started()
            await server.serve(listener, handler, at_rest)

    with anyio.from_thread.start_blocking_portal("asyncio") as portal:
        future, _ = portal.start_task(main)
        yield
        future.cancel()


@pytest.fixture
def echo(tmp_path: pathlib.Path) -> Iterator[tuple[str, Echo]]:
    handler, path = Echo(), str(tmp_path / "corral.sock")
    with serving(path, handler):
        yield path, handler


def raw(path: str, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(path)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def test_the_socket_is_roots_alone(echo: tuple[str, Echo]) -> None:
    assert stat.S_IMODE(os.stat(echo[0]).st_mode) == 0o600


def test_a_request_and_its_answer_survive_the_way(echo: tuple[str, Echo]) -> None:
    body = {"text": "grün\n", "big": "x" * 300_000}
    assert client.ask(echo[0], "POST", "/any", body) == {"path": "/any", "body": body}


def test_who_tidies_up_is_called_when_the_last_has_its_answer(tmp_path: pathlib.Path) -> None:
    rested: queue.SimpleQueue[str] = queue.SimpleQueue()
    path = str(tmp_path / "corral.sock")
    with serving(path, Echo(), lambda: rested.put("at rest")):
        following = client.follow(path, "/endless", {})
        following.next()
        for _ in range(3):
            client.ask(path, "GET", "/any")
        assert rested.empty()
        following.close()
        assert rested.get(timeout=10) == "at rest"
        client.ask(path, "GET", "/any")
        assert rested.get(timeout=10) == "at rest"
    assert rested.empty()


def test_refusals_come_with_their_problems_and_faults_as_what_they_are(echo: tuple[str, Echo]) -> None:
    with pytest.raises(errors.Invalid, match="not so") as caught:
        client.ask(echo[0], "POST", "/refuse", {})
    assert caught.value.problems == (errors.Problem(("a", 0), "bad"),)
    with pytest.raises(errors.Refused, match="the daemon failed: RuntimeError: a fault"):
        client.ask(echo[0], "POST", "/fail", {})
    assert client.ask(echo[0], "GET", "/still/there")["path"] == "/still/there"


class Closely:
    """Has a stream that ends, and opens sockets as soon as that is closed."""

    def __init__(self) -> None:
        self.refused: list[OSError] = []
        self.has_opened = threading.Event()

    async def __call__(self, request: server.Request) -> server.Answer:
        return server.Stream(self)

    def __aiter__(self) -> "Closely":
        return self

    async def __anext__(self) -> protocol.Event:
        await anyio.sleep(0.05)  # until somebody waits for the end of the client
        asyncio.get_running_loop().call_soon(self.open_many)
        raise StopAsyncIteration

    def open_many(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as opened:
            for _ in range(50):
                for each in [*map(opened.enter_context, socket.socketpair())]:
                    try:
                        loop.add_writer(each, int)
                        loop.remove_writer(each)
                    except OSError as error:
                        self.refused.append(error)
        self.has_opened.set()

    def more(self) -> list[protocol.Event]:
        return []

    def close(self) -> None:
        pass


def test_the_number_of_a_socket_whose_stream_has_ended_is_anothers_at_once(tmp_path: pathlib.Path) -> None:
    """A loop that still waited for the old one would refuse to wait for the new one."""
    handler, path = Closely(), str(tmp_path / "corral.sock")
    with serving(path, handler), contextlib.closing(client.follow(path, "/stream", {})) as events:
        assert list(events) == []
        assert handler.has_opened.wait(10)
    assert handler.refused == []


def test_a_stream_ends_with_its_last_event(echo: tuple[str, Echo]) -> None:
    events = client.follow(echo[0], "/stream", {})
    assert events.next() == protocol.Note("a"), "and no more than that is taken"
    assert list(events) == [protocol.Settled(0)]
    assert events.over
    events.close()
    assert echo[1].source
    assert echo[1].source.closed.wait(10)


def test_who_hangs_up_closes_the_source(echo: tuple[str, Echo]) -> None:
    events = client.follow(echo[0], "/endless", {})
    assert events.next() == protocol.Note("a")
    assert events.next(0.01) is None
    assert not events.over
    events.close()
    assert echo[1].source
    assert echo[1].source.closed.wait(10)


def test_who_hangs_up_in_the_middle_of_a_flood_ends_nothing_but_that(echo: tuple[str, Echo]) -> None:
    for _ in range(5):
        events = client.follow(echo[0], "/flood", {})
        events.close()
        assert echo[1].source
        assert echo[1].source.closed.wait(10)
        assert client.ask(echo[0], "GET", "/still/there")["path"] == "/still/there"


def test_so_many_may_listen_that_there_is_room_for_those_who_ask(
    echo: tuple[str, Echo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "LISTENERS", 2)
    listening = [client.follow(echo[0], "/endless", {}) for _ in range(2)]
    with pytest.raises(errors.Refused, match="2 others are told already"):
        client.follow(echo[0], "/endless", {})
    assert echo[1].source
    assert echo[1].source.closed.wait(10)
    with contextlib.closing(client.follow(echo[0], "/stream", {})) as has_an_end:
        assert has_an_end.next() == protocol.Note("a")
    assert client.ask(echo[0], "GET", "/any")["path"] == "/any"
    listening.pop().close()

    def there_is_room() -> bool:
        try:
            listening.append(client.follow(echo[0], "/endless", {}))
        except errors.Refused:
            return False
        return True

    eventually(there_is_room)
    for each in listening:
        each.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /x HTTP/1.1\r\n",
        b"POST /x HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc",
        b"POST /x HTTP/1.1\r\ncontent-length: 2000000\r\n\r\nabc",
        b"GET /large HTTP/1.1\r\ncorral-version: %b\r\n\r\n" % version.VERSION.encode(),
        b"POST /endless HTTP/1.1\r\ncorral-version: %b\r\n\r\n" % version.VERSION.encode(),
    ],
)
def test_who_keeps_a_place_and_does_not_get_on_gives_way_to_who_comes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """However many: each time and limit that they have in peace is too long for this test."""
    monkeypatch.setattr(clients, "PLACES", 6)
    monkeypatch.setattr(clients, "LISTENERS", 5)
    monkeypatch.setattr(clients, "HURRY_S", 0.1)
    monkeypatch.setattr(server, "REQUEST_S", 1000.0)
    path = str(tmp_path / "corral.sock")
    monkeypatch.setattr(server, "PLACES", 30)  # of which is the queue before the door
    with contextlib.ExitStack() as all_of_them, serving(path, Echo()):
        for _ in range(20):
            each = all_of_them.enter_context(socket.socket(socket.AF_UNIX))
            each.connect(path)
            each.sendall(sent)
        assert client.ask(path, "GET", "/any", timeout_s=20)["path"] == "/any"


def test_a_descriptor_comes_with_its_answer(echo: tuple[str, Echo]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    descriptor = client.receive_descriptor(echo[0], "/pass", {})
    assert not os.get_inheritable(descriptor)
    with open(descriptor, "rb") as file:
        assert file.read() == b"through"
    eventually(lambda: len(os.listdir("/proc/self/fd")) == before)


def test_another_versions_client_is_told_so_and_may_only_see_and_end_the_daemon(
    echo: tuple[str, Echo], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = b"%s %s HTTP/1.1\r\ncorral-version: 0.0.0\r\ncontent-length: 0\r\n\r\n"
    assert raw(echo[0], other % (b"GET", b"/any")).startswith(b"HTTP/1.1 426 ")
    assert echo[1].seen == []
    assert raw(echo[0], other % (b"GET", b"/v1/daemon")).startswith(b"HTTP/1.1 200 ")
    monkeypatch.setattr(client.version, "VERSION", "0.0.0")
    monkeypatch.setattr(server, "version", type("Other", (), {"VERSION": "9.9.9"}))
    with pytest.raises(client.OtherVersion) as caught:
        client.ask(echo[0], "GET", "/any")
    assert caught.value.theirs == "9.9.9"


HEAD = f"corral-version: {version.VERSION}\r\n".encode()


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET /x HTTP/1.1\r\n" + HEAD + b"content-length: many\r\n\r\n",
        b"GET /x HTTP/1.1\r\n" + HEAD + b"content-length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\n" + HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /x HTTP/1.1\r\n" + HEAD + b"content-length: 3\r\n\r\n{x}",
        b"POST /x HTTP/1.1\r\n" + HEAD + b"content-length: 99999999999\r\n\r\n",
        b"POST /x HTTP/1.1\r\n" + HEAD + b"content-length: 200000\r\n\r\n" + b"[" * 200000,
        b"GET /x HTTP/1.1\r\nx: " + b"y" * 40000 + b"\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_nothing_is_done(echo: tuple[str, Echo], data: bytes) -> None:
    assert raw(echo[0], data).startswith(b"HTTP/1.1 400 ")
    assert echo[1].seen == []


def test_a_client_that_leaves_in_the_middle_disturbs_nobody(echo: tuple[str, Echo]) -> None:
    for data in (b"", b"GET", b"POST /x HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc"):
        assert raw(echo[0], data) == b""
    assert client.ask(echo[0], "GET", "/x")["path"] == "/x"


def test_a_client_that_says_nothing_is_not_waited_for(echo: tuple[str, Echo], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.05)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(echo[0])
        connection.sendall(b"GET /x")
        assert b"did not come" in connection.recv(65536)


def test_nobody_listening_and_not_allowed_are_told_apart(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "corral.sock")
    with pytest.raises(client.NoDaemon):
        client.ask(path, "GET", "/")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)
    dead.close()
    with pytest.raises(client.NoDaemon):
        client.ask(path, "GET", "/")

    class Forbidden(client._socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(client._socket, "socket", Forbidden)
    with pytest.raises(errors.DaemonError, match="belongs to root") as caught:
        client.ask(path, "GET", "/")
    assert "CORRAL_GROUP" in caught.value.hint


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n[",
    ],
)
def test_an_answer_that_is_none_is_an_error_of_the_daemon(tmp_path: pathlib.Path, answer: bytes) -> None:
    path = str(tmp_path / "corral.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(answer)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(errors.DaemonError):
            client.ask(path, "GET", "/")
        thread.join()


def test_stray_descriptors_are_closed(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "corral.sock")
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            read, write = os.pipe()
            rights = array.array("i", [read, write])
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            connection.sendmsg([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"], control)
            for each in (read, write):
                os.close(each)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(errors.DaemonError, match="no descriptor"):
            client.receive_descriptor(path, "/", {})
        thread.join()
    assert len(os.listdir("/proc/self/fd")) == before
