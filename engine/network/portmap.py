"""The firewall as one pure text per table: published ports, isolation, egress, names. `engine.network.rulesets` puts it in force.

Only our own chains are written, and entered from the built-in ones (`JUMPS`); every chain's name carries the instance, so
several corrals live side by side. What a packet meets, in this order:

    raw     …-RAW   PREROUTING   the guard: nothing from outside to 127.0.0.0/8 or straight to a container's address; then …-FROM
            …-FROM               out of a network: under an address of a network of ours, or not at all
    nat     …-PRE   PREROUTING   names: a network's gateway, port 53 → the dns process; then …-DNAT
            …-OUT   OUTPUT       names, asked by this machine itself; ports bound to 127.0.0.0/8; then …-DNAT
            …-DNAT               ports bound to any or another address
    filter  …-FWD   FORWARD      per network: what belongs to a connection, what was published, among members; then …-LEAVE
            …-LEAVE              out of a network: not into another of ours, else yes
            …-IN    INPUT        questions to the dns process, answers to connections that this machine began
            …-END   FORWARD      (last) only where we made this machine a router: it does not route for others because of us
    nat     …-POST  POSTROUTING  the sender's address is changed only where the answer would not come back otherwise
            …-EGRESS             out of a network to the world: masqueraded

IPv6 has the same in `ip6tables`, for the networks that have it. What differs: ::1 of this machine is not led anywhere (the kernel
routes nothing to and from it), so ports bound to it are served by `engine.relay`; who looks for a neighbour is heard.

The client's address is kept from the LAN, from other networks and from other machines. Two corrals do not open each other:
no chain accepts anything in raw, and each one's guard drops what comes straight to its own addresses from any bridge but its own.

The rules are written as `iptables-save` prints them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.types.parts import PortMap


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A network as the firewall of one family sees it. Not `icc`: its members do not reach each other, but what they publish.
    `masquerade`: who goes out of it has an address of the machine's. `link_local`: addresses that members have beside theirs."""

    bridge: str
    subnet: str
    gateway: str
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    link_local: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Family:
    """The words in which the rules of IPv4 and of IPv6 differ. `bits`: of an address; `every`: all addresses of this machine."""

    loopback: str
    bits: int
    every: str


