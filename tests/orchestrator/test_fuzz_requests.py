"""Whatever a client sends: an answer with words, never a fault of the daemon, which goes on and keeps nothing of it."""

import copy
import json
import os
import pathlib
import socket
import threading
from typing import Any

import pytest
from fake_lab import TWO, Lab, eventually
from hypothesis import given
from hypothesis import strategies as some

from engine.types.infos import Damage
from orchestrator import errors, version
from orchestrator.daemon import chronicle, clients, health, records, routes, server, shared
from reconciler.stored import Stored
from tests import fuzzing

SERVICE = {
    "image": "rootfs:/r",
    "command": ["x"],
    "scale": 1,
    "environment": {"A": "b"},
    "depends_on": {},
    "networks": {"default": None},
}
BODIES: dict[str, Any] = {
    "up": {
        "document": {"name": "demo", "services": {"web": SERVICE}, "networks": {"default": {}}, "volumes": {}},
        "files": ["/a.yaml"],
        "services": ["web"],
        "scale": {"web": 1},
        "wait": False,
        "wait_timeout_s": 0.01,
        "timeout_s": 0.01,
    },
    "run": {
        "document": {"name": "demo", "services": {"web": SERVICE}, "networks": {"default": {}}, "volumes": {}},
        "files": ["/a.yaml"],
        "service": "web",
        "name": "web-run-1",
        "container_name": "demo-web-run-1",
        "no_deps": False,
        "use_aliases": False,
        "start": True,
        "brief": True,
        "heard": False,
    },
    "run_start": {"name": "web-run-1"},
    "rm": {"services": ["web"], "stop": True, "volumes": False, "timeout_s": 0.1},
    "down": {"volumes": False, "timeout_s": 0.1},
    "stop": {"services": ["web"], "timeout_s": 0.1},
    "start": {"services": ["web"], "wait": False, "wait_timeout_s": 0.1},
    "restart": {"services": ["web"], "timeout_s": 0.1},
    "pause": {"services": ["web"]},
    "unpause": {"services": ["web"]},
    "kill": {"services": ["web"], "signal": "HUP"},
    "exec": {"service": "web", "argv": ["true"], "number": 1, "environment": ["A=b"], "user": "root", "tty": False},
    "update": {"services": ["web"], "changes": {"mem_limit": 1 << 30, "cpus": 0.5, "restart": "always"}},
    "hosts": {"on": True},
    "attach": {"service": "web", "number": 1},
    "copy": {"service": "web", "path": "/tmp", "inward": False, "number": 1, "follow": False, "base": "x"},
    "top": {"services": ["web"]},
    "stats": {"services": ["web"]},
    "events": {"since": 1.0, "until": 2.0},
}
BODIES["plan"] = BODIES["up"]


def test_every_order_is_made_up_here() -> None:
    assert BODIES.keys() == routes.ORDERS.keys()


@pytest.fixture
def kept(lab: Lab) -> Lab:
    lab.write(TWO)
    lab.corral("up", "-d")
    return lab


