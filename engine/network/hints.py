"""Hints from the kernel that interfaces or the firewall may have changed. What changed is not believed: somebody looks.

Two netlink sockets listen to multicasts: links, addresses and routes, and nf_tables. The legacy flavour of iptables tells
nothing: whoever runs on it asks `Firewall.drift` once a second.
"""

import contextlib
import socket
from collections.abc import AsyncIterator
from enum import StrEnum

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from engine import errors

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12  # linux/netlink.h
NETLINK_ADD_MEMBERSHIP = 1
RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE = 1, 5, 7  # linux/rtnetlink.h
RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE = 9, 11
NFNLGRP_NFTABLES = 7  # linux/netfilter/nfnetlink.h
GROUPS = {
    NETLINK_ROUTE: (
        RTNLGRP_LINK,
        RTNLGRP_IPV4_IFADDR,
        RTNLGRP_IPV4_ROUTE,
        RTNLGRP_IPV6_IFADDR,
        RTNLGRP_IPV6_ROUTE,
    ),
    NETLINK_NETFILTER: (NFNLGRP_NFTABLES,),
}
QUIET_S = 0.02
"""How long to wait after the first message, so that a burst of changes is one hint."""


class Hint(StrEnum):
    INTERFACES = "interfaces"
    FIREWALL = "firewall"


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[AsyncIterator[Hint]]:
    """Give hints from now on; nothing that happens inside this context is missed, but many changes may be one hint."""
    sockets = {}
    try:
        sockets[Hint.INTERFACES] = _subscribe(NETLINK_ROUTE)
        with contextlib.suppress(OSError):  # a kernel without nf_tables
            sockets[Hint.FIREWALL] = _subscribe(NETLINK_NETFILTER)
        send, receive = anyio.create_memory_object_stream[Hint](len(Hint))
        async with anyio.create_task_group() as tasks, receive:
            for hint, listener in sockets.items():
                tasks.start_soon(_pass_on, listener, hint, send.clone())
            send.close()
            yield receive
            tasks.cancel_scope.cancel()
    except OSError as error:
        raise errors.EngineError(f"cannot listen to the kernel's network changes: {error.strerror}") from error
    finally:
        for listener in sockets.values():
            listener.close()


async def _pass_on(listener: socket.socket, hint: Hint, send: MemoryObjectSendStream[Hint]) -> None:
    async with send:
        while True:
            await anyio.wait_readable(listener)
            await anyio.sleep(QUIET_S)
            _drain(listener)
            with contextlib.suppress(anyio.WouldBlock):  # the same hint waits to be taken
                send.send_nowait(hint)


def _subscribe(protocol: int) -> socket.socket:
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    try:
        listener.bind((0, 0))
        for group in GROUPS[protocol]:
            listener.setsockopt(270, NETLINK_ADD_MEMBERSHIP, group)  # SOL_NETLINK, linux/socket.h
    except OSError:
        listener.close()
        raise
    return listener


def _drain(listener: socket.socket) -> None:
    """Read all there is; that messages were lost (ENOBUFS) is a change too."""
    while True:
        try:
            listener.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            continue