IPV4 = Family("127.0.0.0/8", 32, "0.0.0.0")
IPV6 = Family("::1/128", 128, "::")

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
    family: Family = IPV4,
) -> dict[str, str]:
    """Write the content of our chains, as text for `iptables-restore --noflush`, by table in the order of `TABLES`.

    `dns_port`: where the dns process listens on each network's gateway. `became_router`: this machine forwards packets only
    because we switched that on.
    """
    members = sorted(networks)
    open_bridges = {member.bridge for member in members if not member.internal}
    ports = sorted(port for port in published if port.bridge in open_bridges)
    rules = {
        "raw": {"RAW": _guard(members, family), "FROM": _sources(members, family)},
        "filter": {
            "FWD": _forward(members),
            "LEAVE": [f"-o {member.bridge} -j DROP" for member in members] + ["-j ACCEPT"],
            "IN": _input(members, dns_port, family),
            "END": _end() if became_router else [],
        },
        "nat": {
            "PRE": [*_names(members, dns_port, family), "-m addrtype --dst-type LOCAL -j DNAT"],
            "OUT": [
                *_own_names(members, dns_port, family),
                *([f"-d {RELAYED}/{family.bits} -j RETURN"] if family is IPV6 else []),
                *_to(ports, family, loopback=True),
                "-m addrtype --dst-type LOCAL -j DNAT",
            ],
            "DNAT": _to(ports, family, loopback=False),
            "POST": _masquerade(members, family),
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


def _guard(members: list[Member], family: Family) -> list[str]:
    """`route_localnet` on the bridges makes 127.0.0.0/8 routable, and forwarding makes containers reachable for everybody who
    routes their subnet to us: this takes both back, before anything else sees the packet. A packet from 127.0.0.0/8 is as bad as
    one to it: the kernel refuses 127.0.0.1 only. Never an accept: others' guards come after. Answers to who is not masqueraded
    come straight to him; there only …-FWD, which knows connections, is the guard."""
    return [
        "-i lo -j RETURN",
        f"-d {family.loopback} -j DROP",
        f"-s {family.loopback} -j DROP",
        *(f"-i {member.bridge} -j {target}" for member in members for target in ("FROM", "RETURN")),
        *(f"-d {member.subnet} -j DROP" for member in members if member.masquerade or member.internal),
    ]


def _sources(members: list[Member], family: Family) -> list[str]:
    """A container can write any sender on a packet, and this machine, or who is behind it, may trust that sender. Who is in
    several networks may use the address of one in another."""
    always = LINK_SOURCES if family is IPV6 else ()
    beside = [] if family is IPV6 else [address for member in members for address in member.link_local]
    return [
        *(f"-s {source} -j RETURN" for source in (*always, *(member.subnet for member in members))),
        *(f"-s {address}/32 -d {LINK_LOCAL} -j RETURN" for address in sorted(set(beside))),
        "-j DROP",
    ]


def _forward(members: list[Member]) -> list[str]:
    rules = []
    for member in members:
        rules.append(f"-i {member.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
        rules.append(f"-o {member.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
    for member in members:
        # among members: bridged packets come here too where br_netfilter is on
        if not member.icc:
            rules.append(f"-i {member.bridge} -o {member.bridge} -m conntrack ! --ctstate DNAT -j DROP")
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


LINK_SOURCES = ("::/128", "fe80::/10")
"""What nodes send from while they look for each other (RFC 4861, 4.1 to 4.4)."""

LINK_LOCAL = "169.254.0.0/16"  # RFC 3927

NEIGHBOUR_TYPES = (135, 136)
"""Questions and answers about neighbours (RFC 4861, 4.3 and 4.4): what ARP is to IPv4, and iptables does not see of that."""


def _input(members: list[Member], dns_port: int, family: Family) -> list[str]:
    rules = []
    for member in members:
        if family is IPV6:
            rules += [
                f"-i {member.bridge} -p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j ACCEPT" for kind in NEIGHBOUR_TYPES
            ]
        rules += [
            f"-d {member.gateway}/{family.bits} -i {member.bridge} -p {protocol} -m {protocol} --dport {dns_port} -j ACCEPT"
            for protocol in ("udp", "tcp")
        ]
        rules.append(f"-i {member.bridge} -m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY -j ACCEPT")
    return rules


def _names(members: list[Member], dns_port: int, family: Family) -> list[str]:
    """Of IPv6 an interface has several addresses, and before Linux 6.3 REDIRECT takes any of them."""

    def target(member: Member) -> str:
        return (
            f"DNAT --to-destination [{member.gateway}]:{dns_port}"
            if family is IPV6
            else f"REDIRECT --to-ports {dns_port}"
        )

    return [
        f"-d {member.gateway}/{family.bits} -i {member.bridge} -p {protocol} -m {protocol} --dport 53 -j {target(member)}"
        for member in members
        for protocol in ("udp", "tcp")
    ]


def _own_names(members: list[Member], dns_port: int, family: Family) -> list[str]:
    """REDIRECT would lead this machine's own questions to its loopback."""
    return [
        f"-d {member.gateway}/{family.bits} -p {protocol} -m {protocol} --dport 53"
        f" -j DNAT --to-destination {f'[{member.gateway}]' if family is IPV6 else member.gateway}:{dns_port}"
        for member in members
        for protocol in ("udp", "tcp")
    ]


def _to(ports: list[Published], family: Family, *, loopback: bool) -> list[str]:
    rules = []
    for published in ports:
        port = published.port
        if port.host_ip == RELAYED:
            continue
        if port.host_ip.startswith("127.") is loopback:
            bound = "" if port.host_ip == family.every else f"-d {port.host_ip}/{family.bits} "
            to = f"[{published.address}]" if family is IPV6 else published.address
            rules.append(
                f"{bound}-p {port.protocol} -m {port.protocol} --dport {port.host_port}"
                f" -j DNAT --to-destination {to}:{port.container_port}"
            )
    return rules


RELAYED = "::1"
"""The address of this machine to which the kernel leads nothing."""


def _masquerade(members: list[Member], family: Family) -> list[str]:
    rules = ["-o lo -j RETURN"] if members else []  # names, asked by this machine: by whom is known by the address
    for member in members:
        if not member.internal:
            if family is IPV4:  # from this machine's 127.0.0.1: no container could answer to that
                rules.append(f"-s {family.loopback} -o {member.bridge} -j MASQUERADE")
            # from a member to a port published by a member: the answer would go to it directly, past our memory
            rules.append(f"-s {member.subnet} -d {member.subnet} -m conntrack --ctstate DNAT -j MASQUERADE")
            if member.masquerade:
                rules.append(f"-s {member.subnet} -j EGRESS")
    return rules
