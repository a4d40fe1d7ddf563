"""The shim: holds one sandbox's namespaces and is the parent of its containers, until it is told to quit or is killed.

It answers requests (`engine.process.wire`) of any number of clients, one event at a time, and never waits for one of them. It
needs nobody: not the zygote that forked it, not the daemon. When it dies, each container's first process gets SIGKILL. There are
as many shims as sandboxes, so what a shim does itself is kept small: most work is done by forks (`engine.process.workers`).

Runs in the zygote: the listed stdlib modules only.
"""

import os
from collections.abc import Callable
from typing import NoReturn

from engine import errors
from engine.process import (
    birth,
    children,
    commands,
    frames,
    namespaces,
    title,
    user_namespaces,
    wire,
)
from engine.process.commands import Command
from engine.process.connections import Connection, Server
from engine.process.frames import Socket
from engine.process.loop import Loop
from engine.process.running import Jobs, Running

DONE = frames.encode(wire.Done())

ATTACHED_MAX = 128
"""Each has three descriptors here, of 1,024 that a process may have where nobody has raised that."""


def main(
    data: bytes, number: int, first: Socket, listening: Socket, area: title.Area, rest: Callable[[], object]
) -> NoReturn:
    """Be the shim that `data` (`frames.join_forks`) asks for by this number, serving `first` and whoever connects to `listening`
    later. Called once, after a fork.

    Who has sent it makes the new namespaces what they should be, and records which process this is. Only then is there a first
    request, and only then is anybody else heard: where none comes, there is nothing to be found."""
    try:
        os.setsid()
        name, has_network, ids = frames.split_fork(data, number)
        title.show(area, b"corral shim " + name)
        userns, home = -1, namespaces.of_this_process() if has_network else -1
        if ids:
            userns = user_namespaces.enter(ids, has_network)
        else:
            namespaces.enter(has_network)
        jobs = Jobs(birth.first, lambda report, data: birth.start(report, data, userns, home), commands.join)
        frames.send_raw(first, frames.answer(0, b'{"is":"Made","pid":%d}' % os.getpid()))
        Shim(Loop(rest), first, listening, jobs).run()
    except (OSError, errors.EngineError) as error:
        frames.send_raw(first, frames.answer(0, frames.encode_failed(f"cannot make a sandbox: {error}")))
    finally:
        os._exit(1)


