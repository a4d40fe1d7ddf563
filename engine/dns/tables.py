"""What the dns process knows, and what it says to whom. Pure: it is given the texts of the table files.

Who asks is known by the source address in the network that was asked: that is one sandbox, and it sees the names of all
networks that the sandbox is in, the asked one first, and its own links before them.

    web         a name in one of its networks; several members with that name are all answered, each time another one first
    web.lab     the same, in any domain of the member (its project, its own)
    AAAA        a name has addresses of IPv4 and of IPv6, or of one of them; by whichever of them it was asked
    PTR         the FQDN that the member calls itself, for an address in one of its networks
    unknown     in the domain of its project, in a subnet of its networks, or where none of its networks may reach
                outside: there is no such name. Else: somebody else may know, ask the servers
    not a member    refused; and no answer at all to who is not in the subnet of the network
    this machine    asks from the gateway's own address, and is a member of nothing. It is told the names of the network, of all
                    that its members are in, and of all of the same project. It is never helped with anything else: it may be its
                    resolver that asks, whom we would ask in turn

A name that is known has addresses and nothing else: other types are answered with nothing, so nobody asks outside for them.

Runs in the dns process: the listed stdlib modules only.
"""

import json
import socket
import struct
from collections.abc import Iterable, Sequence

from engine.dns import packets

TTL_S = 2


class Answer:
    """Say `code` with `records`; or, if `forward`, what one of `servers` says (none: the machine's own servers)."""

    __slots__ = ("code", "forward", "records", "servers")

    def __init__(
        self, code: int, records: Sequence[bytes] = (), *, forward: bool = False, servers: Sequence[str] = ()
    ) -> None:
        self.code, self.records, self.forward, self.servers = code, records, forward, servers


class Network:
    """One table. Raises ValueError where the text is none."""

    __slots__ = ("domains", "gateways", "internal", "members", "name", "names", "own", "project", "subnets", "turn")

    def __init__(self, text: str) -> None:
        try:
            content = json.loads(text)
            self.name = str(content["network"])
            self.project = str(content.get("project", ""))  # none: a table of an older daemon
            self.domains = tuple(f".{domain}" for domain in _domains(self.project)) if self.project else ()
            self.gateways = _texts(content["gateways"])
            self.own = {packed(gateway) for gateway in self.gateways}
            self.subnets = [_subnet(text) for text in _texts(content["subnets"])]
            self.internal = bool(content["internal"])
            self.members: dict[bytes, Member] = {}
            for each in content["members"]:
                member = Member(each)
                self.members |= {packed(address): member for address in _texts(each["addresses"])}
        except (KeyError, TypeError, AttributeError, OSError, struct.error) as error:
            raise ValueError(f"not a table: {error!r}") from None
        self.names: dict[str, list[bytes]] = {}
        self.turn = 0
        for address, member in self.members.items():
            for name in member.all_names():
                self.names.setdefault(name, []).append(address)

    def has(self, address: bytes) -> bool:
        """Whether it is in a subnet of the network."""
        number = int.from_bytes(address, "big")
        return any(size == len(address) and number & mask == base for size, mask, base in self.subnets)


class Member:
    """One endpoint."""

    __slots__ = ("aliases", "domains", "fqdn", "links", "names", "projects", "sandbox", "servers")

    def __init__(self, content: dict[str, object]) -> None:
        self.sandbox = (str(content["project"]), str(content["sandbox"]))
        self.fqdn = str(content["fqdn"])
        self.names = _texts(content["names"])
        self.domains = _texts(content["domains"])
        self.servers = _texts(content["servers"])
        self.links = {alias.lower(): set(_texts(targets)) for alias, targets in _items(content["links"])}
        self.aliases = {alias.lower(): str(name).lower() for alias, name in _items(content["aliases"])}
        self.projects = _domains(self.sandbox[0])

    def all_names(self) -> Iterable[str]:
        short = [name.lower() for name in self.names]
        qualified = [f"{name}.{domain.lower()}" for name in short for domain in self.domains]
        return dict.fromkeys([*short, *qualified, self.fqdn.lower()] if self.fqdn else [*short, *qualified])


