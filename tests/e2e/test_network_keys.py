"""The keys of networks and of services in them, whatever the family: what the kernel has of what the file says."""

import json
import re
import socket
from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually
from tests.e2e.machine import EXTERNAL, LAN, REFUSED, SILENCE

SLEEPER = "image: IMAGE, init: true, command: sleep 1000"
SERVER = "image: IMAGE, init: true, command: httpd -f -p 80 -h /www"
BRIDGE = "com.docker.network.bridge"
ROUTED = "sysctl -qw net.bridge.bridge-nf-call-iptables=0"
"""br_netfilter takes what is led from one port of a bridge to another across the bridge, where ports are isolated."""


def networks(options: str, *, more: str = "", subnet: str = "10.91.0.0/24") -> str:
    return f"networks: {{lab: {{driver_opts: {{{options}}}, ipam: {{config: [{{subnet: {subnet}}}]}}{more}}}}}\n"


def link(place: machine.Place, name: str) -> dict[str, Any]:
    found = json.loads(place.sh(f"ip -j -d link show dev {name}", check=False) or "[]")
    return found[0] if found else {}


def bridge_of(lab: Lab, gateway: str = "10.91.0.1") -> dict[str, Any]:
    found = json.loads(lab.machine.sh("ip -j -d addr show type bridge"))
    return next(each for each in found if gateway in [info["local"] for info in each["addr_info"]])


def interfaces(lab: Lab, name: str) -> dict[str, list[str]]:
    """Interface -> its IPv4 addresses."""
    found = json.loads(lab.place(name).sh("ip -j addr"))
    return {
        each["ifname"]: [
            f"{info['local']}/{info['prefixlen']}" for info in each["addr_info"] if info["family"] == "inet"
        ]
        for each in found
        if each["ifname"] != "lo"
    }


@pytest.mark.key("networks.driver_opts")
def test_a_file_may_give_the_mtu_and_change_it_live(lab: Lab) -> None:
    text = f"services: {{a: {{{SLEEPER}, networks: [lab]}}}}\n" + networks("com.docker.network.driver.mtu: 1400")
    lab.up(text)
    pid = lab.pid("a")
    assert (bridge_of(lab)["mtu"], link(lab.place("a"), "eth0")["mtu"]) == (1400, 1400)
    changed = text.replace("1400", "9000")
    lab.write(changed)
    said = lab.corral("plan", code=None).stdout
    assert "mtu 1400 -> 9000" in said
    lab.up()
    assert (bridge_of(lab)["mtu"], link(lab.place("a"), "eth0")["mtu"]) == (9000, 9000)
    cables = json.loads(lab.machine.sh("ip -j link show type veth"))
    assert [each["mtu"] for each in cables if each["ifname"].startswith("cv")] == [9000]
    assert lab.pid("a") == pid
    assert interfaces(lab, "a") == {"eth0": ["10.91.0.2/24"]}


@pytest.mark.key("networks.driver_opts")
def test_a_bridge_has_the_name_that_is_given_and_a_name_of_the_machines_is_refused(lab: Lab) -> None:
    text = f"services: {{a: {{{SLEEPER}, networks: [lab]}}}}\n" + networks(f"{BRIDGE}.name: br-mine")
    lab.machine.sh("ip link add br-mine type bridge")
    try:
        lab.write(text)
        said = lab.refusal("up", "-d")
        assert re.search(r"compose.yaml:2:\d+: .*there is an interface br-mine already", said), said
        assert lab.ps() == {}
    finally:
        lab.machine.sh("ip link del br-mine")
    lab.up(text)
    assert bridge_of(lab)["ifname"] == "br-mine"
    pid = lab.pid("a")
    lab.machine.sh("ip addr flush dev br-mine")
    eventually(
        lambda: bridge_of(lab)["ifname"] == "br-mine" if "10.91" in lab.machine.sh("ip addr show dev br-mine") else 0
    )
    lab.up(text.replace("br-mine", "br-other"))
    assert bridge_of(lab)["ifname"] == "br-other"
    assert not link(lab.machine, "br-mine")
    assert lab.pid("a") == pid, "the container runs on"
    assert interfaces(lab, "a") == {"eth0": ["10.91.0.2/24"]}


