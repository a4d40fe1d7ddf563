"""Where messages of a container's output are sent: a syslog by UDP, TCP or a unix socket, or the journal's socket.

Nobody is waited for longer than SEND_S; what could not be sent is the caller's to send again.
"""

import errno
import os
import socket
from urllib.parse import urlsplit

import anyio

from engine import errors
from engine.types.configs import ContainerConfig
from engine.types.parts import Forward

SEND_S = 5.0
JOURNAL = "/run/systemd/journal/socket"  # systemd.io/JOURNAL_NATIVE_PROTOCOL
OWN_SYSLOGS = ("/dev/log", "/var/run/syslog", "/var/run/log")  # Go's log/syslog, syslog_unix.go


def check(config: ContainerConfig) -> None:
    """Raises `TerminalEngineError` where the machine has no such receiver."""
    forward = config.logging.forward
    if forward is None:
        return
    if forward.driver == "journald" and not os.path.exists(JOURNAL):
        why = f"no journald runs on this machine (there is no {JOURNAL})"
        raise errors.TerminalEngineError(f"cannot log from {config.name} by journald: {why}")
    if forward.driver == "syslog" and not forward.address and _own_syslog() is None:
        why = f"no syslog runs on this machine (there is no {OWN_SYSLOGS[0]}); give a syslog-address"
        raise errors.TerminalEngineError(f"cannot log from {config.name} by syslog: {why}")


def _own_syslog() -> str | None:
    return next((path for path in OWN_SYSLOGS if os.path.exists(path)), None)


class Sender:
    """Connects when there is something to send, and again after a failure. To be closed."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._socket: socket.socket | None = None

    async def send(self, message: bytes) -> None:
        """Raises OSError; TimeoutError is one."""
        try:
            with anyio.fail_after(SEND_S):
                if self._socket is None:
                    self._socket = await self._connect()
                is_stream = self._socket.type == socket.SOCK_STREAM
                await _send(self._socket, message + b"\n" if is_stream else message)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return  # no receiver takes one so long: it is in the log
            self.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _connect(self) -> socket.socket:
        if self._forward.driver == "journald":
            return await _connect_unix(JOURNAL)
        address = urlsplit(self._forward.address)
        if address.scheme in ("", "unix"):
            return await _connect_unix(address.path or _own_syslog() or OWN_SYSLOGS[0])
        kind = socket.SOCK_DGRAM if address.scheme == "udp" else socket.SOCK_STREAM
        found = await anyio.getaddrinfo(address.hostname, address.port, type=kind)
        family, _, _, _, where = found[0]
        return await _connected(socket.socket(family, kind), where)


async def _connect_unix(path: str) -> socket.socket:
    """Most listen for datagrams, some for connections."""
    try:
        return await _connected(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), path)
    except OSError as error:
        if error.errno != errno.EPROTOTYPE:
            raise
    return await _connected(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), path)


async def _connected(made: socket.socket, where: object) -> socket.socket:
    made.setblocking(False)
    try:
        code = made.connect_ex(where)  # type: ignore[arg-type]
        if code == errno.EINPROGRESS:
            await anyio.wait_writable(made)
            code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        made.close()
        raise
    return made


async def _send(connection: socket.socket, data: bytes) -> None:
    while data:
        try:
            data = data[connection.send(data) :]
        except BlockingIOError:
            await anyio.wait_writable(connection)
