"""The daemon's half of the protocol: a small HTTP/1.1 server on the unix socket.

One request a connection. A request is read whole, within bounds of size and time, before anybody acts on it; how many are
connected, and for how long, is bounded by `clients`, and of requests that are big few are read at a time. A handler
returns a JSON-able mapping, or raises errors.Refused, or returns a `Stream` that writes events until it is done or the
client hangs up, or a `Passed` descriptor. What a handler raises besides is logged and answered with 500: a broken request
ends nothing but itself.
"""

import grp
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import anyio.abc

from engine.records import trusted
from orchestrator import encoding, errors, protocol, version
from orchestrator.daemon.clients import PLACES, SEND_S, Client, Clients

log = logging.getLogger(__name__)

REQUEST_S = 10.0
"""A request that is not there after this long is not awaited any further."""

BIG_BYTES, BIG_AT_ONCE = 1 << 20, 4
ACCEPT_REST_S = 0.1
GATHER_S = 0.01
LENGTH = re.compile(r"[0-9]{1,12}")
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 409: "Conflict", 413: "Content Too Large"} | {
    426: "Upgrade Required",
    500: "Internal Server Error",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; `body` is JSON, None if there was none."""

    verb: str
    path: str
    version: str
    body: object


class Source(Protocol):
    """Events for one client; closed when it hangs up, or has them all."""

    def __aiter__(self) -> AsyncIterator[protocol.Event]: ...
    def more(self) -> Iterable[protocol.Event]:
        """Those that need not be awaited."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Stream:
    """`endless`: there are events for as long as the client listens, and not only until something is done."""

    events: Source
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """An open file that goes to the client; it is closed here afterwards."""

    descriptor: int


Answer = Mapping[str, Any] | Stream | Passed
Handler = Callable[[Request], Awaitable[Answer]]


async def listen(path: str, group: str = "") -> anyio.abc.SocketListener:
    """A listener at `path`: root's alone (0600), or also `group`'s (0660). Replaces a dead one's file."""
    mask = os.umask(0o177)
    try:
        listener = await anyio.create_unix_listener(path, backlog=PLACES)
    finally:
        os.umask(mask)
    if group:
        try:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        except KeyError:
            await listener.aclose()
            raise errors.UsageError(f"cannot give the socket to group {group}: there is no such group") from None
        os.chmod(path, 0o660)
    return listener


async def serve(
    listener: anyio.abc.SocketListener, handler: Handler, at_rest: Callable[[], None] = lambda: None
) -> None:
    """Answer until cancelled. `at_rest` is called each time that nobody is left who is being answered."""
    clients = Clients()
    big = anyio.Semaphore(BIG_AT_ONCE)

    async def one(client: Client) -> None:
        try:
            async with client.connection:
                await _answer(client, handler, clients, big)
        except* (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError, BrokenPipeError):
            log.debug("a client hung up")
        except* Exception:
            log.exception("a request failed")
        finally:
            clients.leave(client)
            if not clients:
                at_rest()

    async with anyio.create_task_group() as tasks:
        while True:
            tasks.start_soon(one, await clients.come(await _next(listener)))


async def _next(listener: anyio.abc.SocketListener) -> anyio.abc.SocketStream:
    """Who comes next. That there are no descriptors left, or that somebody left at once, ends nothing."""
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            log.warning("cannot answer a client: %s", error)
            await anyio.sleep(ACCEPT_REST_S)


async def _answer(client: Client, handler: Handler, clients: Clients, big: anyio.Semaphore) -> None:
    try:
        with anyio.fail_after(REQUEST_S):
            request = await _read(client, big)
    except (errors.Refused, TimeoutError) as error:
        refused = error if isinstance(error, errors.Refused) else errors.Invalid("the request did not come")
        await _refuse(client, refused)
        return
    if request.version != version.VERSION and not request.path.startswith("/v1/daemon"):
        await _send(client, protocol.OTHER_VERSION_STATUS, {})
        return
    try:
        answer = await handler(request)
    except errors.Refused as error:
        await _refuse(client, error)
    except Exception as error:
        log.exception("%s %s failed", request.verb, request.path)
        refused = errors.Refused(f"the daemon failed: {type(error).__name__}: {error}", hint="its log says more")
        await _send(client, 500, {"error": errors.as_json(refused)})
    else:
        await _give(client, answer, clients)


async def _give(client: Client, answer: Answer, clients: Clients) -> None:
    match answer:
        case Stream(events, endless):
            try:
                if endless:
                    clients.listen(client)
                await _stream(client, events)
            except errors.Refused as error:
                await _refuse(client, error)
            finally:
                events.close()
        case Passed(descriptor):
            try:
                assert isinstance(client.connection, anyio.abc.UNIXSocketStream)
                with anyio.fail_after(SEND_S):
                    await client.connection.send_fds(_head(200, 2) + b"{}", [descriptor])
            finally:
                os.close(descriptor)
        case _:
            await _send(client, 200, answer)


async def _read(client: Client, big: anyio.Semaphore) -> Request:
    data = bytearray()
    while b"\r\n\r\n" not in data:
        if len(data) > protocol.HEAD_BYTES_MAX:
            raise errors.Invalid("the request's head is too long")
        data += await client.receive()
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    verb, path, said, length = _head_of(head)
    if length <= BIG_BYTES:
        return _request(verb, path, said, await _read_body(client, rest, length))
    await client.awaited(big.acquire)
    try:
        return _request(verb, path, said, await _read_body(client, rest, length))
    finally:
        big.release()


def _head_of(head: bytes) -> tuple[str, str, str, int]:
    """Verb, path, version and length. Raises Invalid."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    headers = dict(pairs)
    words = first.split(" ")
    length = headers.get("content-length", "0")
    is_odd = "transfer-encoding" in headers or [name for name, _ in pairs].count("content-length") > 1
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or is_odd or not LENGTH.fullmatch(length):
        raise errors.Invalid("not a request of this protocol")
    if int(length) > protocol.REQUEST_BYTES_MAX:
        raise errors.Invalid(f"the request is longer than {protocol.REQUEST_BYTES_MAX >> 20} MiB")
    return words[0], words[1], headers.get(protocol.VERSION_HEADER, ""), int(length)


def _request(verb: str, path: str, said: str, body: bytes) -> Request:
    try:
        found = json.loads(body, parse_constant=_no_number) if body else None
    except (ValueError, RecursionError) as error:
        raise errors.Invalid(f"the request is not JSON: {error}") from error
    if why := trusted.oddity(found):
        raise errors.Invalid(f"cannot use the request: {why}")
    return Request(verb, path, said, found)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


async def _read_body(client: Client, data: bytes, length: int) -> bytes:
    parts, have = [data], len(data)
    while have < length:
        parts.append(await client.receive())
        have += len(parts[-1])
    return b"".join(parts)[:length]


async def _stream(client: Client, events: Source) -> None:
    """Write events until there are no more, or the client hangs up."""

    async def until_hung_up() -> None:
        try:
            while True:
                await client.connection.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            events.close()

    await client.send(_head(200, None))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(until_hung_up)
        written = -GATHER_S
        async for event in events:
            if not isinstance(event, protocol.Settled) and anyio.current_time() - written < GATHER_S:
                await anyio.sleep(GATHER_S)  # who gets one after the other is woken for each
            await client.send(b"".join(map(encoding.line_of, (event, *events.more()))))
            written = anyio.current_time()
        tasks.cancel_scope.cancel()  # nobody waits for the socket when it is closed: its number may be another's at once


async def _refuse(client: Client, error: errors.Refused) -> None:
    await _send(client, error.status, {"error": errors.as_json(error)})


async def _send(client: Client, status: int, answer: Mapping[str, Any]) -> None:
    body = json.dumps(encoding.to_json(dict(answer)), separators=(",", ":")).encode()
    await client.send(_head(status, len(body)) + body)


def _head(status: int, length: int | None) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {REASONS[status]}",
        f"{protocol.VERSION_HEADER}: {version.VERSION}",
        "connection: close",
    ]
    if length is None:
        lines.append("content-type: application/jsonlines")
    else:
        lines += ["content-type: application/json", f"content-length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()