@pytest.mark.key("networks.driver_opts")
def test_without_icc_members_reach_the_world_and_what_is_published_but_not_each_other(lab: Lab) -> None:
    text = (
        f"services: {{a: {{{SERVER}, ports: ['8071:80'], networks: [lab]}}, b: {{{SERVER}, networks: [lab]}}}}\n"
        + networks(f'{BRIDGE}.enable_icc: "false"')
    )
    lab.machine.sh(ROUTED, check=False)
    lab.up(text)
    a, b = lab.place("a"), lab.place("b")
    assert isinstance(lab.machine, machine.Machine)
    lab.machine.lan.serve(80)
    try:
        assert b.tcp(lab.address("a"), 80, timeout=1) in (SILENCE, "OSError")
        b.sh(f"ip neigh replace {lab.address('a')} dev eth0 lladdr {bridge_of(lab)['address']}")
        assert b.tcp(lab.address("a"), 80, timeout=1) == SILENCE, "nor by way of the gateway"
        assert b.tcp(EXTERNAL, 8071) in ("10.91.0.1", lab.address("b"))
        assert b.tcp(LAN, 80) == EXTERNAL
        assert lab.machine.lan.tcp(EXTERNAL, 8071) == LAN
    finally:
        lab.machine.lan.close_sockets()
    b.sh(f"ip neigh del {lab.address('a')} dev eth0")
    pids = lab.pids()
    lab.up(text.replace('"false"', '"true"'))
    assert b.tcp(lab.address("a"), 80) == lab.address("b")
    lab.up(text)
    assert a.tcp(lab.address("b"), 80, timeout=1) in (SILENCE, "OSError")
    assert lab.pids() == pids


@pytest.mark.key("networks.driver_opts")
def test_without_masquerade_a_sender_keeps_its_address(lab: Lab) -> None:
    text = f"services: {{a: {{{SLEEPER}, networks: [lab]}}}}\n" + networks(f'{BRIDGE}.enable_ip_masquerade: "false"')
    assert isinstance(lab.machine, machine.Machine)
    lan = lab.machine.lan
    lab.up(text)
    lan.sh(f"ip route add 10.91.0.0/24 via {EXTERNAL}")
    lan.serve(80)
    try:
        assert lab.place("a").tcp(LAN, 80) == lab.address("a")
        lab.up(text.replace('"false"', '"true"'))
        assert lab.place("a").tcp(LAN, 80) == EXTERNAL
    finally:
        lan.close_sockets()
        lan.sh("ip route del 10.91.0.0/24")


@pytest.mark.key("networks.driver_opts")
def test_ports_are_published_where_the_network_binds_them(lab: Lab) -> None:
    lab.up(
        f"services: {{a: {{{SERVER}, ports: ['8072:80', '0.0.0.0:8073:80'], networks: [lab]}}}}\n"
        + networks(f"{BRIDGE}.host_binding_ipv4: 127.0.0.1")
    )
    assert isinstance(lab.machine, machine.Machine)
    assert lab.machine.lan.tcp(EXTERNAL, 8072, timeout=1) in (SILENCE, REFUSED)
    eventually(lambda: lab.machine.lan.tcp(EXTERNAL, 8073) == LAN)
    assert lab.machine.tcp("127.0.0.1", 8072) == "10.91.0.1"
    assert lab.ps()["a-1"]["Ports"] == "0.0.0.0:8073->80/tcp, 127.0.0.1:8072->80/tcp"


@pytest.mark.key("networks.driver_opts", "services.networks.interface_name", "services.networks.priority")
def test_interfaces_are_named_as_the_file_says(lab: Lab) -> None:
    text = f"""
services:
  a:
    {SLEEPER.replace(", ", chr(10) + "    ")}
    networks: {{one: {{interface_name: lan0}}, two: {{}}, three: {{priority: 5}}, four: {{}}}}
networks:
  one: {{}}
  two: {{driver_opts: {{com.docker.network.container_iface_prefix: net}}}}
  three: {{}}
  four: {{}}
"""
    lab.up(text)
    assert set(interfaces(lab, "a")) == {"lan0", "net0", "eth0", "eth1"}
    at = lab.ps()["a-1"]["Addresses"]
    assert interfaces(lab, "a")["eth0"] == [f"{at['three']}/24"], "joined first"
    assert interfaces(lab, "a")["lan0"] == [f"{at['one']}/24"]
    pid = lab.pid("a")
    lab.up(text.replace("lan0", "other.1"))
    assert set(interfaces(lab, "a")) == {"other.1", "net0", "eth0", "eth1"}
    assert lab.pid("a") == pid