class Shim:
    """Waits for its first request. `_ended`: the encoded last exit of each container that ran here and rests."""

    def __init__(self, loop: Loop, first: Socket, listening: Socket, jobs: Jobs) -> None:
        self._loop, self._jobs = loop, jobs
        self._running: dict[str, Running] = {}
        self._ended: dict[str, bytes] = {}
        self._stopping: dict[str, list[tuple[Connection, int]]] = {}
        self._quitting: list[tuple[Connection, int]] = []
        self._commands: dict[Connection, Command] = {}
        self._held: dict[str, tuple[int, ...]] = {}
        self._attached: set[Connection] = set()
        self._expecting: dict[str, list[tuple[Connection, int]]] = {}
        request = frames.receive_raw(first)
        if request is None:
            os._exit(0)
        self._server = Server(loop, listening, self._received)
        self._received(self._server.adopt(first), *request)

    def run(self) -> NoReturn:
        self._loop.run()
        raise AssertionError

    def close(self) -> None:
        """Serve nobody any more."""
        self._server.close()

    # ------------------------------------------------------------------------------------------------------ requests

    def _received(self, connection: Connection, data: bytes, descriptors: list[int]) -> None:
        number = 0
        try:
            number, kind = frames.head(data)
            self._perform(connection, number, kind, data, descriptors)
        except errors.EngineError as error:
            connection.send(number, frames.encode_failed(str(error), isinstance(error, errors.TerminalEngineError)))
        except frames.WireError:
            connection.close()
        except (OSError, ValueError, KeyError, TypeError) as error:
            connection.send(number, frames.encode_failed(f"cannot do what was asked of the shim: {error!r}"))
        finally:
            frames.close_all(descriptors)

    def _perform(self, connection: Connection, number: int, kind: str, data: bytes, descriptors: list[int]) -> None:
        """What is in `descriptors` afterwards is closed."""
        match kind:
            case "Start":
                self._start(connection, number, data)
            case "Exec":
                self._exec(connection, number, data)
            case "ExecSignal":
                if command := self._commands.get(connection):
                    command.signal(frames.fields(data)["number"])
            case "Attach":
                asked = frames.fields(data)
                self._attach(connection, number, asked["container"], asked.get("to_next") is True)
            case "Stop":
                asked = frames.fields(data)
                self._stop(connection, number, asked["container"], asked["number"], asked["grace_s"])
            case "Signal":
                asked = frames.fields(data)
                self._find(asked["container"]).signal(asked["number"])
                connection.send(number, DONE)
            case "Subscribe" | "List":
                connection.subscribed = connection.subscribed or kind == "Subscribe"
                connection.send(number, self._listing())
            case "Hold":
                key = frames.fields(data)["key"]
                if type(key) is not str:
                    raise ValueError("no key")
                self._release(key)
                self._held[key] = tuple(descriptors)
                descriptors.clear()
                connection.send(number, DONE)
            case "Release":
                for key in frames.fields(data)["keys"]:
                    self._release(key)
                connection.send(number, DONE)
            case "Quit":
                self._quit(connection, number)
            case _:
                raise errors.TerminalEngineError(f"cannot {kind}: this shim does not know how")

    # ------------------------------------------------------------------------------------------------------ containers

    def _find(self, container: str) -> Running:
        running = self._running.get(container)
        if running is None or running.process is None:
            raise errors.EngineError(f"cannot reach container {container[:12]}: it is not running")
        return running

    def _start(self, connection: Connection, number: int, data: bytes) -> None:
        container = frames.container_of(data)
        if container in self._running:
            raise errors.EngineError(f"cannot start container {container[:12]}: it is running")
        if self._quitting:
            raise errors.EngineError(f"cannot start container {container[:12]}: its sandbox is going")

        def failed(failure: bytes) -> None:
            del self._running[container]
            connection.send(number, failure)
            self._settle(container)

        def ended(found: bytes) -> None:
            del self._running[container]
            self._ended[container] = found
            self._server.publish(b'{"is":"Exited","exit":%b}' % found)
            self._settle(container)

        self._running[container] = Running(
            self._loop,
            data,
            self._jobs,
            executed=lambda: self._executed(container),
            started=lambda process: connection.send(number, b'{"is":"Started","process":%b}' % process),
            failed=failed,
            ended=ended,
        )

    def _stop(self, connection: Connection, number: int, container: str, which: int, grace_s: float) -> None:
        if type(container) is not str or type(which) is not int or not (0 < which < 65 and 0 <= grace_s < 1e12):
            raise ValueError("no signal, or no grace")
        running = self._running.get(container)
        if running is not None:
            running.stop(which, grace_s)
        self._stopping.setdefault(container, []).append((connection, number))
        if running is None:
            self._settle(container)

    def _settle(self, container: str) -> None:
        """Answer those who waited for its end."""
        for connection, number in self._stopping.pop(container, ()):
            connection.send(number, b'{"is":"Stopped","exit":%b}' % self._ended.get(container, b"null"))
        if self._quitting and not self._running:
            for connection, number in self._quitting:
                connection.send(number, DONE)
            os._exit(0)

    def _quit(self, connection: Connection, number: int) -> None:
        self._quitting.append((connection, number))
        for running in list(self._running.values()):
            running.kill()
        self._settle("")

    def _listing(self) -> bytes:
        running = b",".join(it.process for it in self._running.values() if it.process is not None)
        held = b",".join(frames.text(key) for key in self._held)
        return b'{"is":"Listing","running":[%b],"ended":[%b],"held":[%b]}' % (
            running,
            b",".join(self._ended.values()),
            held,
        )

    def _exec(self, connection: Connection, number: int, data: bytes) -> None:
        running = self._find(frames.container_of(data))
        if connection in self._commands:
            raise errors.EngineError("cannot run a second command on one connection")
        assert running.kept is not None

        def bear(cgroup_v2: str) -> children.Child:
            body = lambda channel, entered: self._jobs.join(channel, data, running.data, running.pidfd, entered)  # noqa: E731
            return children.clone_into(running.pidfd, cgroup_v2, body)

        def forget() -> None:
            del self._commands[connection]

        cgroup_v2 = frames.cgroup_of(running.data) if running.kept.entered else ""
        self._commands[connection] = Command(self._loop, connection, number, bear, cgroup_v2)
        connection.on_close.append(forget)

    def _attach(self, connection: Connection, number: int, container: str, to_next: bool) -> None:
        if len(self._attached) >= ATTACHED_MAX:
            raise errors.EngineError(f"cannot attach to container {container[:12]}: {ATTACHED_MAX} others are attached")
        running = self._running.get(container) if to_next else self._find(container)
        self._attached.add(connection)
        connection.on_close.append(lambda: self._attached.discard(connection))
        if to_next:
            connection.send(number, DONE)
        if running is not None and running.kept is not None:
            self._hand_over(connection, number, container, running, alone=to_next)
        else:
            self._expecting.setdefault(container, []).append((connection, number))
            connection.on_close.append(lambda: self._expect_no_more(container, connection))

    def _expect_no_more(self, container: str, connection: Connection) -> None:
        left = [each for each in self._expecting.pop(container, ()) if each[0] is not connection]
        if left:
            self._expecting[container] = left

    def _executed(self, container: str) -> None:
        """Before anything that it writes is read."""
        for connection, number in self._expecting.pop(container, ()):
            self._hand_over(connection, number, container, self._running[container], alone=True)

    def _hand_over(self, connection: Connection, number: int, container: str, running: Running, *, alone: bool) -> None:
        """It hears of the end, too. What the container is handed waits for nobody: who hangs up is forgotten."""
        taps, descriptors, words = running.attach(alone)
        connection.subscribed = True
        for tap in taps:
            tap.stalled = connection.close
            connection.on_close.append(tap.cut)
        connection.send(number, b'{"is":"Attached","container":%b,%b}' % (frames.text(container), words), descriptors)

    def _release(self, key: str) -> None:
        frames.close_all(self._held.pop(key, ()))
