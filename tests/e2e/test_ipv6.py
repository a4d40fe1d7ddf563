"""IPv6, where a network asks for it: addresses, routes, names, published ports and isolation, as the kernel has them."""

import ipaddress
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.e2e import dns, machine
from tests.e2e.attacks import inside
from tests.e2e.conftest import Corrals
from tests.e2e.lab import Lab, eventually
from tests.e2e.machine import EXTERNAL, EXTERNAL6, LAN, LAN6, REFUSED, SILENCE

SLEEPER = "image: IMAGE, init: true, command: sleep 1000"
SERVER = "image: IMAGE, init: true, command: 'httpd -f -p 80 -h /www'"
GATEWAY6 = "fd77:1::1"
CLUSTER = f"""
services:
  web:
    image: IMAGE
    init: true
    command: 'httpd -f -p 80 -h /www'
    ports: ["8066:80", "[::1]:8067:80", "[{EXTERNAL6}]:8068:80", "127.0.0.1:8069:80"]
    extra_hosts: ["printer:2001:db8::99"]
    networks: {{both: {{ipv6_address: "FD77:1::0:10", aliases: [boss]}}}}
  client: {{{SLEEPER}, networks: [both]}}
  router: {{{SLEEPER}, networks: [both], cap_add: [NET_ADMIN]}}
  many: {{{SERVER}, networks: [both], deploy: {{replicas: 2}}}}
  six: {{{SERVER}, networks: [only6], ports: ["8065:80"]}}
  six2: {{{SLEEPER}, networks: [only6]}}
  shut: {{{SERVER}, networks: [shut], ports: ["8064:80"]}}
  shut2: {{{SLEEPER}, networks: [shut]}}
  four: {{{SERVER}, networks: [old], ports: ["8063:80"]}}
networks:
  both: {{enable_ipv6: true, ipam: {{config: [{{subnet: 10.78.1.0/24}}, {{subnet: "fd77:1::/64", ip_range: "fd77:1::100/120", aux_addresses: {{a: "fd77:1::100"}}}}]}}}}
  only6: {{enable_ipv4: false, enable_ipv6: true}}
  shut: {{enable_ipv6: true, internal: true, ipam: {{config: [{{subnet: 10.78.3.0/24}}, {{subnet: "fd77:3::/64", gateway: "fd77:3::ffff"}}]}}}}
  old: {{}}
"""


@pytest.fixture(scope="module")
def cluster(corrals: Corrals) -> Iterator[Lab]:
    with corrals.get().lab("six") as lab:
        lab.up(CLUSTER)
        yield lab


def addresses6(place: machine.Place, interface: str = "eth0") -> list[str]:
    """Of the interface, as the kernel has them, but link-local ones; none may still be looked for."""
    found = json.loads(place.sh(f"ip -j -6 addr show dev {interface}"))
    infos = [info for each in found for info in each.get("addr_info", [])]
    assert not any(info.get("tentative") or info.get("dadfailed") for info in infos)
    return [f"{info['local']}/{info['prefixlen']}" for info in infos if info["scope"] != "link"]


def address6(lab: Lab, name: str) -> str:
    return addresses6(lab.place(name))[0].partition("/")[0]


def bridge_of(lab: Lab, gateway: str) -> str:
    found = json.loads(lab.machine.sh("ip -j addr show type bridge"))
    return next(each["ifname"] for each in found if gateway in [info["local"] for info in each["addr_info"]])


def outside(lab: Lab) -> machine.Place:
    assert isinstance(lab.machine, machine.Machine)
    return lab.machine.lan


# ----------------------------------------------------------------------------------------------------------- addresses


@pytest.mark.key("networks.enable_ipv6", "services.networks.ipv6_address", "networks.ipam.config.ip_range")
def test_addresses_and_routes_are_what_the_file_says(cluster: Lab) -> None:
    web = cluster.place("web")
    assert addresses6(web) == ["fd77:1::10/64"]
    assert [route["gateway"] for route in json.loads(web.sh("ip -j -6 route show default"))] == [GATEWAY6]
    assert cluster.address("web") == "10.78.1.2"
    found = [address6(cluster, name) for name in ("client-1", "many-1", "many-2")]
    assert len(set(found)) == 3
    for address in found:
        assert ipaddress.ip_address(address) in ipaddress.ip_network("fd77:1::100/120")
        assert address != "fd77:1::100"
    assert addresses6(cluster.machine, bridge_of(cluster, "10.78.1.1")) == ["fd77:1::1/64"]
    assert web.sh("cat /proc/sys/net/ipv6/conf/eth0/accept_ra").strip() == "0"