@pytest.mark.key("services.networks.mac_address", "services.mac_address", "services.networks.priority")
def test_mac_addresses_are_those_of_the_file_and_else_always_the_same(lab: Lab) -> None:
    text = f"""
services:
  a: {{{SLEEPER}, networks: {{one: {{mac_address: 02-42-AC-11-00-99}}, two: {{}}}}}}
  b: {{{SLEEPER}, mac_address: "02:42:ac:11:00:98", networks: {{one: {{}}, two: {{priority: 1}}}}}}
networks: {{one: {{}}, two: {{}}}}
"""
    lab.up(text)

    def macs(name: str) -> dict[str, str]:
        at = lab.ps()[f"{name}-1"]["Addresses"]
        found = json.loads(lab.place(name).sh("ip -j addr"))
        network = {address: key for key, address in at.items()}
        return {network[each["addr_info"][0]["local"]]: each["address"] for each in found if each["ifname"] != "lo"}

    before = macs("a")
    assert before["one"] == "02:42:ac:11:00:99"
    assert macs("b")["two"] == "02:42:ac:11:00:98"
    pid = lab.pid("a")
    lab.up("", "--force-recreate", "-t", "0")
    assert lab.pid("a") != pid
    assert macs("a") == before
    pid = lab.pid("a")
    lab.up(text.replace("00-99", "00-97"))
    assert macs("a") == {**before, "one": "02:42:ac:11:00:97"}
    assert lab.pid("a") == pid, "the cable is another one, the container runs on"
    assert lab.exec("b", "ping", "-c1", "-W2", "a")


@pytest.mark.key("services.networks.gw_priority")
def test_the_default_route_goes_where_the_priority_is_highest(lab: Lab) -> None:
    text = f"""
services: {{a: {{{SERVER}, ports: ["8074:80"], networks: {{one: {{}}, two: {{gw_priority: 3}}, shut: {{gw_priority: 9}}}}}}}}
networks:
  one: {{ipam: {{config: [{{subnet: 10.91.1.0/24}}]}}}}
  two: {{ipam: {{config: [{{subnet: 10.91.2.0/24}}]}}}}
  shut: {{internal: true}}
"""

    def gateways() -> list[str]:
        return [each["gateway"] for each in json.loads(lab.place("a").sh("ip -j route show default"))]

    lab.up(text)
    pid = lab.pid("a")
    assert gateways() == ["10.91.2.1"]
    assert isinstance(lab.machine, machine.Machine)
    assert lab.machine.lan.tcp(EXTERNAL, 8074) == LAN
    lab.up(text.replace("one: {}, ", "one: {gw_priority: 4}, "))
    assert gateways() == ["10.91.1.1"]
    assert lab.machine.lan.tcp(EXTERNAL, 8074) == LAN
    assert lab.pid("a") == pid


@pytest.mark.key("services.networks.link_local_ips", "services.networks.driver_opts")
def test_link_local_addresses_and_settings_of_an_interface(lab: Lab) -> None:
    text = f"""
services:
  a:
    {SLEEPER.replace(", ", chr(10) + "    ")}
    networks:
      lab:
        link_local_ips: [169.254.8.1]
        driver_opts: {{com.docker.network.endpoint.sysctls: "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.IFNAME.ucast_solicit=5"}}
  b: {{{SLEEPER}, networks: {{lab: {{link_local_ips: [169.254.8.2]}}}}}}
networks: {{lab: {{ipam: {{config: [{{subnet: 10.91.0.0/24}}]}}}}}}
"""
    lab.up(text)
    assert sorted(interfaces(lab, "a")["eth0"]) == ["10.91.0.2/24", "169.254.8.1/16"]
    assert lab.exec("b", "ping", "-c1", "-W2", "169.254.8.1")
    settings = "cat /proc/sys/net/ipv4/conf/eth0/log_martians /proc/sys/net/ipv4/neigh/eth0/ucast_solicit"
    assert lab.place("a").sh(settings).split() == ["1", "5"]
    assert lab.place("b").sh(settings).split() == ["0", "3"]
    pid = lab.pid("a")
    lab.up(text.replace("log_martians=1", "log_martians=0").replace("169.254.8.1", "169.254.8.3"))
    assert lab.place("a").sh(settings).split() == ["0", "5"]
    assert sorted(interfaces(lab, "a")["eth0"]) == ["10.91.0.2/24", "169.254.8.3/16"]
    assert lab.pid("a") == pid


