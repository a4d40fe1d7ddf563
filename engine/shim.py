"""The shim: holds one sandbox's namespaces and is the parent of its containers, until it is told to quit or is killed.

It answers requests (`engine.wire`) of any number of clients, one event at a time, and never waits for one of them. It needs
nobody: not the zygote that forked it, not the daemon. When it dies, each container's first process gets SIGKILL.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import socket
from collections.abc import Callable
from typing import Any, NoReturn

from engine import capabilities, durable, errors, frames, identity, namespaces, netlink, program, syscalls, title, wire
from engine.commands import Command
from engine.connections import Connection, Server
from engine.loop import Loop
from engine.running import Running


def main(spec: wire.SandboxSpec, first: socket.socket, area: title.Area) -> NoReturn:
    """Be the shim of this sandbox, serving `first` and whoever connects later. Called once, after the fork."""
    try:
        os.setsid()
        title.show(area, f"corral shim {spec.project}/{spec.name} {spec.run_directory}")
        syscalls.close_all_but({0, 1, 2, first.fileno()})
        namespaces.enter(spec)
        loop = Loop()
        shim = Shim(loop, spec)
        shim.serve(first)
        loop.run()
    except (OSError, ValueError) as error:
        failed = wire.Failed(f"cannot make sandbox {spec.project}/{spec.name}: {error}", isinstance(error, ValueError))
        frames.send(first, wire.Frame(0, failed))
    finally:
        os._exit(1)


class Shim:
    """`_ended`: the last exit of each container that ran here and rests."""

    def __init__(self, loop: Loop, spec: wire.SandboxSpec) -> None:
        self._loop, self._spec = loop, spec
        self._hostname = spec.hostname
        self._may = capabilities.ours()
        self._running: dict[str, Running] = {}
        self._ended: dict[str, wire.Exit] = {}
        self._stopping: dict[str, list[tuple[Connection, int]]] = {}
        self._quitting: list[tuple[Connection, int]] = []
        self._held: dict[str, tuple[int, ...]] = {}
        self._commands: dict[tuple[Connection, int], Command] = {}
        self._server = Server(loop, spec.directory, self._received)
        pidfd = os.pidfd_open(os.getpid())
        self._identity = identity.of(pidfd, os.getpid())
        os.close(pidfd)
        durable.write(os.path.join(spec.directory, wire.SHIM_RECORD), self._identity)

    def serve(self, first: socket.socket) -> None:
        self._server.adopt(first).send(0, wire.Ready(self._identity))

    def _received(self, connection: Connection, frame: wire.Frame, descriptors: list[int]) -> None:
        try:
            if isinstance(frame.body, wire.Hold):
                self._hold(frame.body.key, tuple(descriptors))
                descriptors = []
                connection.send(frame.number, wire.Done())
            else:
                self._perform(connection, frame.number, frame.body)
        except errors.EngineError as error:
            connection.send(frame.number, wire.Failed(str(error), isinstance(error, errors.TerminalEngineError)))
        except (OSError, ValueError) as error:
            what = type(frame.body).__name__.lower()
            connection.send(frame.number, wire.Failed(f"cannot {what} in {self._spec.name}: {error}"))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _perform(self, connection: Connection, number: int, body: Any) -> None:
        match body:
            case wire.Start(spec):
                self._start(connection, number, spec)
            case wire.Stop(container, which, grace_s):
                self._stop(connection, number, container, lambda running: running.stop(which, grace_s))
            case wire.Exec(spec):
                self._exec(connection, number, spec)
            case wire.ExecSignal(which):
                command = self._commands.get((connection, number))
                if command is not None:
                    command.signal(which)
            case wire.Quit():
                self._quit(connection, number)
            case wire.List() | wire.Subscribe():
                connection.subscribed = connection.subscribed or isinstance(body, wire.Subscribe)
                connection.send(number, self._listing())
            case _:
                self._perform_at_once(body)
                connection.send(number, wire.Done())

    def _perform_at_once(self, body: Any) -> None:
        match body:
            case wire.Signal(container, which):
                self._find(container).signal(which)
            case wire.ConfigureInterface(name, address, prefix_length, gateway):
                self._refuse_machine_network()
                netlink.configure_interface(name, address, prefix_length, gateway)
            case wire.UnconfigureInterface(name):
                self._refuse_machine_network()
                netlink.unconfigure_interface(name)
            case wire.Release(keys):
                for key in keys:
                    self._release(key)
            case wire.SetHostname(hostname, domainname):
                namespaces.name(hostname, domainname)
                self._hostname = hostname or self._hostname
            case _:
                raise errors.TerminalEngineError(f"cannot {type(body).__name__}: this shim does not know how")

    # ------------------------------------------------------------------------------------------------------ containers

    def _find(self, container: str) -> Running:
        running = self._running.get(container)
        if running is None or not running.is_running:
            raise errors.EngineError(f"cannot reach container {container[:12]}: it is not running")
        return running

    def _start(self, connection: Connection, number: int, spec: wire.StartSpec) -> None:
        if spec.container in self._running:
            raise errors.EngineError(f"cannot start container {spec.container[:12]}: it is running")
        if self._quitting:
            raise errors.EngineError(f"cannot start container {spec.container[:12]}: its sandbox is going")

        def failed(failure: wire.Failed) -> None:
            del self._running[spec.container]
            connection.send(number, failure)
            self._settle(spec.container)

        self._running[spec.container] = Running(
            self._loop,
            spec,
            self._program(spec),
            started=lambda process: connection.send(number, wire.Started(process)),
            failed=failed,
            ended=self._on_ended,
        )

    def _program(self, spec: wire.StartSpec) -> program.Program:
        confinement = spec.confinement
        return program.Program(
            spec.argv,
            spec.environment,
            spec.user,
            spec.working_dir,
            spec.hostname or self._hostname,
            spec.tty,
            spec.init,
            confinement,
            keep=capabilities.mask(confinement.capabilities) & self._may,
            seccomp=_read(confinement.seccomp_path) if confinement.seccomp_path else b"",
        )

    def _on_ended(self, end: wire.Exit) -> None:
        del self._running[end.container]
        self._ended[end.container] = end
        self._server.publish(wire.Exited(end))
        self._settle(end.container)

    def _stop(self, connection: Connection, number: int, container: str, act: Callable[[Running], None]) -> None:
        self._stopping.setdefault(container, []).append((connection, number))
        running = self._running.get(container)
        if running is None:
            self._settle(container)
        else:
            act(running)

    def _settle(self, container: str) -> None:
        """Answer those who waited for its end."""
        for connection, number in self._stopping.pop(container, ()):
            connection.send(number, wire.Stopped(self._ended.get(container)))
        if self._quitting and not self._running:
            for connection, number in self._quitting:
                connection.send(number, wire.Done())
            os.unlink(os.path.join(self._spec.directory, wire.SHIM_SOCKET))
            os._exit(0)

    def _quit(self, connection: Connection, number: int) -> None:
        self._quitting.append((connection, number))
        for running in list(self._running.values()):
            running.kill()
        self._settle("")

    def _listing(self) -> wire.Listing:
        running = tuple(it.process for it in self._running.values() if it.is_running)
        return wire.Listing(running, tuple(self._ended.values()), tuple(self._held))

    # -------------------------------------------------------------------------------------------------------- commands

    def _exec(self, connection: Connection, number: int, spec: wire.ExecSpec) -> None:
        if not spec.argv:
            raise errors.TerminalEngineError("cannot run nothing: there is no command")
        self._commands = {key: command for key, command in self._commands.items() if not command.has_ended}
        self._commands[connection, number] = Command(self._loop, spec, self._find(spec.container), connection, number)

    # ----------------------------------------------------------------------------------------------------- the network

    def _refuse_machine_network(self) -> None:
        if self._spec.mode == "host":
            raise errors.TerminalEngineError("cannot configure an interface: the sandbox uses the machine's network")

    def _hold(self, key: str, descriptors: tuple[int, ...]) -> None:
        self._release(key)
        self._held[key] = descriptors

    def _release(self, key: str) -> None:
        for descriptor in self._held.pop(key, ()):
            os.close(descriptor)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
