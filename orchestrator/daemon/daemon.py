"""The daemon: one process a state root, that keeps all stored projects as they are declared.

    <root>/daemon.lock    held (flock) while a daemon lives; says which run folder it serves
    <run>/corral.sock     where clients talk to it
    <run>/health.json     what the healthchecks found

It may die at any moment: containers, their output and their exit codes do not depend on it, and the next one goes on where
it ended. Ended politely, it lets go of everything in order; containers stay in that case too.
"""

import fcntl
import gc
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

import anyio

from engine.api import Engine
from engine.errors import EngineError
from engine.process import syscalls, title
from orchestrator import client, errors, protocol, settings, version
from orchestrator.daemon import boots, chronicle, health, projects, records, routes, server, shutdown, systemd

log = logging.getLogger(__name__)

LOCK_S = 10.0
"""So long a daemon waits for one that is just ending, or has just begun, to answer or to go."""

THREADS_WAIT_S = 0.0005
"""So long a thread that is back from the kernel waits for the event loop to let it go on. Python's own 5 ms add up where one
system call follows the other."""

COLLECTING = 2_000, 5, 10
"""The collector's thresholds, once modules are left out. What a request makes has cycles (tasks, exceptions), and is garbage
until so many objects more have come, or nobody waits: pages in which something is left stay in use for good."""

LAST_WORDS_S = 0.05
"""So long the answers under way have to go out."""

Factory = Callable[[settings.Places, settings.Access], AbstractAsyncContextManager[Engine]]
"""Makes the engine; entering opens it, leaving lets go of what only the daemon needs (the zygote, not the containers)."""


def linux_engine(places: settings.Places, access: settings.Access) -> AbstractAsyncContextManager[Engine]:
    """The real one. Imported late: nobody else pays for it."""
    from engine.linux import LinuxEngine

    return LinuxEngine(root=places.root, run=places.run)


def run(places: settings.Places, access: settings.Access, factory: Factory = linux_engine) -> int:
    """Be the daemon until told to end; the exit code. 75: another one has this root, and serves it."""
    title.show(title.area(), b"corral daemon " + os.fsencode(places.run))
    syscalls.use_one_heap()
    sys.setswitchinterval(THREADS_WAIT_S)
    logging.basicConfig(handlers=[systemd.log_handler()], level=logging.INFO)
    logging.getLogger("asyncio").addFilter(is_no_race)
    os.makedirs(places.root, mode=0o700, exist_ok=True)
    os.makedirs(places.run, mode=0o711, exist_ok=True)  # the socket in it may be a group's
    code = 1
    try:
        lock = take_lock(places)
        if lock is None:
            return client.OTHER_HOLDS_THE_ROOT
        anyio.run(_run, places, access, factory)
        code = 0
    except* (errors.OrchestratorError, EngineError, OSError) as group:
        for error in _leaves(group):
            log.error("the daemon cannot run: %s", error)
    return code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def is_no_race(record: logging.LogRecord) -> bool:
    """Whether a message of asyncio's means something. It complains where a client's socket becomes readable in the very moment
    in which anyio gives up waiting for it (`f.set_result` in anyio's UNIXSocketStream): nothing is lost by that."""
    return not (record.exc_info and type(record.exc_info[1]).__name__ == "InvalidStateError")


def take_lock(places: settings.Places, patience_s: float = LOCK_S) -> int | None:
    """The lock's descriptor, to be held; None: a daemon that answers has it. Raises DaemonError: one for another run folder
    has it, or one that neither answers nor goes."""
    deadline = time.monotonic() + patience_s
    while True:
        descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
        else:
            if _is_at(descriptor, places.lock):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "run": places.run}).encode(), 0)
                return descriptor
            holder = ""  # somebody took the file away between our open and our lock
        os.close(descriptor)
        if holder == places.run and client.answers(places.socket):
            return None
        if time.monotonic() > deadline or (holder not in ("", places.run)):
            raise errors.DaemonError(
                f"cannot serve {places.root}: a daemon with the run folder {holder or '(unknown)'} has it",
                hint=f"use --run {holder}" if holder else "",
            )
        time.sleep(0.02)


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    try:
        return str(json.loads(os.pread(descriptor, 4096, 0))["run"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


async def _run(places: settings.Places, access: settings.Access, factory: Factory) -> None:
    ending = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_on_signal, ending)
        await live(factory, places, access, ending)
        tasks.cancel_scope.cancel()


async def live(factory: Factory, places: settings.Places, access: settings.Access, ending: anyio.Event) -> None:
    """Serve until `ending` is set; what only we keep goes with us, where there are no projects."""
    async with factory(places, access) as engine:
        gc.collect()
        gc.freeze()  # all modules live as long as we do: to look through them again would stop everything for 50 ms at a time
        gc.set_threshold(*COLLECTING)
        has_projects = await serve(engine, places, access, ending)
    if not has_projects:
        leave_nothing(places)


async def serve(
    engine: Engine,
    places: settings.Places,
    access: settings.Access,
    ending: anyio.Event,
    *,
    clock: Callable[[], float] = time.time,
) -> bool:
    """Restore all stored projects, keep them, and answer clients, until `ending` is set, by a client or by somebody else.
    Returns whether there are any projects then."""
    began = clock()

    def wake(name: str) -> None:
        found.wake(name)

    def status() -> protocol.Status:
        return protocol.Status(version.VERSION, os.getpid(), places.root, places.run, began, len(found.overview()))

    monitor = health.Monitor(engine.run, places.health, wake, clock=clock)
    told = chronicle.Chronicles(places.projects)
    after_boot, kept = boots.is_first_start(places.boot), records.Records(places.projects)
    found = projects.Projects(engine, kept, monitor, told, clock=clock, userns=access.userns, after_boot=after_boot)
    async with anyio.create_task_group() as tasks:
        await tasks.start(monitor.serve)
        await tasks.start(found.serve)
        boots.note(places.boot)
        async with await server.listen(places.socket, access.group) as listener:
            tasks.start_soon(server.serve, listener, routes.handler_of(found, status, ending.set), _Tidying())
            tasks.start_soon(systemd.keep_watchdog)
            log.info("corral %s serves %s on %s", version.VERSION, places.root, places.socket)
            systemd.tell("READY=1", f"STATUS=serves {places.root} on {places.socket}")
            await ending.wait()
            systemd.tell("STOPPING=1")
            _unlink(places.socket)
            await anyio.sleep(LAST_WORDS_S)
            tasks.cancel_scope.cancel()
    names = [str(each["name"]) for each in found.overview()]
    if names and await systemd.is_machine_going_down():
        await shutdown.end_containers(engine, names)
    else:
        log.info("ends; containers stay")
    return bool(names)


class _Tidying:
    """Takes garbage away while nobody waits for us, where enough has been made for the collector to have begun by itself."""

    def __init__(self) -> None:
        self._begun = 0

    def __call__(self) -> None:
        begun = sum(generation["collections"] for generation in gc.get_stats())
        if begun != self._begun:
            gc.collect()
            self._begun = begun + 1


async def _end_on_signal(ending: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
        async for number in received:
            if number != signal.SIGHUP:
                log.info("told to end by %s", signal.Signals(number).name)
                ending.set()


def leave_nothing(places: settings.Places) -> None:
    """Take away what only we keep; to be called by who has the lock, where there are no projects."""
    for path in (places.health, places.log, places.boot, places.lock):
        _unlink(path)
    try:
        os.rmdir(places.projects)
    except OSError:
        pass


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
