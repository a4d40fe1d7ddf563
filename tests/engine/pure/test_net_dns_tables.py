"""Who is told what. Tables are written by `names.tables` here, as in life."""

import socket
import struct

import pytest

from engine.dns import names, packets
from engine.dns import tables as dns_tables
from engine.types.configs import EndpointConfig, NetworkConfig, SandboxConfig

LAB = NetworkConfig("lab_default", "lab", "default", "10.10.0.0/24", "10.10.0.1")
BACK = NetworkConfig("lab_back", "lab", "back", "10.11.0.0/24", "10.11.0.1", internal=True)
SANDBOXES = (
    SandboxConfig(
        "web",
        "lab",
        hostname="web",
        domainname="lab",
        links=(("db", "sql"),),
        external_links=(("theirs", "q-sql-1"),),
        dns_servers=("192.0.2.53",),
    ),
    SandboxConfig("sql", "lab", hostname="sql", domainname="lab"),
    SandboxConfig("dn-1", "lab", hostname="dn-1", domainname="lab"),
    SandboxConfig("dn-2", "lab", hostname="dn-2", domainname="lab"),
    SandboxConfig("app", "my_proj", hostname="app", domainname="cluster.example"),
)


def endpoint(
    sandbox: str, network: NetworkConfig, address: str, *more: str, project: str = "lab", domain: str = "lab"
) -> EndpointConfig:
    return EndpointConfig(
        project,
        sandbox,
        network.name,
        network.key,
        address,
        24,
        network.gateway,
        f"{sandbox}.{domain}",
        (sandbox, *more),
    )


ENDPOINTS = (
    endpoint("web", LAB, "10.10.0.2", "www"),
    endpoint("web", BACK, "10.11.0.2", "www"),
    endpoint("sql", BACK, "10.11.0.3"),
    endpoint("dn-1", LAB, "10.10.0.11", "dn", "dn_1"),
    endpoint("dn-2", LAB, "10.10.0.12", "dn", "dn_2"),
    endpoint("app", LAB, "10.10.0.20", project="my_proj", domain="cluster.example"),
)


def load() -> tuple[dns_tables.Tables, dict[str, dns_tables.Network]]:
    texts = names.tables(ENDPOINTS, SANDBOXES, (LAB, BACK))
    networks = {network.name: network for network in map(dns_tables.Network, texts.values())}
    return dns_tables.Tables(networks.values()), networks


def asked(name: str, kind: int = packets.A) -> packets.Question:
    raw = packets.encode(name) + struct.pack("!HH", kind, 1)
    return packets.parse(struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + raw)


def said(name: str, source: str, network: str = "lab_default", kind: int = packets.A) -> object:
    tables, networks = load()
    answer = tables.answer(networks[network], socket.inet_aton(source), asked(name, kind))
    if answer is None:
        return None
    if answer.forward:
        return ("forward", tuple(answer.servers))
    if answer.code:
        return answer.code
    return [socket.inet_ntoa(record) if kind == packets.A else record for record in answer.records]


@pytest.mark.parametrize(
    ("name", "source", "network", "answer"),
    [
        ("sql", "10.11.0.2", "lab_back", ["10.11.0.3"]),
        ("sql", "10.10.0.2", "lab_default", ["10.11.0.3"]),  # asked in one network, known in the other
        ("SQL.lab", "10.10.0.2", "lab_default", ["10.11.0.3"]),
        ("sql", "10.10.0.11", "lab_default", ("forward", ())),  # not in any of its networks
        ("sql.lab", "10.10.0.11", "lab_default", packets.NXDOMAIN),  # the project's domain is ours
        ("www", "10.10.0.11", "lab_default", ["10.10.0.2"]),
        ("www", "10.11.0.3", "lab_back", ["10.11.0.2"]),  # each sees the address in its own network
        ("web", "10.10.0.2", "lab_default", ["10.10.0.2"]),
        ("web", "10.11.0.2", "lab_back", ["10.11.0.2"]),
        ("db", "10.10.0.2", "lab_default", ["10.11.0.3"]),  # its own link
        ("db.lab", "10.10.0.2", "lab_default", ["10.11.0.3"]),
        ("db", "10.10.0.11", "lab_default", ("forward", ())),  # somebody else's link
        ("dn_1", "10.10.0.2", "lab_default", ["10.10.0.11"]),
        ("app.cluster.example", "10.10.0.2", "lab_default", ["10.10.0.20"]),
        ("app.my_proj", "10.10.0.2", "lab_default", ["10.10.0.20"]),
        ("app.my-proj", "10.10.0.2", "lab_default", ["10.10.0.20"]),
        ("nobody.my-proj", "10.10.0.20", "lab_default", packets.NXDOMAIN),
        ("nobody.my_proj", "10.10.0.20", "lab_default", packets.NXDOMAIN),
        ("example.org", "10.10.0.2", "lab_default", ("forward", ("192.0.2.53",))),  # its own servers
        ("example.org", "10.10.0.11", "lab_default", ("forward", ())),
        (
            "example.org",
            "10.11.0.2",
            "lab_back",
            ("forward", ("192.0.2.53",)),
        ),  # it reaches outside by its other network
        ("example.org", "10.11.0.3", "lab_back", packets.NXDOMAIN),  # only in an internal network
        ("web", "10.10.0.99", "lab_default", packets.REFUSED),  # nobody we know
        ("web", "10.11.0.2", "lab_default", None),  # an address of another network
        ("web", "127.0.0.1", "lab_default", None),
    ],
)
def test_who_is_told_what(name: str, source: str, network: str, answer: object) -> None:
    assert said(name, source, network) == answer


