"""What an attacker does inside a container: scripts for the machine's python3 (image `host`), as its root."""

import json
import socket
import struct

from engine.network import bridges
from tests.e2e.lab import Lab

HEAD = """
import contextlib, ctypes, errno, json, os, socket, struct, sys
ARGUMENTS = json.loads(sys.argv[1])
"""

FRAMES = """
def header(source, target, length):
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + length, 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack('!10H', head))
    total = (total >> 16) + (total & 0xffff)
    return head[:10] + struct.pack('!H', ~(total + (total >> 16)) & 0xffff) + head[12:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(('eth0', 0))
mine = wire.getsockname()[4]
for mac, source, port, target, target_port, text in ARGUMENTS:
    data = bytes.fromhex(text)
    datagram = struct.pack('!4H', port, target_port, 8 + len(data), 0) + data
    wire.send(bytes.fromhex(mac.replace(':', '')) + mine + b'\\x08\\x00' + header(source, target, len(datagram)) + datagram)
"""
"""Datagrams with any source to any destination, through a given next hop."""

ETHERNET = """
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(('eth0', 0))
mine = wire.getsockname()[4]
for frame in ARGUMENTS:
    wire.send(bytes.fromhex(frame.replace('MINE', mine.hex())))
"""
"""Whole frames, in hex; MINE is the container's own MAC."""


def python(lab: Lab, service: str, script: str, arguments: object = None) -> str:
    """What the script writes; ARGUMENTS are given to it. It must end with 0."""
    return lab.exec(service, "python3", "-I", "-c", HEAD + script, json.dumps(arguments))


def send(lab: Lab, service: str, gateway: str, datagrams: list[tuple[str, int, str, int, bytes]]) -> None:
    """(source, its port, destination, its port, data) each, from a container to the machine, its router."""
    mac = bridges.mac_of(gateway)
    python(lab, service, FRAMES, [(mac, *datagram[:4], datagram[4].hex()) for datagram in datagrams])


def advertisement() -> str:
    """A router's, with a prefix and a resolver: RFC 4861 4.2, RFC 8106."""
    prefix = socket.inet_pton(socket.AF_INET6, "2001:db8:bad::")
    options = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + prefix
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + options
    source, target = (socket.inet_pton(socket.AF_INET6, it) for it in ("fe80::bad", "ff02::1"))
    pseudo = source + target + struct.pack("!II", len(message), 58) + message
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    message = message[:2] + struct.pack("!H", ~total & 0xFFFF) + message[4:]
    head = struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + source + target
    return "333300000001" + "MINE" + "86dd" + (head + message).hex()