@pytest.mark.key("networks.enable_ipv6")
def test_a_subnet_that_nobody_gives_is_local_unique_and_stays(lab: Lab) -> None:
    text = f"services: {{a: {{{SLEEPER}, networks: [n]}}, b: {{{SLEEPER}, networks: [m]}}}}\nnetworks: {{n: {{enable_ipv6: true}}, m: {{enable_ipv6: true}}}}\n"
    lab.up(text)
    first, second = (ipaddress.ip_interface(addresses6(lab.place(name))[0]).network for name in "ab")
    assert first.prefixlen == 64
    assert first.subnet_of(ipaddress.IPv6Network("fd00::/8"))  # type: ignore[arg-type]
    assert not first.overlaps(second)
    lab.corral("down", "-t", "0")
    lab.up()
    assert ipaddress.ip_interface(addresses6(lab.place("a"))[0]).network == first
    lab.corral("down", "-t", "0")
    lab.machine.sh(f"ip -6 route add {first} via {LAN6}")
    try:
        lab.up()
        assert ipaddress.ip_interface(addresses6(lab.place("a"))[0]).network != first
        lab.corral("down", "-t", "0")
    finally:
        lab.machine.sh(f"ip -6 route del {first}")


@pytest.mark.key("networks.enable_ipv4")
def test_a_network_of_ipv6_alone(cluster: Lab) -> None:
    six = cluster.place("six")
    assert json.loads(six.sh("ip -j -4 addr show dev eth0")) in ([], [{}])
    assert cluster.place("six2").tcp(address6(cluster, "six"), 80) == address6(cluster, "six2")
    server = cluster.exec("six2", "cat", "/etc/resolv.conf").split()[1]
    assert ":" in server
    assert dns.ask(cluster.place("six2"), "six", dns.AAAA, server=server).records == (address6(cluster, "six"),)
    assert dns.ask(cluster.place("six2"), "six", dns.A, server=server).records == ()
    assert cluster.exec("six2", "ping", "-6", "-c1", "-W2", "six")


def test_without_an_ipv6_network_there_is_none_inside(cluster: Lab) -> None:
    assert machine.read(f"/proc/{cluster.pid('four')}/net/if_inet6") == ""
    assert "::1" in cluster.place("web").sh("ip -6 addr show dev lo")


# --------------------------------------------------------------------------------------------------------------- names


def test_names_have_addresses_of_both_families(cluster: Lab) -> None:
    client = cluster.place("client")
    for server in ("10.78.1.1", GATEWAY6):
        for name in ("web", "boss", "web.six"):
            assert dns.ask(client, name, dns.AAAA, server=server).records == ("fd77:1::10",)
            assert dns.ask(client, name, dns.A, server=server).records == ("10.78.1.2",)
        assert dns.ask(client, "web", dns.AAAA, server=server, tcp=True).records == ("fd77:1::10",)
        assert dns.reverse(client, "fd77:1::10", server=server) == ("web.six",)
        many = {address6(cluster, f"many-{number}") for number in (1, 2)}
        answers = [dns.ask(client, "many", dns.AAAA, server=server).records for _ in range(4)]
        assert all(set(answer) == many for answer in answers)
        assert {answer[0] for answer in answers} == many
    assert dns.ask(client, "six", dns.AAAA, server=GATEWAY6).records == (), "of another network"
    assert dns.reverse(client, address6(cluster, "six"), server=GATEWAY6) == ()


