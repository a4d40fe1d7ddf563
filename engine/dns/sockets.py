"""What the dns process is asked on: two sockets on each gateway, which outlive it.

The daemon holds copies of them (`engine.fdstore`). While no process reads them, between the end of one and the start of the
next, questions wait in the kernel and are answered by the next one, which is given the sockets.
"""

import contextlib
import json
import socket
from collections.abc import Mapping

IP_FREEBIND, IPV6_FREEBIND = 15, 78  # linux/in.h, linux/in6.h
STREAMS_MAX = 128
RECEIVE_BUFFER_BYTES = 1 << 20
GATEWAYS_PER_MESSAGE = 100  # linux/net/scm.h: SCM_MAX_FD is 253, and each has two
RIGHTS_BYTES = socket.CMSG_LEN(4 * 253)
MESSAGE_BYTES_MAX = 1 << 16


class Sockets:
    """What one network is asked on, at one of its gateways."""

    __slots__ = ("datagrams", "streams")

    def __init__(self, datagrams: socket.socket, streams: socket.socket) -> None:
        self.datagrams, self.streams = datagrams, streams

    @classmethod
    def open(cls, gateway: str, port: int) -> "Sockets":
        """Raises OSError."""
        ipv6 = ":" in gateway
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        opened = cls(
            socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC),
            socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC),
        )
        try:
            for each in (opened.datagrams, opened.streams):
                if ipv6:
                    each.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
                else:
                    each.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            # over what connections of an earlier life left behind; a listener beside us is refused all the same
            opened.streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            opened.datagrams.bind((gateway, port))
            opened.streams.bind((gateway, port))
            opened.streams.listen(STREAMS_MAX)
        except OSError:
            opened.close()
            raise
        return opened

    def are_at(self, gateway: str, port: int) -> bool:
        """Whether they are what `open` gives."""
        kinds = (self.datagrams.type, self.streams.type) == (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        return kinds and all(each.getsockname()[:2] == (gateway, port) for each in (self.datagrams, self.streams))

    def close(self) -> None:
        self.datagrams.close()
        self.streams.close()


def give(connection: socket.socket, sockets: Mapping[str, Sockets]) -> None:
    """Send copies, each message a JSON list of gateways and two descriptors for each; the last one an empty list. Raises
    OSError."""
    gateways = list(sockets)
    for start in range(0, len(gateways), GATEWAYS_PER_MESSAGE):
        part = gateways[start : start + GATEWAYS_PER_MESSAGE]
        descriptors = [each.fileno() for name in part for each in (sockets[name].datagrams, sockets[name].streams)]
        socket.send_fds(connection, [json.dumps(part).encode()], descriptors)
    connection.send(b"[]")


def inherited(connection: socket.socket, port: int) -> dict[str, Sockets] | None:
    """Take what a process before us left, by gateway, until we are told to go on; None: whoever started us is gone."""
    found: dict[str, Sockets] = {}
    while True:
        # not socket.recv_fds, which takes flags and does not pass them on
        said, ancillary, _, _ = connection.recvmsg(MESSAGE_BYTES_MAX, RIGHTS_BYTES, socket.MSG_CMSG_CLOEXEC)
        if not said:
            return None
        if said == b"\n":
            return found
        descriptors = memoryview(b"".join(data for _, _, data in ancillary)).cast("i").tolist()
        for gateway, datagrams, streams in zip(json.loads(said), descriptors[::2], descriptors[1::2], strict=True):
            pair = Sockets(socket.socket(fileno=datagrams), socket.socket(fileno=streams))
            with contextlib.suppress(OSError):
                if pair.are_at(gateway, port):
                    found[gateway] = pair
                    continue
            pair.close()
