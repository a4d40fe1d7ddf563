"""What an attacker does inside a container: scripts for the machine's python3 (image `host`), as its root."""

import json

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
