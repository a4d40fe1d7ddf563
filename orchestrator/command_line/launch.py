"""Starts, replaces and ends the daemon, from the client's side.

Where systemd runs the machine, the daemon is a unit of its own (`units`), which writes to the journal. Elsewhere it is a process
of its own session: standard input /dev/null, output to <run>/daemon.log. Who starts it waits until
it answers, watches that it lives, and shows the end of the log if it does not. Two who start one at a time both get
there: one daemon wins the lock of the root, the other leaves with `client.OTHER_HOLDS_THE_ROOT`.
"""

import _socket
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from orchestrator import client, errors, settings

READY_S = 60.0
END_S = 20.0

KEPT = ("PATH", "CORRAL_GROUP", "CORRAL_USERNS", "CORRAL_WITHOUT")
LOOK_EVERY_S = 0.005
LOG_LINES = 15

T = TypeVar("T")


def with_daemon(places: settings.Places, talk: Callable[[], T]) -> T:
    """What `talk` returns, with a daemon of this version there to be talked to: started, or replaced, if need be."""
    try:
        return talk()
    except client.NoDaemon:
        start(places)
    except client.OtherVersion:
        _must_be_root("replace the daemon of another version")
        end(places)
        start(places)
    return talk()


def start(places: settings.Places) -> int:
    """Start a daemon and wait until it answers; its pid. Raises DaemonError with the end of its log."""
    _must_be_root("start the daemon")
    os.makedirs(places.run, mode=0o711, exist_ok=True)
    from orchestrator.command_line import units  # which costs a command 10 ms

    if units.is_at_hand():
        return _start_unit(places)
    log = os.open(places.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    begin = os.fstat(log).st_size
    try:
        pid = _spawn(places, log)
    finally:
        os.close(log)
    return _wait_until_ready(places, pid, begin)


def _must_be_root(what: str) -> None:
    if os.geteuid() != 0:
        raise errors.DaemonError(f"cannot {what}: only root may", hint="run with sudo")


def argv_of(places: settings.Places) -> list[str]:
    return [sys.executable, "-m", "orchestrator", "--root", places.root, "--run", places.run, "daemon", "run"]


def environment_of(environ: dict[str, str]) -> dict[str, str]:
    """What the daemon inherits: nothing of the user's shell but where programs are and what settings.py reads."""
    kept = {key: value for key, value in environ.items() if key in KEPT}
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return {**kept, "LANG": "C.UTF-8", "HOME": "/root", "PYTHONPATH": top}


def _spawn(places: settings.Places, log: int) -> int:
    """Whoever waits for saves has threads: what happens between fork and exec must be nobody's Python."""
    import subprocess  # which costs a command 5 ms

    process = subprocess.Popen(
        argv_of(places),
        env=environment_of(dict(os.environ)),
        cwd="/",
        umask=0o022,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    process.returncode = 0  # waited for by its number
    return process.pid


def _start_unit(places: settings.Places) -> int:
    """Somebody else may have been quicker, or the unit of the daemon before may not have gone yet."""
    from orchestrator.command_line import units

    name, deadline = units.name_of(places), time.monotonic() + READY_S
    while True:
        refusal = units.start(places, argv_of(places), environment_of(dict(os.environ)))
        try:
            return int(client.ask(places.socket, "GET", "/v1/daemon", timeout_s=READY_S)["pid"])
        except client.NoDaemon:
            pass
        if time.monotonic() > deadline or (refusal and units.TAKEN not in refusal):
            hint = _indented("the end of its log:", units.log_of(name))
            units.give_up(name)
            raise errors.DaemonError(f"cannot start the daemon as {name}: {refusal or 'it ended'}", hint=hint)
        time.sleep(LOOK_EVERY_S)


def _wait_until_ready(places: settings.Places, pid: int, log_begin: int) -> int:
    deadline = time.monotonic() + READY_S
    lives = True
    while time.monotonic() < deadline:
        try:
            return int(client.ask(places.socket, "GET", "/v1/daemon", timeout_s=READY_S)["pid"])
        except client.NoDaemon:
            pass
        if lives:
            ended, status = os.waitpid(pid, os.WNOHANG)
            lives = not ended
            if ended and os.waitstatus_to_exitcode(status) != client.OTHER_HOLDS_THE_ROOT:
                break
        time.sleep(LOOK_EVERY_S)
    what = f"it does not answer within {READY_S:g} s" if lives else "it ended"
    raise errors.DaemonError(f"cannot start the daemon: {what}", hint=_end_of(places.log, log_begin))


def _end_of(path: str, begin: int) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            file.seek(begin)
            lines = file.read().splitlines()[-LOG_LINES:]
    except OSError as error:
        return f"its log {path} cannot be read: {error.strerror}"
    return _indented(f"the end of its log {path}:", "\n".join(lines))


def _indented(title: str, text: str) -> str:
    return "\n".join([title, *(f"    {line}" for line in text.splitlines())])


def end(places: settings.Places) -> dict[str, Any]:
    """End the daemon, whatever its version, and wait until it is gone; what it said. Raises NoDaemon.

    One that does not go is killed: it is made to survive that.
    """
    connection = client.connect(places.socket)
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, struct.calcsize("3i"))
    connection.close()
    pid = struct.unpack("3i", credentials)[0]
    try:
        watch = os.pidfd_open(pid)
    except OSError as error:
        raise client.NoDaemon(f"the daemon (pid {pid}) is gone: {error.strerror}") from error
    try:
        try:
            said = client.ask(places.socket, "POST", "/v1/daemon/stop", {}, timeout_s=END_S)
        except errors.DaemonError:
            said = {}
        if not select.select([watch], [], [], END_S)[0]:
            signal.pidfd_send_signal(watch, signal.SIGKILL)
            select.select([watch], [], [], END_S)
    finally:
        os.close(watch)
    return said
