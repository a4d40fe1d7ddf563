"""Published ports: who reaches them and who must not, from which address, and whose they are on the host."""

import json
import socket
from collections.abc import Iterator

import pytest

from tests.e2e import machine
from tests.e2e.conftest import Corrals
from tests.e2e.lab import Lab, eventually
from tests.e2e.machine import EXTERNAL, LAN, REFUSED, SILENCE

CLUSTER = """
services:
  web:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: {lab: {ipv4_address: 10.77.1.10}}
    ports:
      - "8080:80"
      - "127.0.0.1:8081:80"
      - "203.0.113.1:8082:80"
      - "9090:90/udp"
      - "127.0.0.1::80"
      - "80"
  side:
    image: IMAGE
    init: true
    command: sleep 1000
    networks: {lab: {ipv4_address: 10.77.1.11}}
  far:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: {other: {ipv4_address: 10.77.2.10}}
    ports: ["8000-8001:80-81", {target: 82, published: "8002", protocol: tcp, host_ip: 0.0.0.0, mode: host}]
networks:
  lab: {ipam: {config: [{subnet: 10.77.1.0/24}]}}
  other: {ipam: {config: [{subnet: 10.77.2.0/24}]}}
"""
WEB = """
services:
  web:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    ports: [{}]
"""


@pytest.fixture(scope="module")
def cluster(corrals: Corrals) -> Iterator[Lab]:
    """Brought up once for all tests that only look."""
    with corrals.get().lab("ports") as lab:
        lab.up(CLUSTER)
        for port in (8080, 8000):
            eventually(lambda port=port: lab.machine.lan.tcp(EXTERNAL, port) == LAN)
        yield lab


def published(lab: Lab, name: str) -> list[tuple[str, int, int]]:
    """(address, host port, container port), as `ps` says."""
    return sorted(
        (each["URL"], each["PublishedPort"], each["TargetPort"])
        for each in lab.ps()[name]["Publishers"]
        if each["PublishedPort"]
    )