def asked(path: str, data: bytes, *, hang_up_after: int = 1 << 20) -> bytes:
    """The first of the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)  # waits where the queue before the door is full, which it would not with a timeout
        connection.settimeout(20)
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # it answered before it had all
            pass
        return connection.recv(hang_up_after)


def request(url: str, body: bytes, *, head: str = "") -> bytes:
    first = f"POST {url} HTTP/1.1\r\n{server.protocol.VERSION_HEADER}: {version.VERSION}\r\n{head}"
    return f"{first}content-length: {len(body)}\r\n\r\n".encode("latin-1", "replace") + body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ")[1]) if answer else 0


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def assert_fine(answer: bytes, data: object) -> None:
    assert status_of(answer) in (0, 200, 400, 404, 409, 426), (answer, data)
    if status_of(answer) in (400, 404, 409):
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("verb", sorted(BODIES))
def test_one_leaf_of_a_request(kept: Lab, verb: str) -> None:
    before = descriptors()

    @fuzzing.effort(40)
    @given(fuzzing.mutants(BODIES[verb]))
    def leaf(mutant: Any) -> None:
        data = request(f"/v1/projects/demo/{verb}", json.dumps(mutant).encode())
        assert_fine(asked(kept.places.socket, data), mutant)

    leaf()
    assert_fine(asked(kept.places.socket, b"GET /v1/daemon HTTP/1.1\r\n\r\n"), "status")
    eventually(lambda: descriptors() <= before + 2)


@pytest.mark.parametrize("verb", ["up", "plan", "run"])
@pytest.mark.parametrize(
    "path",
    [("networks",), ("volumes",), ("services",), ("services", "web"), ("services", "web", "depends_on"), ("x-corral",)],
)
def test_a_document_that_is_none_is_refused_before_it_is_put_together(
    kept: Lab, verb: str, path: tuple[str, ...]
) -> None:
    body = copy.deepcopy(BODIES[verb])
    document = body["document"]
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = None
    answer = asked(kept.places.socket, request(f"/v1/projects/demo/{verb}", json.dumps(body).encode()))
    assert status_of(answer) == 400, answer


SHARED: dict[str, Any] = {
    "networks/create": {"name": "n", "settings": {"ipam": {"config": [{"subnet": "10.9.0.0/24"}]}}},
    "networks/remove": {"names": ["n"]},
    "networks/prune": {"every": False},
    "networks/connect": {
        "network": "demo_default",
        "target": "demo-web-1",
        "project": "demo",
        "joined": {"aliases": ["a"], "gw_priority": 3, "driver_opts": {"a": "b"}},
    },
    "networks/disconnect": {"network": "n", "target": "demo-web-1", "project": "demo", "joined": {}},
    "volumes/create": {"name": "v", "settings": {"labels": {"a": "b"}, "driver_opts": {"type": "tmpfs"}}},
    "volumes/remove": {"names": ["v"]},
    "volumes/prune": {"every": True, "names": ["v"]},
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("url", sorted(SHARED))
def test_one_leaf_of_a_request_about_what_is_no_projects(kept: Lab, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MADE_S", 0.05)

    @fuzzing.effort(25)
    @given(fuzzing.mutants(SHARED[url]))
    def leaf(mutant: Any) -> None:
        assert_fine(asked(kept.places.socket, request(f"/v1/{url}", json.dumps(mutant).encode())), mutant)

    leaf()


@pytest.mark.timeout(120)
def test_any_bytes(kept: Lab) -> None:
    before = descriptors()
    good = request("/v1/projects/demo/stop", b'{"services":[]}')

    @fuzzing.effort(200)
    @given(some.data())
    def spoilt(data: some.DataObject) -> None:
        at, length = data.draw(some.integers(0, len(good))), data.draw(some.integers(0, 20))
        sent = good[:at] + data.draw(some.binary(max_size=30)) + good[at + length :]
        assert_fine(asked(kept.places.socket, sent), sent)

    spoilt()
    eventually(lambda: descriptors() <= before + 2)


@pytest.mark.parametrize(
    "name", ["%2e%2e", "..%2f..%2fetc", "%00", "a%0ab", "x" * 5000, "%ff", "%", "A", "-", "demo%2fup"]
)
def test_a_name_of_a_project_becomes_no_path(kept: Lab, name: str) -> None:
    before = sorted(pathlib.Path(kept.places.root).rglob("*"))
    for verb, body in BODIES.items():
        answer = asked(kept.places.socket, request(f"/v1/projects/{name}/{verb}", json.dumps(body).encode()))
        assert status_of(answer) in (400, 404, 409), (verb, answer)
    for verb in ("containers", "logs"):
        head = f"GET /v1/projects/{name}/{verb} HTTP/1.1\r\ncorral-version: {version.VERSION}\r\n\r\n".encode()
        assert status_of(asked(kept.places.socket, head)) in (400, 404)
    assert sorted(pathlib.Path(kept.places.root).rglob("*")) == before


@pytest.mark.parametrize(
    "head",
    [
        "content-length: 1\r\n",
        "content-length: " + "9" * 5000 + "\r\nx: ",
        "transfer-encoding: chunked\r\n",
        "content-length: ²\r\n",
        "content-length: 0x10\r\n",
    ],
)
def test_odd_heads_are_refused(kept: Lab, head: str) -> None:
    assert status_of(asked(kept.places.socket, request("/v1/projects/demo/stop", b"{}", head=head))) == 400


@pytest.mark.parametrize(
    "body", ['{"services":[],"timeout_s":NaN}', '{"services":[],"timeout_s":1e999}', "[" * 99999, '{"a":' * 50000]
)
def test_odd_bodies_are_refused(kept: Lab, body: str) -> None:
    assert status_of(asked(kept.places.socket, request("/v1/projects/demo/stop", body.encode()))) == 400


@pytest.mark.timeout(60)
def test_more_clients_than_there_are_places_wait_outside(kept: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 1000.0)  # which they have in peace
    monkeypatch.setattr(clients, "HURRY_S", 0.2)
    idle = [socket.socket(socket.AF_UNIX) for _ in range(clients.PLACES + 50)]
    try:
        for each in idle:
            each.setblocking(False)
            try:
                each.connect(kept.places.socket)
            except BlockingIOError:  # the queue before the door is full, too
                break
        found: list[bytes] = []
        late = threading.Thread(
            target=lambda: found.append(asked(kept.places.socket, b"GET /v1/daemon HTTP/1.1\r\n\r\n"))
        )
        late.start()
        late.join(30)
        assert found, "those who say nothing were not given up"
        assert status_of(found[0]) == 200
    finally:
        for each in idle:
            each.close()


# ------------------------------------------------------------------------------------------------------ what is on disk


STORED = Stored("demo").up(["/a.yaml"], {"name": "demo", "services": {"web": SERVICE}}, 3.0, scale={"web": 2})


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> records.Records:
    kept = records.Records(str(tmp_path))
    kept.write(STORED)
    return kept


def test_one_leaf_of_the_record_of_a_project(tmp_path: pathlib.Path, folder: records.Records) -> None:
    path = tmp_path / "demo.json"
    said = json.loads(path.read_bytes())
    seal = said.pop("seal")

    @fuzzing.effort(300)
    @given(fuzzing.mutants(said), some.booleans())
    def leaf(mutant: dict[str, Any], is_sealed: bool) -> None:
        path.write_text(json.dumps({**mutant, "seal": seal} if is_sealed else mutant, separators=(",", ":")))
        path.chmod(0o600)
        try:
            found = folder.read("demo")
        except errors.Damaged as error:
            assert str(path) in error.message  # noqa: PT017 - either way is right
            assert error.hint  # noqa: PT017
        else:
            assert not is_sealed or found == STORED
            assert found.name == "demo"
            folder.write(found)

    leaf()


def test_any_bytes_as_the_health_or_the_events_of_before(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "health.json"
    good = {
        "u": {"project": "p", "started_at": 1.0, "status": "healthy", "failures": 0, "probed_at": 1.0, "output": ""}
    }
    happened = {
        "event": "happened",
        "at": 1.0,
        "type": "container",
        "action": "start",
        "service": "a",
        "id": "u",
        "attributes": {},
    }

    @fuzzing.effort(200)
    @given(fuzzing.mutants(good), fuzzing.mutants(happened))
    def leaf(health_mutant: Any, event: Any) -> None:
        path.write_text(json.dumps(health_mutant))
        for record in health.read(str(path)).values():
            assert record.status in ("starting", "healthy", "unhealthy")
            assert record.failures + record.probed_at + record.started_at is not None
        path.write_text(json.dumps(event) + "\n" + "[" * 99999 + "\n\xff\n")
        chronicle.Chronicle(str(path)).listen(0.0).close()

    leaf()
    path.unlink()
    os.mkfifo(path)
    assert health.read(str(path)) == {}
    told = chronicle.Chronicle(str(path))
    told.listen(0.0).close()


def test_a_project_of_which_something_is_damaged_is_left_as_it_is_and_others_are_not(kept: Lab) -> None:
    kept.kill()
    kept.engine.damaged = (
        Damage("/run/x.json", "cannot read /run/x.json: it was edited", "put it back", frozenset({"demo"})),
    )
    done = list(kept.engine.done)
    kept.start()
    for command in (("up", "-d"), ("down",), ("plan",), ("stop",), ("restart",)):
        assert "/run/x.json" in kept.corral(*command, code=1)[1]
    out, err = kept.corral("ps", code=1)
    assert "demo-web-1" in out, "what is known is shown"
    assert "/run/x.json" in err
    assert "put it back" in err
    assert "/run/x.json" in kept.corral("daemon", "status")[0]
    assert kept.engine.done == done
    kept.write("services: {a: {image: 'rootfs:/r', command: x}}\n", "other.yaml")
    kept.corral("-f", "other.yaml", "-p", "other", "up", "-d")
    kept.engine.damaged = ()
    eventually(lambda: "as declared" in kept.corral("plan", code=None)[0])
    kept.corral("down")
