"""A lab on a machine of the test's own: `lan` (another machine), networks A and B with members c1, c2 and c3, agents in all.

lan 192.0.2.2 ── 192.0.2.1 host ── cbA 10.10.0.1 ── c1 10.10.0.2, c2 10.10.0.3
                               └── cbB 10.11.0.1 ── c3 10.11.0.2
"""

import json
import pathlib
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from engine.network import bridges
from engine.network.bridges import Bridge, Bridges, Cable
from engine.network.firewall import Firewall, Rules
from engine.network.portmap import Member, Published
from engine.types.parts import PortMap
from tests.engine.host_namespace import Host, Neighbour

TOP = pathlib.Path(__file__).parent.parent.parent
AGENT = pathlib.Path(__file__).parent / "net_agent.py"
A, B = Bridge("cbA", "10.10.0.1", 24), Bridge("cbB", "10.11.0.1", 24)
BRIDGES = (A, B)
MEMBERS = (Member("cbA", "10.10.0.0/24", "10.10.0.1"), Member("cbB", "10.11.0.0/24", "10.11.0.1"))
ADDRESSES = {"c1": "10.10.0.2", "c2": "10.10.0.3", "c3": "10.11.0.2"}
TCP_80 = Published("cbA", ADDRESSES["c1"], PortMap("0.0.0.0", 8080, 80))
LOOPBACK_81 = Published("cbA", ADDRESSES["c1"], PortMap("127.0.0.1", 8081, 81))
UDP_90 = Published("cbA", ADDRESSES["c1"], PortMap("0.0.0.0", 9090, 90, "udp"))
TCP_80_OF_B = Published("cbB", ADDRESSES["c3"], PortMap("0.0.0.0", 8082, 80))
RULES = Rules(MEMBERS, (TCP_80, LOOPBACK_81, UDP_90, TCP_80_OF_B))
LAN, EXTERNAL = "192.0.2.2", "192.0.2.1"
REFUSED, SILENCE = "ConnectionRefusedError", "TimeoutError"
DNS_PORT = 10053
INSTANCE = "0123abcd"
CONFIGURE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from engine.network import netlink; netlink.ipv6_off(); netlink.loopback_up();"
    "netlink.configure_interface(sys.argv[2], [sys.argv[3] + chr(47) + sys.argv[4]], list(filter(None, sys.argv[5:])))"
)

T = TypeVar("T")


class Agent:
    """Somebody at one place of the lab."""

    def __init__(self, host: Host, at: Neighbour | None) -> None:
        self.at = at
        self._process = host.popen(
            sys.executable, "-I", "-S", str(AGENT), at=at, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def _do(self, *command: object) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return str(json.loads(self._process.stdout.readline()))

    def serve(self, kind: str, *ports: int) -> None:
        for port in ports:
            assert self._do(kind, port) == "None"

    def call(self, address: str, port: int, kind: str = "tcp", *, timeout_s: float = 2.0, source: str = "") -> str:
        return self._do("call", kind, address, port, timeout_s, source)

    def try_in_vain(self, address: str, port: int, kind: str = "tcp", *, source: str = "") -> str:
        """As `call`, not waiting long."""
        return self.call(address, port, kind, timeout_s=0.4, source=source)

    def ask(
        self, address: str, message: bytes, *, timeout_s: float = 3.0, stream: bool = False, port: int = 53
    ) -> bytes:
        """The answer to a DNS message; b"" where there was none."""
        answer = self._do("ask", address, message.hex(), timeout_s, stream, port)
        return bytes.fromhex(answer) if all(digit in "0123456789abcdef" for digit in answer) else b""


class Lab:
    def __init__(self, host: Host, run_directory: str, *, program: str = "iptables") -> None:
        self.host, self.program = host, program
        self.run_directory = run_directory
        self.firewall = Firewall(instance=INSTANCE, run_directory=run_directory, dns_port=DNS_PORT, program=program)
        self.lan = host.neighbour("lan")
        host.sh(f"ip link add name ext0 type veth peer name l0 netns {self.lan.pid}")
        host.sh(f"ip addr add {EXTERNAL}/24 dev ext0; ip link set ext0 up")
        self.lan.sh(f"ip addr add {LAN}/24 dev l0; ip link set l0 up")
        self.nodes = {name: host.neighbour(name) for name in ADDRESSES}
        self.act(self._wire)
        self.agents = {name: Agent(host, at) for name, at in [("lan", self.lan), ("host", None), *self.nodes.items()]}

    @property
    def c1(self) -> Agent:
        return self.agents["c1"]

    @property
    def c2(self) -> Agent:
        return self.agents["c2"]

    @property
    def c3(self) -> Agent:
        return self.agents["c3"]

    def act(self, verb: Callable[[Bridges], Awaitable[T]]) -> T:
        """Do something with bridges, from outside of any loop."""

        async def inside() -> T:
            async with bridges.open_bridges() as links:
                return await verb(links)

        return anyio.run(inside)

    def apply(self, rules: Rules = RULES) -> None:
        anyio.run(self.firewall.apply, lambda: rules)

    def drift(self, rules: Rules = RULES) -> tuple[str, ...]:
        return anyio.run(self.firewall.drift, lambda: rules)

    def attach(
        self,
        name: str,
        bridge: Bridge,
        address: str,
        *,
        interface: str = "eth0",
        gateway: str | None = None,
        mac: str = "",
    ) -> None:
        node = self.nodes.get(name) or self.nodes.setdefault(name, self.host.neighbour(name))
        cable = Cable(f"cv{name}{interface[-1]}", bridge.name, interface, address, bridge.mtu, mac)
        self.act(lambda links: links.attach(cable, node.pid))
        self.configure(name, bridge, address, interface=interface, gateway=gateway)

    def configure(
        self, name: str, bridge: Bridge, address: str, *, interface: str = "eth0", gateway: str | None = None
    ) -> None:
        self.nodes[name].popen(
            *(sys.executable, "-I", "-S", "-c", CONFIGURE),
            *(str(TOP), interface, address, str(bridge.prefix_length), gateway or ""),
        ).wait()

    def close(self) -> None:
        async def remove(links: Bridges) -> None:
            for name in sorted(self.host.links()):
                if name.startswith("cv"):
                    await links.detach(name)
            await links.remove("cbA")
            await links.remove("cbB")
            await self.firewall.remove()

        self.act(remove)

    async def _wire(self, links: Bridges) -> None:
        for bridge in (A, B):
            await links.create(bridge)

    def populate(self) -> None:
        for name, address in ADDRESSES.items():
            bridge = B if name == "c3" else A
            self.attach(name, bridge, address, gateway=bridge.gateway)
