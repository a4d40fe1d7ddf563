"""The firewall as one pure text per table: published ports, isolation, egress, names. `engine.network.rulesets` puts it in force.

Only our own chains are written, and entered from the built-in ones (`JUMPS`); every chain's name carries the instance, so
several corrals live side by side. What a packet meets, in this order:

    raw     …-RAW   PREROUTING   the guard: nothing from outside to 127.0.0.0/8 or straight to a container's address; then …-FROM
            …-FROM               out of a network: under an address of a network of ours, or not at all
    nat     …-PRE   PREROUTING   names: a network's gateway, port 53 → the dns process; then …-DNAT
            …-OUT   OUTPUT       ports bound to 127.0.0.0/8, then …-DNAT
            …-DNAT               ports bound to any or another address
    filter  …-FWD   FORWARD      per network: what belongs to a connection, what was published, among members; then …-LEAVE
            …-LEAVE              out of a network: not into another of ours, else yes
            …-IN    INPUT        questions to the dns process, answers to connections that this machine began
            …-END   FORWARD      (last) only where we made this machine a router: it does not route for others because of us
    nat     …-POST  POSTROUTING  the sender's address is changed only where the answer would not come back otherwise
            …-EGRESS             out of a network to the world: masqueraded

The client's address is kept from the LAN, from other networks and from other machines. Two corrals do not open each other:
no chain accepts anything in raw, and each one's guard drops what comes straight to its own addresses from any bridge but its own.

The rules are written as `iptables-save` prints them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.types.parts import PortMap


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A network as the firewall sees it."""

    bridge: str
    subnet: str
    gateway: str
    internal: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Published:
    """A port map of something that runs: `address` is where it leads, in the network of `bridge`. Into an internal network
    nothing is published."""

    bridge: str
    address: str
    port: PortMap


@dataclass(frozen=True, slots=True)
class Jump:
    """The way from a built-in chain into one of ours. `optional`: only where that chain exists (it is somebody else's)."""

    table: str
    source: str
    target: str
    last: bool = False
    optional: bool = False


TABLES = ("raw", "filter", "nat")
"""In the order in which they are put in force: the guard first. Taken away in the other order."""

CHAINS = {
    "raw": ("RAW", "FROM"),
    "filter": ("FWD", "LEAVE", "IN", "END"),
    "nat": ("PRE", "OUT", "DNAT", "POST", "EGRESS"),
}


def chain_of(instance: str, name: str) -> str:
    """The full name of a chain. iptables allows 28 characters."""
    return f"CORRAL-{instance}-{name}"


def jumps(instance: str, *, became_router: bool = False) -> tuple[Jump, ...]:
    """The jumps that have to be there while `render`'s text is in force."""
    ways = [
        Jump("raw", "PREROUTING", "RAW"),
        Jump("filter", "FORWARD", "FWD"),
        Jump("filter", "DOCKER-USER", "FWD", optional=True),
        Jump("filter", "INPUT", "IN"),
        Jump("nat", "PREROUTING", "PRE"),
        Jump("nat", "OUTPUT", "OUT"),
        Jump("nat", "POSTROUTING", "POST"),
    ]
    if became_router:
        ways.append(Jump("filter", "FORWARD", "END", last=True))
    return tuple(Jump(way.table, way.source, chain_of(instance, way.target), way.last, way.optional) for way in ways)


def render(
    networks: Iterable[Member],
    published: Iterable[Published],
    instance: str,
    dns_port: int,
    *,
    became_router: bool = False,
) -> dict[str, str]:
    """Write the content of our chains, as text for `iptables-restore --noflush`, by table in the order of `TABLES`.

    `dns_port`: where the dns process listens on each network's gateway. `became_router`: this machine forwards packets only
    because we switched that on.
    """
    members = sorted(networks)
    open_bridges = {member.bridge for member in members if not member.internal}
    ports = sorted(port for port in published if port.bridge in open_bridges)
    rules = {
        "raw": {"RAW": _guard(members), "FROM": _sources(members)},
        "filter": {
            "FWD": _forward(members),
            "LEAVE": [f"-o {member.bridge} -j DROP" for member in members] + ["-j ACCEPT"],
            "IN": _input(members, dns_port),
            "END": _end() if became_router else [],
        },
        "nat": {
            "PRE": [*_names(members, dns_port), "-m addrtype --dst-type LOCAL -j DNAT"],
            "OUT": [*_to(ports, loopback=True), "-m addrtype --dst-type LOCAL -j DNAT"],
            "DNAT": _to(ports, loopback=False),
            "POST": _masquerade(members),
            "EGRESS": [f"-o {member.bridge} -j RETURN" for member in members] + ["-j MASQUERADE"],
        },
    }
    return {table: _text(table, rules[table], instance) for table in TABLES}