@pytest.mark.key("networks.ipam.config.aux_addresses", "networks.ipam.options", "networks.attachable")
def test_reserved_addresses_are_given_to_nobody(lab: Lab) -> None:
    lab.write(
        f"""
services: {{a: {{{SLEEPER}, networks: [lab], deploy: {{replicas: 3}}}}}}
networks:
  lab:
    attachable: true
    ipam: {{options: {{x: y}}, config: [{{subnet: 10.91.0.0/29, aux_addresses: {{printer: 10.91.0.2, nas: 10.91.0.4}}}}]}}
"""
    )
    said = lab.corral("up", "-d")
    assert "the driver 'default' has no options" in said.stdout + said.stderr
    assert {lab.address(f"a-{number}") for number in (1, 2, 3)} == {"10.91.0.3", "10.91.0.5", "10.91.0.6"}


@pytest.mark.key("networks.driver")
def test_the_drivers_host_and_none_are_network_modes(lab: Lab) -> None:
    before = lab.machine.snapshot()["links"]
    lab.up(
        f"""
services:
  h: {{{SLEEPER}, networks: [its]}}
  e: {{{SLEEPER}, networks: [host]}}
  n: {{{SLEEPER}, networks: [nothing]}}
networks: {{its: {{driver: host}}, nothing: {{driver: none}}, host: {{external: true, name: host}}}}
"""
    )
    assert lab.machine.snapshot()["links"] == before
    for name in ("h", "e"):
        assert machine.namespace(lab.pid(name), "net") == machine.namespace(lab.machine.pid, "net")
    assert {each["ifname"] for each in json.loads(lab.place("n").sh("ip -j link"))} == {"lo"}
    lab.up(f"services: {{a: {{{SLEEPER}}}}}\nnetworks: {{default: {{driver: default}}}}\n", "--remove-orphans")
    assert set(interfaces(lab, "a")) == {"eth0"}


@pytest.mark.key("networks.enable_ipv6")
def test_an_interface_that_believes_routers_goes_on_and_all_is_put_back(lab: Lab) -> None:
    """A router of IPv6 forgets what others told it, unless it is told to go on believing."""
    setting = "cat /proc/sys/net/ipv6/conf/ext0/accept_ra /proc/sys/net/ipv6/conf/all/forwarding"
    lab.machine.sh("ip -6 route add 2001:db8:77::/48 via fe80::1 dev ext0 proto ra")
    try:
        assert lab.machine.sh(setting).split() == ["1", "0"]
        lab.up(
            f"services: {{a: {{{SLEEPER}, networks: [n]}}, b: {{{SLEEPER}}}}}\nnetworks: {{n: {{enable_ipv6: true}}}}\n"
        )
        assert lab.machine.sh(setting).split() == ["2", "1"]
        lab.up(f"services: {{b: {{{SLEEPER}}}}}\n", "--remove-orphans")
        assert lab.machine.sh(setting).split() == ["1", "0"], "with the last network of IPv6"
        assert "CORRAL" not in lab.machine.sh("ip6tables-save")
    finally:
        lab.machine.sh("ip -6 route del 2001:db8:77::/48")


def test_a_machine_without_ip6tables_refuses_only_networks_that_ask_for_ipv6(lab: Lab) -> None:
    at = ("nsenter", "-t", str(lab.machine.pid), "-m", "sh", "-ec")
    hide = "cp -a /etc/alternatives /run/alternatives; rm /run/alternatives/ip6tables*; mount --bind /run/alternatives /etc/alternatives"
    machine.run(*at, hide)
    try:
        lab.write(f"services: {{a: {{{SLEEPER}, networks: [n]}}}}\nnetworks: {{n: {{enable_ipv6: true}}}}\n")
        said = lab.refusal("up", "-d")
        assert "this machine has no IPv6: cannot set up networks: there is no ip6tables on this machine" in said
        assert not json.loads(lab.machine.sh("ip -j link show type bridge"))
        lab.up(f"services: {{a: {{{SLEEPER}}}}}\n")
        assert interfaces(lab, "a")["eth0"]
    finally:
        machine.run(*at, "umount /etc/alternatives; rm -r /run/alternatives")


@pytest.mark.key("services.ports.protocol")
def test_sctp_is_mapped_where_the_kernel_has_it(lab: Lab) -> None:
    text = f"services: {{a: {{{SLEEPER}, networks: [lab], ports: ['8055:80/sctp']}}}}\n" + networks("")
    try:
        socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, socket.IPPROTO_SCTP).close()
    except OSError:
        lab.write(text)
        said = lab.refusal("up", "-d")
        assert "cannot publish 0.0.0.0:8055/sctp: this machine's kernel has no sctp" in said
        return
    lab.up(text)
    rules = lab.machine.sh("iptables-save -t nat")
    assert "-p sctp -m sctp --dport 8055 -j DNAT --to-destination 10.91.0.2:80" in rules