@pytest.mark.parametrize(
    ("address", "source", "network", "answer"),
    [
        ("2.0.10.10", "10.10.0.11", "lab_default", [packets.encode("web.lab")]),
        ("3.0.11.10", "10.10.0.2", "lab_default", [packets.encode("sql.lab")]),
        ("3.0.11.10", "10.10.0.11", "lab_default", ("forward", ())),  # a subnet it is not in
        ("99.0.10.10", "10.10.0.11", "lab_default", packets.NXDOMAIN),
        ("8.8.8.8", "10.11.0.3", "lab_back", packets.NXDOMAIN),
    ],
)
def test_addresses_are_called_what_the_node_calls_itself(
    address: str, source: str, network: str, answer: object
) -> None:
    assert said(f"{address}.in-addr.arpa", source, network, packets.PTR) == answer


@pytest.mark.parametrize("kind", [28, 15, 33, 16])
def test_a_known_name_has_only_an_address(kind: int) -> None:
    assert said("web", "10.10.0.11", kind=kind) == []


def test_replicas_are_all_told_in_turn() -> None:
    tables, networks = load()
    firsts = []
    for _ in range(4):
        answer = tables.answer(networks["lab_default"], socket.inet_aton("10.10.0.2"), asked("dn"))
        assert answer is not None
        assert sorted(answer.records) == [bytes([10, 10, 0, 11]), bytes([10, 10, 0, 12])]
        firsts.append(answer.records[0])
    assert firsts[:2] == firsts[2:]
    assert firsts[0] != firsts[1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"network": 1}',
        '{"network":"a","gateway":"b","subnet":"x/1","internal":0,"members":[]}',
        '{"network":"a","gateway":"b","subnet":"10.0.0.0/24","internal":0,"members":[{"address":"10.0.0.1"}]}',
    ],
)
def test_what_is_no_table(text: str) -> None:
    with pytest.raises(ValueError):
        dns_tables.Network(text)


# --------------------------------------------------------------------------------------------------- the machine itself


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("web.lab", packets.A, ["10.10.0.2"]),
        ("web", packets.A, ["10.10.0.2"]),
        ("sql.lab", packets.A, ["10.11.0.3"]),  # in another network of the same project
        ("app.cluster.example", packets.A, ["10.10.0.20"]),
        ("web.lab", packets.AAAA, []),
        ("2.0.10.10.in-addr.arpa", packets.PTR, [packets.encode("web.lab")]),
        ("3.0.11.10.in-addr.arpa", packets.PTR, [packets.encode("sql.lab")]),
        ("99.0.10.10.in-addr.arpa", packets.PTR, packets.NXDOMAIN),
        ("nobody.lab", packets.A, packets.NXDOMAIN),
        ("example.org", packets.A, packets.REFUSED),  # never passed on: it may be a resolver that we would ask
        ("1.1.1.1.in-addr.arpa", packets.PTR, packets.REFUSED),
        ("db", packets.A, packets.REFUSED),  # a link of web's alone
    ],
)
def test_the_machine_asks_from_the_gateways_own_address(name: str, kind: int, expected: object) -> None:
    assert said(name, "10.10.0.1", kind=kind) == expected


def test_by_another_gateway_it_is_told_the_same() -> None:
    assert said("web.lab", "10.11.0.1", network="lab_back") == ["10.11.0.2"]
    assert said("web.lab", "10.10.0.1", network="lab_back") is None, "that is not its address there"


def test_a_table_of_an_older_daemon_has_no_project() -> None:
    texts = names.tables(ENDPOINTS, SANDBOXES, (LAB,)).values()
    networks = [dns_tables.Network(text.replace('"project": "lab", "gateways"', '"gateways"')) for text in texts]
    tables = dns_tables.Tables(networks)
    assert tables.answer(networks[0], socket.inet_aton("10.10.0.1"), asked("web.lab")).code == packets.NOERROR  # type: ignore[union-attr]
    assert tables.answer(networks[0], socket.inet_aton("10.10.0.1"), asked("no.lab")).code == packets.REFUSED  # type: ignore[union-attr]
