"""Keeping the machine's names: written when something changes, and never in the way of anything."""

import logging
import os
import pathlib
from typing import Any

import anyio
import pytest

from engine import errors
from engine.hosts import keeping, resolved
from engine.types.configs import EndpointConfig, NetworkConfig

USERS = "127.0.0.1 localhost\n"
NETWORK = NetworkConfig("lab_default", "lab", "default", "10.9.0.0/24", "10.9.0.1")


def endpoint(sandbox: str, address: str, project: str = "lab") -> EndpointConfig:
    called = f"{sandbox}.{project}"
    return EndpointConfig(
        project, sandbox, "lab_default", "default", address, 24, "10.9.0.1", called, (sandbox, called)
    )


class Place:
    """A hosts file, and what there is to name."""

    def __init__(self, top: pathlib.Path) -> None:
        self.path = top / "hosts"
        self.path.write_text(USERS)
        self.endpoints = [endpoint("web", "10.9.0.2")]
        self.keeping = keeping.Keeping("0123abcd", self.look, str(self.path))

    def look(self) -> keeping.Joined:
        return keeping.Joined([("cb0", NETWORK)], self.endpoints, 10053)

    @property
    def block(self) -> list[str]:
        text = self.path.read_text()
        assert text.startswith(USERS)
        return text.removeprefix(USERS).splitlines()[1:-1]


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(resolved, "program", lambda: "")
    monkeypatch.setattr(keeping.file, "QUIET_S", 0.0)
    return Place(tmp_path)


async def want(place: Place, *projects: str, unknown: tuple[str, ...] = ()) -> None:
    await place.keeping.want(frozenset(projects), frozenset(unknown))


def test_until_it_is_told_nothing_is_touched(place: Place) -> None:
    place.path.write_text(USERS + "# corral lab begin 0123abcd\n10.9.0.9\tx.lab\n# corral lab end 0123abcd\n")

    async def live() -> None:
        await place.keeping.put()
        assert place.block == ["10.9.0.9\tx.lab"]
        await want(place)
        assert place.path.read_text() == USERS

    anyio.run(live)


def test_it_follows_what_comes_and_goes_and_what_others_write(place: Place) -> None:
    async def live() -> None:
        await want(place, "lab")
        assert place.block == ["10.9.0.2\tweb.lab"]
        place.endpoints.append(endpoint("db", "10.9.0.3"))
        place.endpoints.append(endpoint("x", "10.9.0.4", "other"))
        await place.keeping.put()
        assert place.block == ["10.9.0.3\tdb.lab", "10.9.0.2\tweb.lab"]
        place.path.write_text(USERS)
        await place.keeping.put()
        assert len(place.block) == 2
        inode = place.path.stat().st_ino
        await place.keeping.put()
        assert place.path.stat().st_ino == inode
        await want(place, unknown=("lab",))
        assert len(place.block) == 2, "nobody knows whether it is wanted"
        await want(place)
        assert place.path.read_text() == USERS

    anyio.run(live)


def test_what_cannot_be_written_is_said_once_and_tried_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    os.unlink(place.path)
    os.mkfifo(place.path)

    async def live() -> None:
        with caplog.at_level(logging.WARNING), pytest.raises(errors.EngineError, match="it is no file"):
            await want(place, "lab")
        await place.keeping.put()
        assert len(caplog.records) == 1
        assert "it is no file" in place.keeping.of("lab").problem
        os.unlink(place.path)
        place.path.write_text(USERS)
        await place.keeping.put()
        assert place.block == ["10.9.0.2\tweb.lab"]
        assert place.keeping.of("lab").problem == ""

    anyio.run(live)


def test_of_whom_nobody_asked_the_lines_are_known_all_the_same(place: Place) -> None:
    found = place.keeping.of("lab")
    assert (found.way, found.lines) == ("", (("10.9.0.2", ("web.lab",)),))


def test_where_resolved_refuses_the_file_it_is_until_it_does_not(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    refusing = [True]

    async def run(*command: str) -> None:
        if refusing[0]:
            raise errors.EngineError("cannot tell systemd-resolved: no such link")
        told.append(" ".join(command[1:]))

    said_meanwhile: list[str] = []
    put = keeping.file.put

    def write(*arguments: Any) -> Any:
        said_meanwhile.append(place.keeping.of("lab").way)
        return put(*arguments)

    monkeypatch.setattr(keeping.file, "put", write)
    monkeypatch.setattr(resolved, "program", lambda: "resolvectl")
    monkeypatch.setattr(resolved, "_run", run)
    for name in ("is_told", "has_been_told", "_index"):
        monkeypatch.setattr(resolved, name, lambda *_: True)

    async def live() -> None:
        await want(place, "lab")
        assert place.block == ["10.9.0.2\tweb.lab"]
        assert place.keeping.of("lab").way == "hosts"
        refusing[0] = False
        clock = anyio.current_time() + keeping.REFUSED_S
        monkeypatch.setattr(anyio, "current_time", lambda: clock)
        await place.keeping.put()
        assert place.path.read_text() == USERS
        assert said_meanwhile == ["hosts", "hosts"], "while the block is there"
        assert told[:2] == ["dns cb0 10.9.0.1:10053", "domain cb0 ~lab ~0.9.10.in-addr.arpa"]
        assert place.keeping.of("lab").place == "10.9.0.1:10053"
        told.clear()
        await place.keeping.put()
        assert told == [], "it knows"
        place.endpoints.clear()
        await place.keeping.put()
        assert told == ["revert cb0"]

    anyio.run(live)


def test_anything_else_that_goes_wrong_is_in_nobodys_way(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(keeping.file, "seen", gone)

    async def live() -> None:
        with pytest.raises(errors.EngineError, match="Input/output error"):
            await want(place, "lab")
        await place.keeping.put()

    anyio.run(live)