def _text(table: str, rules: dict[str, list[str]], instance: str) -> str:
    assert tuple(rules) == CHAINS[table]
    lines = [f"*{table}", *(f":{chain_of(instance, name)} - [0:0]" for name in rules)]
    for name, chain in rules.items():
        lines += [f"-A {chain_of(instance, name)} {_with_full_target(rule, rules, instance)}" for rule in chain]
    return "\n".join([*lines, "COMMIT", ""])


def _with_full_target(rule: str, chains: Iterable[str], instance: str) -> str:
    head, separator, target = rule.rpartition("-j ")
    return f"{head}{separator}{chain_of(instance, target)}" if target in chains else rule


def _guard(members: list[Member]) -> list[str]:
    """`route_localnet` on the bridges makes 127.0.0.0/8 routable, and forwarding makes containers reachable for everybody who
    routes their subnet to us: this takes both back, before anything else sees the packet. A packet from 127.0.0.0/8 is as bad as
    one to it: the kernel refuses 127.0.0.1 only. Never an accept: others' guards come after."""
    return [
        "-i lo -j RETURN",
        "-d 127.0.0.0/8 -j DROP",
        "-s 127.0.0.0/8 -j DROP",
        *(f"-i {member.bridge} -j {target}" for member in members for target in ("FROM", "RETURN")),
        *(f"-d {member.subnet} -j DROP" for member in members),
    ]


def _sources(members: list[Member]) -> list[str]:
    """A container can write any sender on a packet, and this machine, or who is behind it, may trust that sender. Who is in
    several networks may use the address of one in another."""
    return [*(f"-s {member.subnet} -j RETURN" for member in members), "-j DROP"]


def _forward(members: list[Member]) -> list[str]:
    rules = []
    for member in members:
        rules.append(f"-i {member.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
        rules.append(f"-o {member.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
    for member in members:
        # among members: bridged packets come here too where br_netfilter is on
        rules.append(f"-i {member.bridge} -o {member.bridge} -j ACCEPT")
    for member in members:
        if member.internal:  # before what was published: an internal network does not get at that either
            rules.append(f"-i {member.bridge} -j DROP")
    routed = [member for member in members if not member.internal]
    rules += [f"-o {member.bridge} -m conntrack --ctstate DNAT -j ACCEPT" for member in routed]
    rules += [f"-i {member.bridge} -j LEAVE" for member in routed]
    return rules + [f"-o {member.bridge} -j DROP" for member in members]


def _end() -> list[str]:
    """What somebody else on this machine has published he wants forwarded, though he may rely on the policy to accept it."""
    return ["-m conntrack --ctstate DNAT -j RETURN", "-m conntrack --ctstate NEW -j DROP"]


def _input(members: list[Member], dns_port: int) -> list[str]:
    rules = []
    for member in members:
        rules += [
            f"-d {member.gateway}/32 -i {member.bridge} -p {protocol} -m {protocol} --dport {dns_port} -j ACCEPT"
            for protocol in ("udp", "tcp")
        ]
        rules.append(f"-i {member.bridge} -m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY -j ACCEPT")
    return rules


def _names(members: list[Member], dns_port: int) -> list[str]:
    return [
        f"-d {member.gateway}/32 -i {member.bridge} -p {protocol} -m {protocol} --dport 53 -j REDIRECT --to-ports {dns_port}"
        for member in members
        for protocol in ("udp", "tcp")
    ]


def _to(ports: list[Published], *, loopback: bool) -> list[str]:
    rules = []
    for published in ports:
        port = published.port
        if port.host_ip.startswith("127.") is loopback:
            bound = "" if port.host_ip == "0.0.0.0" else f"-d {port.host_ip}/32 "
            rules.append(
                f"{bound}-p {port.protocol} -m {port.protocol} --dport {port.host_port}"
                f" -j DNAT --to-destination {published.address}:{port.container_port}"
            )
    return rules


def _masquerade(members: list[Member]) -> list[str]:
    rules = []
    for member in members:
        if not member.internal:
            rules += [
                # from this machine's 127.0.0.1: no container could answer to that
                f"-s 127.0.0.0/8 -o {member.bridge} -j MASQUERADE",
                # from a member to a port published by a member: the answer would go to it directly, past our memory
                f"-s {member.subnet} -d {member.subnet} -m conntrack --ctstate DNAT -j MASQUERADE",
                f"-s {member.subnet} -j EGRESS",
            ]
    return rules