def is_free(lab: Lab, port: int, address: str = "0.0.0.0", kind: int = socket.SOCK_STREAM) -> bool:
    """Whether somebody else could have the machine's port, however hard he tries."""
    with lab.machine.inside(), socket.socket(socket.AF_INET, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind((address, port))
        except OSError:
            return False
    return True


# -------------------------------------------------------------------------------------------------- who reaches them


@pytest.mark.key("services.ports")
def test_the_host_reaches_a_published_port_by_every_address_of_its_own(cluster: Lab) -> None:
    assert cluster.machine.tcp("127.0.0.1", 8080) == "10.77.1.1"
    assert cluster.machine.tcp(EXTERNAL, 8080) == EXTERNAL


def test_the_lan_reaches_it_and_the_clients_address_is_kept(cluster: Lab) -> None:
    assert cluster.machine.lan.tcp(EXTERNAL, 8080) == LAN
    assert cluster.machine.lan.tcp(EXTERNAL, 8000) == LAN


def test_other_containers_reach_it_and_their_address_is_kept_across_networks(cluster: Lab) -> None:
    assert cluster.place("far").tcp(EXTERNAL, 8080) == "10.77.2.10"
    assert cluster.place("far").tcp("10.77.2.1", 8080) == "10.77.2.10", "by its own gateway too"
    assert cluster.place("side").tcp(EXTERNAL, 8080) == "10.77.1.1", (
        "in the same network: the gateway's, so answers return"
    )


def test_a_container_reaches_its_own_published_port(cluster: Lab) -> None:
    assert cluster.place("web").tcp(EXTERNAL, 8080) == "10.77.1.1"


def test_a_port_bound_to_127_0_0_1_is_the_hosts_only(cluster: Lab) -> None:
    assert cluster.machine.tcp("127.0.0.1", 8081) == "10.77.1.1"
    assert cluster.machine.lan.tcp(EXTERNAL, 8081, timeout=1) == REFUSED
    assert cluster.machine.tcp(EXTERNAL, 8081, timeout=1) == REFUSED
    assert cluster.place("far").tcp("10.77.2.1", 8081, timeout=1) == REFUSED


@pytest.mark.key("services.ports.host_ip")
def test_a_port_bound_to_one_address_is_reached_by_that_one(cluster: Lab) -> None:
    assert cluster.machine.lan.tcp(EXTERNAL, 8082) == LAN
    assert cluster.machine.tcp("127.0.0.1", 8082, timeout=1) == REFUSED


@pytest.mark.key("services.ports.protocol")
def test_udp_is_published_too(cluster: Lab) -> None:
    web = cluster.place("web")
    web.serve(90, socket.SOCK_DGRAM)
    try:
        assert cluster.machine.lan.udp(EXTERNAL, 9090) == LAN
        assert cluster.machine.udp("127.0.0.1", 9090) == "10.77.1.1"
        assert cluster.place("far").udp(EXTERNAL, 9090) == "10.77.2.10"
    finally:
        web.close_sockets()


def test_a_range_is_published_port_by_port(cluster: Lab) -> None:
    far = cluster.place("far")
    far.serve(81, says="eighty-one")
    try:
        assert cluster.machine.lan.tcp(EXTERNAL, 8000) == LAN
        assert cluster.machine.lan.tcp(EXTERNAL, 8001) == "eighty-one"
    finally:
        far.close_sockets()


@pytest.mark.key("services.ports", "services.ports.target", "services.ports.published", "services.ports.mode")
def test_all_four_short_forms_and_the_long_one(cluster: Lab) -> None:
    found = published(cluster, "web-1")
    assert {("0.0.0.0", 8080, 80), ("127.0.0.1", 8081, 80), ("203.0.113.1", 8082, 80), ("0.0.0.0", 9090, 90)} < set(
        found
    )
    rest = [each for each in found if each[1] >= 49000]
    assert [(address, target) for address, _, target in rest] == [("0.0.0.0", 80), ("127.0.0.1", 80)]
    for address, port, _ in rest:
        assert 49000 <= port <= 49900
        assert cluster.machine.tcp("127.0.0.1", port) == "10.77.1.1", address
    assert ("0.0.0.0", 8002, 82) in published(cluster, "far-1")


# ---------------------------------------------------------------------------------------------------- the three attacks


def test_attack_straight_to_a_containers_address(cluster: Lab) -> None:
    lan = cluster.machine.lan
    lan.sh(f"ip route add 10.77.1.0/24 via {EXTERNAL}")
    try:
        assert lan.tcp("10.77.1.10", 80, timeout=1) == SILENCE
    finally:
        lan.sh(f"ip route del 10.77.1.0/24 via {EXTERNAL}")


def test_attack_on_the_hosts_127_0_0_1_from_the_lan(cluster: Lab) -> None:
    lan = cluster.machine.lan
    lan.sh(
        "sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.l0.route_localnet=1; ip addr del 127.0.0.1/8 dev lo;"
        f"ip route add 127.0.0.0/8 via {EXTERNAL} src {LAN}; ip rule add pref 0 from all lookup main"
    )
    cluster.machine.serve(9999, address="127.0.0.1")
    try:
        assert lan.tcp("127.0.0.1", 8081, timeout=1) == SILENCE
        assert lan.tcp("127.0.0.1", 9999, timeout=1) == SILENCE
        assert cluster.machine.tcp("127.0.0.1", 9999) == "127.0.0.1"
    finally:
        cluster.machine.close_sockets()
        lan.sh("ip rule del pref 0 lookup main; ip route del 127.0.0.0/8; ip addr add 127.0.0.1/8 dev lo")


def test_attack_on_the_hosts_127_0_0_1_from_a_container(cluster: Lab) -> None:
    """`route_localnet` of a bridge, which the published ports need, must not open the host's own services."""
    inside = cluster.place("side")
    bridge = json.loads(cluster.machine.sh("ip -j route get 10.77.1.11"))[0]["dev"]
    assert cluster.machine.sh(f"cat /proc/sys/net/ipv4/conf/{bridge}/route_localnet") == "1\n", "the danger is real"
    cluster.machine.serve(9999, address="127.0.0.1")
    inside.sh(
        "sysctl -qw net.ipv4.conf.all.route_localnet=1; ip addr del 127.0.0.1/8 dev lo;"
        "ip rule add pref 0 lookup main; ip route add 127.0.0.1/32 via 10.77.1.1"
    )
    try:
        assert inside.tcp("127.0.0.1", 9999, timeout=1) == SILENCE
    finally:
        cluster.machine.close_sockets()
        inside.sh("ip route del 127.0.0.1/32; ip rule del pref 0 lookup main; ip addr add 127.0.0.1/8 dev lo")


def test_what_is_not_published_is_not_reached_from_outside(cluster: Lab) -> None:
    far = cluster.place("far")
    far.serve(7777)
    try:
        assert cluster.machine.lan.tcp(EXTERNAL, 7777, timeout=1) == REFUSED
        assert cluster.place("web").tcp("10.77.2.10", 80, timeout=1) in (SILENCE, REFUSED), "published or not: isolated"
    finally:
        far.close_sockets()


def test_a_host_that_did_not_route_does_not_begin_to(cluster: Lab) -> None:
    """ip_forward is on because of us: that must not open the way between the host's other networks."""
    assert cluster.machine.sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n"
    beyond = machine.Machine()
    try:
        cluster.machine.sh(
            f"ip link add ext1 type veth peer name ext1b netns {beyond.pid}; ip addr add 198.51.100.1/24 dev ext1;"
            "ip link set ext1 up"
        )
        beyond.sh(
            "ip addr add 198.51.100.2/24 dev ext1b; ip link set ext1b up; ip route del default;"
            "ip link set ext0 down; ip route add default via 198.51.100.1"
        )
        beyond.serve(80)
        cluster.machine.lan.sh(f"ip route add 198.51.100.0/24 via {EXTERNAL}")
        assert cluster.machine.tcp("198.51.100.2", 80) == "198.51.100.1"
        assert cluster.machine.lan.tcp("198.51.100.2", 80, timeout=1) == SILENCE
    finally:
        cluster.machine.sh("ip link del ext1", check=False)
        cluster.machine.lan.sh("ip route del 198.51.100.0/24", check=False)
        beyond.close()


def test_no_process_of_ours_carries_the_packets(cluster: Lab) -> None:
    """The socket that holds the port never accepts: the connection is the container's own."""
    with cluster.machine.lan.inside(), socket.create_connection((EXTERNAL, 8080), timeout=3):
        inside = cluster.place("web").sh("ss -Htn state established '( sport = :80 )'")
        outside = cluster.machine.sh("ss -Htn state established '( sport = :8080 )'")
    assert LAN in inside
    assert outside == ""


# ------------------------------------------------------------------------------------------------------ whose they are


def test_the_hosts_port_is_held_so_that_nobody_else_takes_it_unnoticed(cluster: Lab) -> None:
    for address, port, kind in (
        ("0.0.0.0", 8080, socket.SOCK_STREAM),
        ("127.0.0.1", 8081, socket.SOCK_STREAM),
        ("0.0.0.0", 9090, socket.SOCK_DGRAM),
    ):
        assert not is_free(cluster, port, address, kind)
    assert is_free(cluster, 8079), "the judge can tell"


def test_a_port_is_held_while_the_daemon_is_dead_and_given_back_by_down(lab: Lab) -> None:
    lab.up(WEB.replace("{}", '"8090:80"'))
    lab.kill("corral daemon")
    assert not is_free(lab, 8090)
    eventually(lambda: lab.machine.lan.tcp(EXTERNAL, 8090) == LAN)  # and it works
    lab.corral("down", "-t", "0")
    assert is_free(lab, 8090)
    assert lab.machine.lan.tcp(EXTERNAL, 8090, timeout=1) == REFUSED


def test_a_stopped_container_gives_its_port_back(lab: Lab) -> None:
    lab.up(WEB.replace("{}", '"8090:80"'))
    lab.corral("stop", "-t", "0")
    with lab.machine.inside(), socket.create_server(("0.0.0.0", 8090)):
        pass
    lab.corral("start")
    eventually(lambda: lab.machine.lan.tcp(EXTERNAL, 8090) == LAN)


def test_a_port_that_somebody_else_has_is_refused_by_name_before_anything_is_touched(lab: Lab) -> None:
    lab.write(WEB.replace("{}", '"8090:80"'))
    lab.machine.serve(8090)
    try:
        said = lab.refusal("up", "-d")
        assert "8090" in said
        assert "pytest" in said or "python" in said, "who has it"
        assert "compose.yaml:6:" in said
        assert lab.ps() == {}
    finally:
        lab.machine.close_sockets()
    lab.up()


@pytest.mark.key("services.ports.published")
def test_a_chosen_port_is_chosen_once_and_shown_by_the_plan(lab: Lab) -> None:
    lab.write(WEB.replace("{}", '"80"'))
    plan = lab.corral("plan", code=2).stdout
    lab.up()
    port = published(lab, "web-1")[0][1]
    assert 49000 <= port <= 49900
    assert f"host port {port}/tcp" in plan, plan
    eventually(lambda: lab.machine.lan.tcp(EXTERNAL, port) == LAN)
    lab.up("", "--force-recreate", "-t", "0")
    assert published(lab, "web-1")[0][1] == port
    lab.kill("corral daemon")
    assert published(lab, "web-1")[0][1] == port
    lab.up(WEB.replace("{}", '"80"').replace("/www", "/www/"), "-t", "0")
    assert published(lab, "web-1")[0][1] == port, "an edit elsewhere does not move it"


def test_a_changed_port_is_changed_under_the_running_process(lab: Lab) -> None:
    lab.up(WEB.replace("{}", '"8090:80"'))
    pid = lab.pid("web")
    lab.up(WEB.replace("{}", '"8091:80"'))
    assert lab.pid("web") == pid
    assert lab.machine.lan.tcp(EXTERNAL, 8091) == LAN
    assert lab.machine.lan.tcp(EXTERNAL, 8090, timeout=1) == REFUSED
    assert is_free(lab, 8090)


def test_a_port_of_all_addresses_becomes_one_of_the_host_alone_and_back_under_the_running_process(lab: Lab) -> None:
    lab.up(WEB.replace("{}", '"8090:80"'))
    pid = lab.pid("web")
    lab.up(WEB.replace("{}", '"127.0.0.1:8090:80"'))
    assert lab.machine.tcp("127.0.0.1", 8090) == lab.address("web").rpartition(".")[0] + ".1"
    assert lab.machine.lan.tcp(EXTERNAL, 8090, timeout=1) == REFUSED
    assert not is_free(lab, 8090, "127.0.0.1")
    assert is_free(lab, 8090, EXTERNAL)
    lab.up(WEB.replace("{}", '"8090:80"'))
    assert lab.machine.lan.tcp(EXTERNAL, 8090) == LAN
    assert not is_free(lab, 8090, EXTERNAL)
    assert lab.pid("web") == pid


def test_swapped_ports_lead_to_the_other_one(lab: Lab) -> None:
    text = """
services:
  a: {image: IMAGE, init: true, command: sleep 1000, ports: ["8090:80"]}
  b: {image: IMAGE, init: true, command: sleep 1000, ports: ["8091:80"]}
"""
    lab.up(text)
    places = {name: lab.place(name) for name in ("a", "b")}
    for name, place in places.items():
        place.serve(80, says=name)
    try:
        assert lab.machine.lan.tcp(EXTERNAL, 8090) == "a"
        lab.up(text.replace("8090", "x").replace("8091", "8090").replace("x", "8091"))
        assert lab.machine.lan.tcp(EXTERNAL, 8090) == "b"
        assert lab.machine.lan.tcp(EXTERNAL, 8091) == "a"
    finally:
        for place in places.values():
            place.close_sockets()


def test_udp_flows_follow_a_map_that_changed(lab: Lab) -> None:
    """The kernel remembers where a flow went: that memory must go with the map."""
    text = """
services:
  a: {image: IMAGE, init: true, command: sleep 1000, ports: ["9091:90/udp"]}
  b: {image: IMAGE, init: true, command: sleep 1000}
"""
    lab.up(text)
    places = {name: lab.place(name) for name in ("a", "b")}
    for name, place in places.items():
        place.serve(90, socket.SOCK_DGRAM, says=name)
    try:
        with lab.machine.lan.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.settimeout(2)
            caller.connect((EXTERNAL, 9091))
            caller.send(b"?")
            assert caller.recv(9) == b"a"
            lab.up(
                """
services:
  a: {image: IMAGE, init: true, command: sleep 1000}
  b: {image: IMAGE, init: true, command: sleep 1000, ports: ["9091:90/udp"]}
"""
            )

            def of_b() -> bool:
                caller.send(b"?")
                return caller.recv(9) == b"b"

            eventually(of_b, 5)
    finally:
        for place in places.values():
            place.close_sockets()


def test_replicas_share_a_range(lab: Lab) -> None:
    text = "services: {web: {image: IMAGE, command: httpd -f -p 80 -h /www, ports: ['8090-8099:80'], scale: 3}}\n"
    lab.up(text)
    ports = [published(lab, f"web-{number}")[0][1] for number in (1, 2, 3)]
    assert len(set(ports)) == 3
    for port in ports:
        assert 8090 <= port <= 8099
        eventually(lambda port=port: lab.machine.lan.tcp(EXTERNAL, port) == LAN)


def test_published_ports_are_reached_under_a_forward_policy_of_drop(lab: Lab) -> None:
    """What Docker leaves on the host."""
    lab.machine.sh("iptables -P FORWARD DROP; iptables -P INPUT DROP")
    try:
        lab.up(WEB.replace("{}", '"8090:80"'))
        eventually(lambda: lab.machine.lan.tcp(EXTERNAL, 8090) == LAN)
    finally:
        lab.machine.sh("iptables -P FORWARD ACCEPT; iptables -P INPUT ACCEPT")


@pytest.mark.key("services.expose")
def test_expose_publishes_nothing(lab: Lab) -> None:
    lab.up("services: {web: {image: IMAGE, command: httpd -f -p 80 -h /www, expose: ['80']}}\n")
    assert is_free(lab, 80)
    assert published(lab, "web-1") == []


def test_udp_flows_that_began_before_the_port_was_published_find_it(lab: Lab) -> None:
    with lab.machine.lan.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.settimeout(1)
        caller.connect((EXTERNAL, 9092))
        caller.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            caller.recv(9)
        lab.up("services: {a: {image: IMAGE, init: true, command: sleep 1000, ports: ['9092:90/udp']}}\n")
        place = lab.place("a")
        place.serve(90, socket.SOCK_DGRAM, says="a")
        try:
            for _ in range(2):
                caller.send(b"?")
            assert caller.recv(9) == b"a"
        finally:
            place.close_sockets()


def test_a_port_left_to_us_is_none_that_somebody_has_bound_without_listening(lab: Lab) -> None:
    """As another corral does; no list of the kernel's shows such a socket."""
    text = "services: {a: {image: IMAGE, init: true, command: sleep 1000, ports: ['80']}}\n"
    lab.up(text)
    (chosen,) = (each["PublishedPort"] for each in lab.ps()["a-1"]["Publishers"])
    lab.corral("down", "-t", "0")
    lab.corral("daemon", "stop")  # the next one has not looked yet
    stranger = lab.machine.open(socket.SOCK_STREAM, ("0.0.0.0", chosen))
    try:
        lab.up(text)
        (another,) = (each["PublishedPort"] for each in lab.ps()["a-1"]["Publishers"])
        assert another != chosen
    finally:
        stranger.close()