def test_etc_hosts_has_them(cluster: Lab) -> None:
    lines = cluster.exec("web", "cat", "/etc/hosts").splitlines()
    assert "fd77:1::10\tweb.six web" in lines
    assert "::1\tlocalhost ip6-localhost ip6-loopback" in lines
    assert "2001:db8::99\tprinter" in lines
    assert "::1" not in cluster.exec("four", "cat", "/etc/hosts")


# --------------------------------------------------------------------------------------------------------------- ports


@pytest.mark.key("services.ports")
def test_a_port_without_an_address_is_published_on_both_families(cluster: Lab) -> None:
    lan = outside(cluster)
    assert lan.tcp(EXTERNAL6, 8066) == LAN6
    assert lan.tcp(EXTERNAL, 8066) == LAN
    assert cluster.machine.tcp(EXTERNAL6, 8066) != REFUSED
    assert lan.tcp(EXTERNAL6, 8065) == LAN6, "of a network of IPv6 alone"
    assert lan.tcp(EXTERNAL, 8065, timeout=1) == REFUSED
    assert cluster.place("client").tcp(EXTERNAL6, 8066) in (GATEWAY6, EXTERNAL6)
    assert cluster.place("web").tcp(EXTERNAL6, 8066) == GATEWAY6, "itself through its own port"
    assert cluster.place("six2").tcp(EXTERNAL6, 8066) == address6(cluster, "six2"), "from another network"
    assert cluster.ps()["web-1"]["Ports"].startswith("0.0.0.0:8066->80/tcp")
    assert "[::]:8066->80/tcp" in cluster.ps()["web-1"]["Ports"]


@pytest.mark.key("services.ports", "services.ports.host_ip")
def test_a_port_with_an_address_is_published_there_alone(cluster: Lab) -> None:
    lan = outside(cluster)
    assert lan.tcp(EXTERNAL6, 8068) == LAN6
    assert lan.tcp(EXTERNAL, 8068, timeout=1) == REFUSED
    assert lan.tcp(EXTERNAL6, 8069, timeout=1) == REFUSED
    assert lan.tcp(EXTERNAL6, 8067, timeout=1) == REFUSED
    assert lan.tcp(EXTERNAL6, 8063, timeout=1) == REFUSED, "of a network without IPv6"


def test_while_a_container_runs_its_port_is_taken_on_both_families(lab: Lab) -> None:
    lab.up(
        f"services: {{a: {{{SLEEPER}, networks: [n], ports: ['8062:80', '8062:80/udp']}}}}\nnetworks: {{n: {{enable_ipv6: true}}}}\n"
    )
    for address in ("0.0.0.0", "::", "::1", EXTERNAL6, EXTERNAL):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with lab.machine.inside(), socket.socket(machine.family_of(address), kind) as other:
                if ":" in address:
                    other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                with pytest.raises(OSError, match="in use"):
                    other.bind((address, 8062))
    lab.corral("stop", "-t", "0")
    with lab.machine.inside(), socket.create_server(("::", 8062), family=socket.AF_INET6, dualstack_ipv6=False):
        lab.write(
            f"services: {{a: {{{SLEEPER}, networks: [n], ports: ['8062:80']}}}}\nnetworks: {{n: {{enable_ipv6: true}}}}\n"
        )
        assert "8062" in lab.refusal("up", "-d")


@pytest.mark.key("services.ports.host_ip")
def test_the_machine_itself_reaches_ports_at_its_own_loopback(cluster: Lab) -> None:
    for port in (8066, 8067):
        assert cluster.machine.tcp("::1", port) == GATEWAY6
    assert cluster.machine.tcp("::1", 8065) not in (REFUSED, SILENCE), "of a network of IPv6 alone"
    for port in (8063, 8064, 8068, 8069):
        assert cluster.machine.tcp("::1", port, timeout=1) == REFUSED, port
    assert cluster.machine.tcp("127.0.0.1", 8066) == "10.78.1.1"
    cluster.kill("corral daemon")
    assert cluster.machine.tcp("::1", 8067) == GATEWAY6, "while the daemon is dead"
    cluster.corral("ps")
    killed = cluster.kill("corral relay")
    eventually(lambda: cluster.process("corral relay") != killed)
    eventually(lambda: cluster.machine.tcp("::1", 8067, timeout=1) == GATEWAY6)


