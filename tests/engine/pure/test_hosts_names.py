"""What this machine is to call a project's containers, and what systemd-resolved is told of a bridge."""

import pathlib

import pytest

from engine.hosts import keeping, names, resolved
from engine.types.configs import EndpointConfig, NetworkConfig

FRONT = NetworkConfig(
    "my_lab_front", "my_lab", "front", "10.9.0.0/24", "10.9.0.1", subnet6="fd09::/64", gateway6="fd09::1"
)
BACK = NetworkConfig("my_lab_back", "my_lab", "back", "10.8.0.0/22", "10.8.0.1")


def endpoint(
    sandbox: str, network: NetworkConfig, address: str, *, project: str = "my_lab", **more: object
) -> EndpointConfig:
    fields = {"fqdn": f"{sandbox}.my-lab", "names": (sandbox, f"{sandbox}.my-lab", f"{sandbox}.my_lab"), **more}
    return EndpointConfig(project, sandbox, network.name, network.key, address, 24, network.gateway, **fields)  # type: ignore[arg-type]


WEB = endpoint("web", FRONT, "10.9.0.2", primary=True, address6="fd09::2")
ENDPOINTS = [
    endpoint("web", BACK, "10.8.0.2"),
    WEB,
    endpoint(
        "db", BACK, "10.8.0.3", fqdn="db.corp.example", names=("db", "db.my-lab", "db.corp.example", "alias.other")
    ),
    endpoint("x", FRONT, "10.9.0.9", project="other", fqdn="x.other", names=("x", "x.other")),
]


def test_whole_names_only_and_the_one_it_calls_itself_first() -> None:
    assert list(map(str, names.lines_of("my_lab", ENDPOINTS))) == [
        "10.8.0.3\tdb.corp.example db.my-lab",
        "10.9.0.2\tweb.my-lab web.my_lab",
        "fd09::2\tweb.my-lab web.my_lab",
        "10.8.0.2\tweb.my-lab web.my_lab",
    ]
    assert names.lines_of("nobody", ENDPOINTS) == ()


def test_each_bridge_leads_to_the_names_of_the_projects_that_asked_for_it() -> None:
    joined = keeping.Joined([("cbfront", FRONT), ("cbback", BACK)], ENDPOINTS, 10053)
    front, back = keeping.links_of(joined, {"my_lab"})
    assert front.bridge == "cbfront"
    assert front.servers == ("10.9.0.1:10053", "[fd09::1]:10053")
    assert front.domains[:2] == ("my-lab", "my_lab")
    assert front.domains[2] == "0.9.10.in-addr.arpa"
    assert "other" not in front.domains
    assert back.domains[:3] == ("my-lab", "my_lab", "db.corp.example")
    assert [each.domains[0] for each in keeping.links_of(joined, {"other"})] == ["other"]
    assert [*keeping.links_of(joined, set())] == []


@pytest.mark.parametrize(
    ("subnet", "zones"),
    [
        ("10.9.0.0/24", ["0.9.10.in-addr.arpa"]),
        ("172.20.0.0/16", ["20.172.in-addr.arpa"]),
        ("10.8.4.0/22", [f"{third}.8.10.in-addr.arpa" for third in range(4, 8)]),
        ("10.0.0.0/9", []),
        ("10.9.0.0/25", []),
        ("fd09::/64", ["0.0.0.0.0.0.0.0.0.0.0.0.9.0.d.f.ip6.arpa"]),
    ],
)
def test_the_zones_of_a_subnets_addresses(subnet: str, zones: list[str]) -> None:
    assert list(resolved.reverse_zones(subnet)) == zones


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("hosts: files resolve [!UNAVAIL=return] dns\n", True),
        ("hosts:          files dns # resolve\n", False),
        ("networks: resolve\n", False),
    ],
)
def test_whether_programs_ask_resolved(text: str, asked: bool) -> None:
    assert resolved._is_asked_by_nss(text) is asked


def test_what_resolved_wrote_down_of_a_link_is_compared(tmp_path: pathlib.Path) -> None:
    (tmp_path / "netif").mkdir()
    (tmp_path / "netif" / "1").write_text("DNSSEC=no\nSERVERS=10.9.0.1:10053\nDOMAINS=~my-lab ~my_lab\n")
    run = str(tmp_path)
    assert resolved.is_told(resolved.Link("lo", ("10.9.0.1:10053",), ("my-lab",)), run)  # lo is the first of all
    assert not resolved.is_told(resolved.Link("lo", ("10.9.0.1:10054",), ("my-lab",)), run)
    assert not resolved.is_told(resolved.Link("lo", ("10.9.0.1:10053",), ("other",)), run)
    assert not resolved.is_told(resolved.Link("none-such", (), ()), run)
    assert resolved.has_been_told("lo", run)
    assert not resolved.has_been_told("none-such", run)
