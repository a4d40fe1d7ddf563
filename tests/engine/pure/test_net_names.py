"""The texts that a sandbox finds in /etc, and the names of table files."""

import pytest

from engine.dns import names
from engine.types.configs import EndpointConfig, NetworkConfig, NetworkMode, SandboxConfig

WEB = SandboxConfig("web", "my_lab", hostname="web", domainname="my-lab", extra_hosts=(("printer", "192.0.2.7"),))
FRONT = EndpointConfig("my_lab", "web", "my_lab_front", "front", "10.10.0.2", 24, "10.10.0.1", "web.my-lab", ("web",))
BACK = EndpointConfig(
    "my_lab", "web", "my_lab_back", "back", "10.11.0.2", 24, "10.11.0.1", "web.my-lab", ("web",), primary=True
)
MACHINE = "# made by hand\nnameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch example.org\noptions timeout:1\n"


def test_hosts() -> None:
    assert names.hosts_file(WEB, [FRONT, BACK]) == (
        "127.0.0.1\tlocalhost\n10.11.0.2\tweb.my-lab web\n10.10.0.2\tweb.my-lab web\n192.0.2.7\tprinter\n"
    )


def test_hosts_without_a_network() -> None:
    alone = SandboxConfig("web", "lab", NetworkMode.NONE, hostname="web", domainname="lab")
    assert names.hosts_file(alone, []) == "127.0.0.1\tlocalhost\n127.0.1.1\tweb.lab web\n"


def test_hosts_of_the_machine() -> None:
    assert names.machine_hosts_file(WEB, "127.0.0.1 localhost") == "127.0.0.1 localhost\n192.0.2.7\tprinter\n"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "nameserver 10.11.0.1\nsearch my-lab\noptions ndots:0\n"),
        ({"dns_servers": ("192.0.2.1",)}, "nameserver 10.11.0.1\nsearch my-lab\noptions ndots:0\n"),
        (
            {"dns_search": ("a.example", "b.example")},
            "nameserver 10.11.0.1\nsearch a.example b.example\noptions ndots:0\n",
        ),
        ({"dns_search": (".",)}, "nameserver 10.11.0.1\noptions ndots:0\n"),
        ({"dns_options": ("ndots:3", "rotate")}, "nameserver 10.11.0.1\nsearch my-lab\noptions ndots:3 rotate\n"),
    ],
)
def test_resolv_conf(more: dict[str, tuple[str, ...]], text: str) -> None:
    sandbox = SandboxConfig("web", "my_lab", hostname="web", domainname="my-lab", **more)  # type: ignore[arg-type]
    assert names.resolv_conf(sandbox, "10.11.0.1", MACHINE) == text


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, MACHINE),
        ({"dns_servers": ("192.0.2.1",)}, "nameserver 192.0.2.1\nsearch example.org\noptions timeout:1\n"),
        ({"dns_search": ("x",)}, "nameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch x\noptions timeout:1\n"),
    ],
)
def test_resolv_conf_in_the_machines_own_network(more: dict[str, tuple[str, ...]], text: str) -> None:
    sandbox = SandboxConfig("web", "my_lab", NetworkMode.HOST, **more)  # type: ignore[arg-type]
    assert names.resolv_conf(sandbox, None, MACHINE) == text


def test_no_network_no_servers() -> None:
    assert names.resolv_conf(SandboxConfig("web", "lab", NetworkMode.NONE), None, MACHINE) == ""


def test_tables_do_not_depend_on_the_order_they_are_told_in() -> None:
    network = NetworkConfig("my_lab_front", "my_lab", "front", "10.10.0.0/24", "10.10.0.1")
    other = EndpointConfig(
        "my_lab", "api", "my_lab_front", "front", "10.10.0.3", 24, "10.10.0.1", "api.my-lab", ("api",)
    )
    first = names.tables([FRONT, other, BACK], [WEB], [network])
    assert first == names.tables([other, BACK, FRONT], [WEB], [network])
    assert list(first) == ["my_lab_front.json"]


@pytest.mark.parametrize("name", ["../x", "a/b", ".."])
def test_a_network_name_stays_in_its_directory(name: str) -> None:
    assert "/" not in names.file_name(name)
    assert names.file_name(name) not in (".", "..")