def test_what_is_relayed_arrives_whole_and_both_sides_may_end_first(lab: Lab) -> None:
    lab.up(
        f"""
services:
  a:
    {SLEEPER.replace(", ", chr(10) + "    ")}
    networks: [n]
    ports: ["[::1]:8059:90", "[::1]:8058:91/udp", "8057:91/udp"]
networks: {{n: {{enable_ipv6: true}}}}
"""
    )
    place = lab.place("a")
    big = b"0123456789abcdef" * 500_000

    def echo(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            heard = b""
            while data := connection.recv(1 << 16):
                heard += data
            connection.sendall(heard[::-1])

    server = place.open(socket.SOCK_STREAM, ("::", 90))
    server.listen()
    serving = threading.Thread(target=echo, args=(server,))
    serving.start()
    with lab.machine.inside(), socket.create_connection(("::1", 8059)) as caller:
        caller.sendall(big)
        caller.shutdown(socket.SHUT_WR)
        with caller.makefile("rb") as stream:
            assert stream.read() == big[::-1]
    serving.join()
    place.serve(91, socket.SOCK_DGRAM, "::")
    for port in (8058, 8057):
        for _ in range(20):
            assert lab.machine.udp("::1", port, timeout=1).startswith("fd"), port
    assert outside(lab).udp(EXTERNAL6, 8057) == LAN6
    place.close_sockets()
    assert lab.machine.tcp("::1", 8059, timeout=1) in ("", "ConnectionResetError", REFUSED), "nobody listens inside"
    lab.corral("stop", "-t", "0")
    assert lab.machine.tcp("::1", 8059, timeout=1) == REFUSED


# ----------------------------------------------------------------------------------------------------------- isolation


def test_nobody_comes_straight_to_a_container_or_under_a_false_address(cluster: Lab) -> None:
    lan, web = outside(cluster), cluster.place("web")
    lan.sh(f"ip -6 route add fd77::/16 via {EXTERNAL6}")
    lan.serve(80, address="::")
    try:
        assert lan.tcp("fd77:1::10", 80, timeout=1) == SILENCE
        assert web.tcp(LAN6, 80) == EXTERNAL6, "masqueraded"
        web.sh("ip -6 addr add fd99::1/128 dev eth0 nodad")
        with web.inside(), socket.socket(socket.AF_INET6) as liar:
            liar.settimeout(1)
            liar.bind(("fd99::1", 0))
            with pytest.raises(OSError):
                liar.connect((LAN6, 80))
        web.sh("ip -6 addr del fd99::1/128 dev eth0")
    finally:
        lan.close_sockets()
        lan.sh(f"ip -6 route del fd77::/16 via {EXTERNAL6}")


def test_networks_do_not_reach_each_other(cluster: Lab) -> None:
    assert cluster.place("six2").tcp("fd77:1::10", 80, timeout=1) in (SILENCE, REFUSED)
    assert cluster.place("client").tcp(address6(cluster, "six"), 80, timeout=1) in (SILENCE, REFUSED)
    assert cluster.place("client").tcp("fd77:1::10", 80) == address6(cluster, "client")


def test_an_internal_network_has_no_way_out(cluster: Lab) -> None:
    lan = outside(cluster)
    lan.serve(80, address="::")
    try:
        member = cluster.place("shut2")
        assert member.tcp(address6(cluster, "shut"), 80) == address6(cluster, "shut2")
        assert member.tcp(LAN6, 80, timeout=1) in (SILENCE, REFUSED, "OSError")
        assert member.sh("ip -6 route show default") == ""
        member.sh("ip -6 route add default via fd77:3::ffff")
        assert member.tcp(LAN6, 80, timeout=1) in (SILENCE, REFUSED, "OSError")
        member.sh("ip -6 route del default")
        assert lan.tcp(EXTERNAL6, 8064, timeout=1) in (SILENCE, REFUSED)
    finally:
        lan.close_sockets()


def test_a_member_that_plays_a_router_gets_no_followers(cluster: Lab) -> None:
    """CVE-2020-13401, in a network that has IPv6: an advertisement is for all of a network, the machine among them. One that may be a
    router: what others say as such arrives nowhere."""
    near, router = cluster.place("client"), cluster.place("router")
    mac = json.loads(router.sh("ip -j link show dev eth0"))[0]["address"]
    said = bytes.fromhex(inside.advertisement().replace("MINE", mac.replace(":", "")))
    with near.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD)) as listener:
        listener.bind(("eth0", 0x86DD))
        listener.settimeout(5)
        with router.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as liar:
            liar.bind(("eth0", 0))
            liar.send(said)
        while listener.recv(2000) != said:
            pass
    for place in (near, cluster.machine):
        assert "2001:db8" not in place.sh("ip -6 addr; ip -6 route")
        assert "fe80::bad" not in place.sh("ip -6 route")