class Tables:
    """All networks together."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = sorted(networks, key=lambda network: network.name)
        self._of_sandbox: dict[tuple[str, str], list[Network]] = {}
        for network in self._networks:
            for member in dict.fromkeys(network.members.values()):
                self._of_sandbox.setdefault(member.sandbox, []).append(network)

    def answer(self, asked: Network, source: bytes, question: packets.Question) -> Answer | None:
        """Say what to answer a question that came from `source` to the gateway of `asked`; None: nothing at all."""
        if not asked.has(source):
            return None
        member = asked.members.get(source)
        if member is None:
            return self._to_machine(asked, question) if source in asked.own else Answer(packets.REFUSED)
        networks = self._of_sandbox[member.sandbox]
        networks = [asked, *(network for network in networks if network is not asked)]
        name = question.name
        found = self._linked(member, networks, name) or self._named(networks, name)
        if found:
            return Answer(packets.NOERROR, _of_kind(found, question.kind))
        address = packets.reverse_address(name)
        if address is not None and any(network.has(address) for network in networks):
            return self._reverse(networks, address, question.kind)
        outside = any(not network.internal for network in networks)
        if not outside or name.endswith(tuple(f".{project}" for project in member.projects)):
            return Answer(packets.NXDOMAIN)
        return Answer(packets.NOERROR, forward=True, servers=member.servers)

    def _to_machine(self, asked: Network, question: packets.Question) -> Answer:
        joined = (network for member in asked.members.values() for network in self._of_sandbox[member.sandbox])
        alike = (network for network in self._networks if asked.project and network.project == asked.project)
        networks = list(dict.fromkeys((asked, *joined, *alike)))
        if found := self._named(networks, question.name):
            return Answer(packets.NOERROR, _of_kind(found, question.kind))
        address = packets.reverse_address(question.name)
        if address is not None and any(network.has(address) for network in networks):
            return self._reverse(networks, address, question.kind)
        return Answer(packets.NXDOMAIN if question.name.endswith(asked.domains) else packets.REFUSED)

    def _linked(self, member: Member, networks: list[Network], name: str) -> list[bytes]:
        label, _, domain = name.partition(".")
        alias = label if domain in member.domains else name
        if alias in member.aliases:
            return self._named(networks, member.aliases[alias])
        targets = member.links.get(alias, ())
        for network in networks if targets else ():
            found = [
                address
                for address, other in network.members.items()
                if other.sandbox[0] == member.sandbox[0] and other.sandbox[1] in targets
            ]
            if found:
                return self._in_turn(network, found)
        return []

    def _named(self, networks: list[Network], name: str) -> list[bytes]:
        for network in networks:
            if found := network.names.get(name):
                return self._in_turn(network, found)
        return []

    def _in_turn(self, network: Network, found: list[bytes]) -> list[bytes]:
        network.turn += 1
        return [each for size in (4, 16) for each in _turned(found, size, network.turn)]

    def _reverse(self, networks: list[Network], address: bytes, kind: int) -> Answer:
        for network in networks:
            member = network.members.get(address)
            if member is not None and member.fqdn:
                return Answer(packets.NOERROR, [packets.encode(member.fqdn)] if kind == packets.PTR else ())
        return Answer(packets.NXDOMAIN)


def _domains(project: str) -> tuple[str, str]:
    return project.lower(), project.lower().replace("_", "-")


def _items(value: object) -> Iterable[tuple[str, object]]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no mapping")
    return value.items()


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return tuple(str(text) for text in value)


def _turned(found: list[bytes], size: int, turn: int) -> list[bytes]:
    """The addresses of one family, another one first each time."""
    alike = [address for address in found if len(address) == size]
    first = turn % len(alike) if alike else 0
    return alike[first:] + alike[:first]


def _of_kind(found: Sequence[bytes], kind: int) -> Sequence[bytes]:
    """The addresses of the kind that is asked for. ANY: of one kind, as an answer has one (RFC 8482, 4.1)."""
    if kind == packets.ANY:
        return [address for address in found if len(address) == len(found[0])]
    size = {packets.A: 4, packets.AAAA: 16}.get(kind)
    return [address for address in found if len(address) == size]


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _subnet(text: str) -> tuple[int, int, int]:
    """Bytes of an address, mask, and what is left under the mask."""
    base, _, bits = text.partition("/")
    address = packed(base)
    width = 8 * len(address)
    mask = (1 << width) - (1 << (width - int(bits)))
    return len(address), mask, int.from_bytes(address, "big") & mask