def test_what_the_machine_offers_to_itself_only_no_container_reaches(cluster: Lab) -> None:
    cluster.machine.serve(8765, address="::1")
    try:
        assert cluster.place("web").tcp(GATEWAY6, 8765, timeout=1) == REFUSED
    finally:
        cluster.machine.close_sockets()


def test_names_and_neighbours_are_answered_under_an_input_policy_of_drop(lab: Lab) -> None:
    lab.machine.sh("ip6tables -P INPUT DROP")
    try:
        lab.up(
            f"services: {{a: {{{SLEEPER}, networks: [n]}}, b: {{{SLEEPER}, networks: [n]}}}}\nnetworks: {{n: {{enable_ipv4: false, enable_ipv6: true}}}}\n"
        )
        server = lab.exec("a", "cat", "/etc/resolv.conf").split()[1]
        assert dns.ask(lab.place("a"), "b", dns.AAAA, server=server).records == (address6(lab, "b"),)
    finally:
        lab.machine.sh("ip6tables -P INPUT ACCEPT")


# ------------------------------------------------------------------------------------------------------ what may happen


def test_what_somebody_else_breaks_is_mended(lab: Lab) -> None:
    lab.up(
        f"services: {{a: {{{SERVER}, networks: [n], ports: ['8061:80']}}}}\nnetworks: {{n: {{enable_ipv6: true, ipam: {{config: [{{subnet: 'fd77:5::/64'}}]}}}}}}\n"
    )
    lan, pid = outside(lab), lab.pid("a")
    bridge = bridge_of(lab, "fd77:5::1")
    rules = lab.machine.snapshot()["firewall"]
    for damage in (
        f"ip -6 addr del fd77:5::1/64 dev {bridge}",
        "ip6tables -F; ip6tables -t nat -F; ip6tables -t raw -F",
        "ip6tables -t nat -F PREROUTING",
        "sysctl -qw net.ipv6.conf.all.forwarding=0",
        f"sysctl -qw net.ipv6.conf.{bridge}.disable_ipv6=1",
    ):
        lab.machine.sh(damage)
        eventually(lambda: lab.machine.snapshot()["firewall"] == rules)
        eventually(lambda: addresses6(lab.machine, bridge) == ["fd77:5::1/64"])
        eventually(lambda: lan.tcp(EXTERNAL6, 8061, timeout=1) == LAN6)
    assert lab.pid("a") == pid
    lab.corral("plan", code=0)


def test_a_changed_subnet_is_changed_under_the_running_process(lab: Lab) -> None:
    text = f"services: {{a: {{{SLEEPER}, networks: [n]}}}}\nnetworks: {{n: {{ipam: {{config: [{{subnet: 10.78.9.0/24}}]}}}}}}\n"
    lab.up(text)
    pid = lab.pid("a")
    six = text.replace("n: {ipam", "n: {enable_ipv6: true, ipam").replace("/24}]", "/24}, {subnet: 'fd77:9::/64'}]")
    lab.up(six)
    assert addresses6(lab.place("a")) == ["fd77:9::2/64"]
    lab.up(six.replace("fd77:9", "fd77:a"))
    assert addresses6(lab.place("a")) == ["fd77:a::2/64"]
    lab.up(text)
    assert "fd77" not in lab.place("a").sh("ip -6 addr")
    assert (lab.pid("a"), lab.address("a")) == (pid, "10.78.9.2")
