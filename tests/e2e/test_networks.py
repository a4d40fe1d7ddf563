"""Networks and names: who has which address, who is called what by whom, who reaches whom."""

import ipaddress
import json
from collections.abc import Iterator

import pytest

from tests.e2e import dns, machine
from tests.e2e.conftest import Corrals
from tests.e2e.lab import Lab, eventually
from tests.e2e.machine import EXTERNAL, LAN, REFUSED, SILENCE

PROJECT = "big_data"
CLUSTER = """
services:
  master:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: {lab: {ipv4_address: 10.77.1.10, aliases: [boss]}}
  client:
    image: host
    init: true
    command: sleep 1000
    links: ["master:spark"]
    networks: {lab: {ipv4_address: 10.77.1.11}, side: {}}
  data_node:
    image: IMAGE
    init: true
    command: sleep 1000
    networks: [lab]
    deploy: {replicas: 3}
  name_node:
    image: IMAGE
    init: true
    command: sleep 1000
    networks: [lab]
  named:
    image: IMAGE
    init: true
    command: sleep 1000
    hostname: Given
    domainname: example.org
    networks: [lab]
  lonely:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: [side]
  shut:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: {closed: {ipv4_address: 10.77.3.10}}
  shut2:
    image: IMAGE
    init: true
    command: sleep 1000
    networks: [closed]
networks:
  lab: {ipam: {config: [{subnet: 10.77.1.0/24, gateway: 10.77.1.254, ip_range: 10.77.1.128/25}]}}
  side: {ipam: {config: [{subnet: 10.77.2.0/24}]}}
  closed: {internal: true, ipam: {config: [{subnet: 10.77.3.0/24}]}}
"""
GATEWAY = "10.77.1.254"
ON_LAB = {
    "master-1": "master",
    "client-1": "client",
    "data_node-1": "data-node-1",
    "data_node-2": "data-node-2",
    "data_node-3": "data-node-3",
    "name_node-1": "name-node",
}
SLEEPER = """
    image: IMAGE
    init: true
    command: sleep 1000
"""


@pytest.fixture(scope="module")
def cluster(corrals: Corrals) -> Iterator[Lab]:
    """Brought up once for all tests that only look."""
    with corrals.get().lab(PROJECT) as lab:
        lab.up(CLUSTER)
        yield lab


def lookup(lab: Lab, service: str, name: str) -> str:
    """The address by which a program in the container would call `name`, or "": by getaddrinfo."""
    said = lab.exec(service, "ping", "-c1", "-W2", name, code=None)
    return said.partition("(")[2].partition(")")[0]


def addresses(lab: Lab, name: str) -> list[str]:
    """By the names of its interfaces."""
    found = sorted(json.loads(lab.place(name).sh("ip -j -4 addr")), key=lambda link: link["ifname"])
    return [info["local"] for link in found if link["ifname"] != "lo" for info in link["addr_info"]]


# ----------------------------------------------------------------------------------------------------------- addresses


@pytest.mark.key("services.networks.ipv4_address")
def test_a_static_address_is_what_the_kernel_has(cluster: Lab) -> None:
    found = json.loads(cluster.place("master").sh("ip -j -4 addr show dev eth0"))[0]["addr_info"]
    assert [(info["local"], info["prefixlen"]) for info in found] == [("10.77.1.10", 24)]
    assert addresses(cluster, "client-1") == ["10.77.1.11", cluster.ps()["client-1"]["Addresses"]["side"]]


@pytest.mark.key("networks.ipam", "networks.ipam.config.gateway", "networks.ipam.config.subnet")
def test_the_gateway_is_the_bridge_and_the_way_out(cluster: Lab) -> None:
    routes = json.loads(cluster.place("master").sh("ip -j route show default"))
    assert [route["gateway"] for route in routes] == [GATEWAY]
    bridges = [
        link["ifname"]
        for link in json.loads(cluster.machine.sh("ip -j addr show type bridge"))
        if GATEWAY in [info["local"] for info in link["addr_info"]]
    ]
    assert len(bridges) == 1


@pytest.mark.key("networks.ipam.config.ip_range")
def test_dynamic_addresses_come_from_the_ip_range_and_are_nobody_elses(cluster: Lab) -> None:
    found = [cluster.address(name) for name in ON_LAB]
    found.append(cluster.address("named-1"))
    assert len(set(found)) == len(found)
    for address in found[2:]:
        assert ipaddress.ip_address(address) in ipaddress.ip_network("10.77.1.128/25")
        assert address != GATEWAY


@pytest.mark.key("services.networks", "networks")
def test_a_node_that_is_in_two_networks_has_a_cable_in_each(cluster: Lab) -> None:
    links = json.loads(cluster.place("client").sh("ip -j link"))
    assert {link["ifname"] for link in links} == {"lo", "eth0", "eth1"}
    assert cluster.place("client").tcp(cluster.address("lonely"), 80).startswith("10.77.2.")
    assert cluster.place("client").tcp("10.77.1.10", 80) == "10.77.1.11"


def test_there_is_no_ipv6_in_containers_and_on_bridges(cluster: Lab) -> None:
    inside = machine.read(f"/proc/{cluster.pid('client')}/net/if_inet6")
    assert inside == ""
    place = cluster.place("client")
    assert (
        place.sh("cat /proc/sys/net/ipv6/conf/all/disable_ipv6 /proc/sys/net/ipv6/conf/eth0/disable_ipv6") == "1\n1\n"
    )
    bridges = json.loads(cluster.machine.sh("ip -j addr show type bridge"))
    assert len(bridges) == 3
    cables = json.loads(cluster.machine.sh("ip -j addr show type veth"))
    for link in [*bridges, *(link for link in cables if link["ifname"] != "ext0")]:
        assert [info for info in link["addr_info"] if info["family"] == "inet6"] == []


def test_dynamic_addresses_are_sticky(lab: Lab) -> None:
    text = f"services:\n  a: {{deploy: {{replicas: 3}}, {SLEEPER.strip().replace(chr(10), ',')}}}\n"
    lab.up(text)
    before = {name: lab.address(name) for name in ("a-1", "a-2", "a-3")}
    pids = lab.pids()
    lab.up("", "--force-recreate", "-t", "0")
    assert {name: lab.address(name) for name in before} == before
    assert set(lab.pids().values()).isdisjoint(pids.values())
    lab.up("", "--scale", "a=1", "-t", "0")
    lab.up("", "--scale", "a=3")
    assert {name: lab.address(name) for name in before} == before


def test_a_free_subnet_is_chosen_always_the_same_and_not_one_that_the_host_routes(lab: Lab) -> None:
    lab.up(f"services:\n  a:{SLEEPER}")
    first = ipaddress.ip_interface(lab.address("a") + "/24").network
    lab.corral("down", "-t", "0")
    lab.up()
    assert ipaddress.ip_interface(lab.address("a") + "/24").network == first, "deterministic"
    lab.corral("down", "-t", "0")
    lab.machine.sh(f"ip route add {first} via {LAN}")
    try:
        lab.up()
        assert ipaddress.ip_address(lab.address("a")) not in first
        lab.corral("down", "-t", "0")
    finally:
        lab.machine.sh(f"ip route del {first}")


def test_a_changed_address_is_changed_under_the_running_process(lab: Lab) -> None:
    text = """
services:
  a: {image: IMAGE, init: true, command: sleep 1000, networks: {lab: {ipv4_address: 10.77.9.10}}}
  b: {image: IMAGE, init: true, command: sleep 1000, networks: {lab: {ipv4_address: 10.77.9.11}}}
networks: {lab: {ipam: {config: [{subnet: 10.77.9.0/24}]}}}
"""
    lab.up(text)
    pid = lab.pid("a")
    lab.up(text.replace("10.77.9.10", "10.77.9.20"))
    assert lab.pid("a") == pid
    assert lab.address("a") == "10.77.9.20"
    assert lookup(lab, "b", "a") == "10.77.9.20"
    lab.up(text.replace("10.77.9.10", "10.77.9.99").replace("10.77.9.11", "10.77.9.20").replace("9.99", "9.11"))
    assert (lab.address("a"), lab.address("b")) == ("10.77.9.11", "10.77.9.20"), "swapped"
    assert lab.pid("a") == pid


# --------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ON_LAB)
def test_names_agree_forward_and_backward_with_what_the_node_calls_itself(cluster: Lab, name: str) -> None:
    hostname = ON_LAB[name]
    service, _, number = name.rpartition("-")
    at = () if number == "1" else ("--index", number)
    fqdn = cluster.corral("exec", "-T", *at, service, "hostname", "-f").stdout.strip()
    assert fqdn == f"{hostname}.big-data"
    asker = cluster.place("named")
    address = cluster.address(name)
    assert dns.reverse(asker, address, server=GATEWAY) == (fqdn,)
    for each in (fqdn, hostname):
        assert dns.ask(asker, each, server=GATEWAY).records == (address,)


def test_programs_find_services_by_the_systems_resolver(cluster: Lab) -> None:
    for name in ("master", "master.big-data", "MASTER"):
        assert lookup(cluster, "name_node", name) == "10.77.1.10"
        assert cluster.exec("client", "getent", "hosts", name).split()[0] == "10.77.1.10"
    assert cluster.exec("client", "getent", "hosts", "10.77.1.10").split()[1] == "master.big-data"


def test_a_name_with_an_underscore_still_resolves(cluster: Lab) -> None:
    one = cluster.address("name_node")
    for name in ("name_node", "name-node", "name_node.big_data", "name-node.big_data", "name_node.big-data"):
        assert dns.ask(cluster.place("master"), name, server=GATEWAY).records == (one,), name
    second = cluster.address("data_node-2")
    for name in ("data_node-2", "data-node-2", "data-node-2.big-data", "data_node-2.big_data"):
        assert dns.ask(cluster.place("master"), name, server=GATEWAY).records == (second,), name


@pytest.mark.key("services.hostname", "services.domainname")
def test_a_hostname_given_is_kept(cluster: Lab) -> None:
    assert cluster.exec("named", "hostname").strip() == "Given"
    assert cluster.exec("named", "hostname", "-f").strip() == "Given.example.org"
    address = cluster.address("named")
    assert dns.reverse(cluster.place("master"), address, server=GATEWAY) == ("Given.example.org",)
    for name in ("given", "GIVEN.example.org", "named", "named.big-data"):
        assert dns.ask(cluster.place("master"), name, server=GATEWAY).records == (address,), name


@pytest.mark.key("services.networks.aliases", "services.container_name")
def test_an_alias_and_a_container_name_resolve(cluster: Lab) -> None:
    for name in ("boss", "big_data-master-1"):
        assert lookup(cluster, "name_node", name) == "10.77.1.10"


@pytest.mark.key("services.links")
def test_a_link_is_seen_only_by_who_has_it(cluster: Lab) -> None:
    assert cluster.exec("client", "getent", "hosts", "spark").split()[0] == "10.77.1.10"
    assert dns.ask(cluster.place("client"), "spark", server=GATEWAY).records == ("10.77.1.10",)
    for other in ("master", "name_node"):
        assert dns.ask(cluster.place(other), "spark.big-data", server=GATEWAY).code == dns.NXDOMAIN
        assert dns.ask(cluster.place(other), "spark", server=GATEWAY).records == ()


@pytest.mark.key("services.deploy.replicas")
def test_replicas_are_answered_in_turn(cluster: Lab) -> None:
    all_of_them = {cluster.address(f"data_node-{number}") for number in (1, 2, 3)}
    answers = [dns.ask(cluster.place("master"), "data_node", server=GATEWAY) for _ in range(6)]
    for answer in answers:
        assert set(answer.records) == all_of_them
    assert {answer.records[0] for answer in answers} == all_of_them


def test_answers_live_five_seconds_at_most(cluster: Lab) -> None:
    for name, kind in (("master", dns.A), ("10.1.77.10.in-addr.arpa", dns.PTR)):
        answer = dns.ask(cluster.place("client"), name, kind, server=GATEWAY)
        assert all(ttl <= 5 for ttl in answer.ttls)
    assert dns.ask(cluster.place("client"), "master", server=GATEWAY).ttls


def test_names_are_answered_by_tcp_too(cluster: Lab) -> None:
    assert dns.ask(cluster.place("client"), "master", server=GATEWAY, tcp=True).records == ("10.77.1.10",)


def test_a_known_name_has_no_other_records_and_nobody_outside_is_asked_for_them(cluster: Lab) -> None:
    seen: list[str] = []
    cluster.machine.lan.answer_udp(53, dns.answering({}, seen), LAN)
    try:
        answer = dns.ask(cluster.place("client"), "master", dns.AAAA, server=GATEWAY)
        assert (answer.code, answer.records) == (dns.NOERROR, ())
        assert dns.ask(cluster.place("client"), "nobody.big-data", server=GATEWAY).code == dns.NXDOMAIN
        assert seen == []
    finally:
        cluster.machine.lan.close_sockets()


def test_unknown_names_are_asked_of_the_hosts_resolver(cluster: Lab) -> None:
    seen: list[str] = []
    cluster.machine.lan.answer_udp(53, dns.answering({"www.example.com": "198.51.100.7"}, seen), LAN)
    try:
        assert cluster.exec("client", "getent", "ahostsv4", "www.example.com").split()[0] == "198.51.100.7"
        assert dns.ask(cluster.place("client"), "no.example.com", server=GATEWAY).code == dns.NXDOMAIN
        assert "www.example.com" in seen
    finally:
        cluster.machine.lan.close_sockets()


def test_etc_hosts_agrees_with_the_names(cluster: Lab) -> None:
    for name, hostname in ON_LAB.items():
        lines = machine.read(f"/proc/{cluster.pid(name)}/root/etc/hosts").splitlines()
        entries = {line.split()[0]: line.split()[1:] for line in lines if line and not line.startswith("#")}
        assert entries["127.0.0.1"][0] == "localhost"
        assert entries[cluster.address(name)] == [f"{hostname}.big-data", hostname]
        assert machine.read(f"/proc/{cluster.pid(name)}/root/etc/hostname").strip() == hostname


def test_names_are_published_before_the_first_process_starts(lab: Lab) -> None:
    lab.up(
        """
services:
  first:
    image: host
    command: [sh, -c, "a=$$(hostname -i); getent hosts $$(hostname -f); getent hosts $$a; getent hosts first"]
  then:
    image: host
    command: [sh, -c, "getent hosts third; getent hosts $$(getent hosts third | cut -d' ' -f1)"]
    depends_on: [third]
  third: {image: host, init: true, command: sleep 1000}
"""
    )
    eventually(lambda: lab.states() == {"first-1": "exited", "then-1": "exited", "third-1": "running"})
    first = lab.out("logs", "--no-log-prefix", "first").split()
    assert first[1] == f"first.{lab.project}"
    assert len(first) == 9 or len(first) == 6
    then = lab.out("logs", "--no-log-prefix", "then").split()
    assert then == [lab.address("third"), "third", lab.address("third"), f"third.{lab.project}"]


@pytest.mark.key("services.extra_hosts", "services.dns", "services.dns_search", "services.dns_opt")
def test_extra_hosts_and_dns_settings_are_in_force(lab: Lab) -> None:
    seen: list[str] = []
    lab.machine.lan.answer_udp(53, dns.answering({"here.corp.example": "198.51.100.9"}, seen), LAN)
    try:
        lab.up(
            f"""
services:
  a:
    image: host
    init: true
    command: sleep 1000
    extra_hosts: ["printer:198.51.100.3", "scanner=198.51.100.4"]
    dns: [{LAN}]
    dns_search: [corp.example]
    dns_opt: ["timeout:3"]
"""
        )
        assert lab.exec("a", "getent", "hosts", "printer", "scanner").split()[::2] == ["198.51.100.3", "198.51.100.4"]
        text = lab.exec("a", "cat", "/etc/resolv.conf").splitlines()
        assert "search corp.example" in text
        assert "timeout:3" in next(line for line in text if line.startswith("options"))
        assert lab.exec("a", "getent", "ahostsv4", "here").split()[0] == "198.51.100.9"
    finally:
        lab.machine.lan.close_sockets()


@pytest.mark.key("services.extra_hosts")
def test_host_gateway_is_the_machine(lab: Lab) -> None:
    lab.up(
        """
services:
  a: {image: host, init: true, command: sleep 1000, extra_hosts: ["machine:host-gateway"]}
"""
    )
    [line] = [line for line in lab.exec("a", "cat", "/etc/hosts").splitlines() if line.endswith("\tmachine")]
    bridges = json.loads(lab.machine.sh("ip -j -4 addr show type bridge"))
    assert line.split()[0] in [each["local"] for bridge in bridges for each in bridge.get("addr_info", ())]
    assert lab.place("a").sh("ip route show default").split()[2] == line.split()[0]


def test_a_renamed_host_is_renamed_under_the_running_process(lab: Lab) -> None:
    lab.up(f"services:\n  a:{SLEEPER}  b:{SLEEPER}")
    pid = lab.pid("a")
    lab.up(f"services:\n  a:{SLEEPER}    hostname: other\n  b:{SLEEPER}")
    assert lab.pid("a") == pid
    assert lab.exec("a", "hostname", "-f").strip() == f"other.{lab.project}"
    assert lookup(lab, "b", "other") == lab.address("a")


# ------------------------------------------------------------------------------------------------- the dns process lives


def test_names_are_answered_while_the_daemon_is_dead(cluster: Lab) -> None:
    place = cluster.place("client")
    name_node = cluster.address("name_node")
    cluster.kill("corral daemon")
    for _ in range(3):
        assert dns.ask(place, "name_node", server=GATEWAY).records == (name_node,)
    assert dns.reverse(place, "10.77.1.10", server=GATEWAY) == ("master.big-data",)


def test_a_killed_dns_process_comes_back_by_itself_and_no_question_is_refused(cluster: Lab) -> None:
    place = cluster.place("client")
    cluster.corral("ps")  # whatever happened before, now there is a daemon
    for tcp in (False, True):
        killed = cluster.kill("corral dns")
        assert dns.ask(place, "master", server=GATEWAY, tcp=tcp).records == ("10.77.1.10",)
        assert cluster.process("corral dns") != killed


def test_names_are_answered_under_an_input_policy_of_drop(lab: Lab) -> None:
    lab.machine.sh("iptables -P INPUT DROP")
    try:
        lab.up(f"services:\n  a:{SLEEPER}  b:{SLEEPER}")
        assert lookup(lab, "a", "b") == lab.address("b")
        server = lab.exec("a", "cat", "/etc/resolv.conf").split()[1]
        assert dns.ask(lab.place("a"), "b", server=server, tcp=True).records == (lab.address("b"),)
    finally:
        lab.machine.sh("iptables -P INPUT ACCEPT")


def test_names_are_answered_beside_a_resolver_on_all_addresses_of_the_host(lab: Lab) -> None:
    lab.machine.answer_udp(53, dns.answering({"mine.example": "198.51.100.1"}))
    lab.machine.serve(53)
    try:
        lab.up(f"services:\n  a:{SLEEPER}  b:{SLEEPER}")
        server = lab.exec("a", "cat", "/etc/resolv.conf").split()[1]
        assert lookup(lab, "a", "b") == lab.address("b")
        assert dns.ask(lab.place("a"), "b", server=server, tcp=True).records == (lab.address("b"),)
        host = dns.ask(lab.machine, "mine.example", server="127.0.0.1")
        assert host.records == ("198.51.100.1",), "and the host's own resolver still answers the host"
    finally:
        lab.machine.close_sockets()


def test_a_resolver_on_all_addresses_of_the_host_can_be_started_later(lab: Lab) -> None:
    lab.up(f"services:\n  a:{SLEEPER}  b:{SLEEPER}")
    try:
        lab.machine.answer_udp(53, dns.answering({}))
        lab.machine.serve(53)
        assert lookup(lab, "a", "b") == lab.address("b")
    finally:
        lab.machine.close_sockets()


def test_names_are_answered_beside_a_dns_server_in_a_container(lab: Lab) -> None:
    lab.up(f"services:\n  server:{SLEEPER}  a:{SLEEPER}")
    place = lab.place("server")
    place.answer_udp(53, dns.answering({"inside.example": "198.51.100.5"}))
    try:
        asked = dns.ask(lab.place("a"), "inside.example", server=lab.address("server"))
        assert asked.records == ("198.51.100.5",), "others reach it"
        assert dns.ask(place, "inside.example", server="127.0.0.1").records == ("198.51.100.5",), "so does it itself"
        assert lookup(lab, "server", "a") == lab.address("a"), "and names are found there as everywhere"
    finally:
        place.close_sockets()


# ----------------------------------------------------------------------------------------------------------- isolation


def test_networks_are_isolated_from_each_other(cluster: Lab) -> None:
    lonely, master = cluster.place("lonely"), cluster.place("master")
    assert lonely.tcp("10.77.1.10", 80, timeout=1) in (SILENCE, REFUSED)
    assert master.tcp(cluster.address("lonely"), 80, timeout=1) in (SILENCE, REFUSED)
    gateway = "10.77.2.1"
    assert dns.ask(lonely, "client", server=gateway).records == (addresses(cluster, "client-1")[1],)
    assert dns.ask(lonely, "master.big-data", server=gateway).code == dns.NXDOMAIN
    assert dns.reverse(lonely, "10.77.1.10", server=gateway) == ()


def test_projects_are_isolated_from_each_other(cluster: Lab, lab: Lab) -> None:
    lab.machine.lan.answer_udp(53, dns.answering({}), LAN)
    lab.up(f"services:\n  master:{SLEEPER}  other:{SLEEPER}")
    stranger = lab.place("other")
    assert lookup(lab, "other", "master") == lab.address("master"), "its own"
    for address in ("10.77.1.10", cluster.address("lonely")):
        assert stranger.tcp(address, 80, timeout=1) in (SILENCE, REFUSED)
    server = lab.exec("other", "cat", "/etc/resolv.conf").split()[1]
    for name in ("master.big-data", "lonely", "boss", "spark"):
        assert dns.ask(stranger, name, server=server).records == (), name
    assert dns.reverse(stranger, "10.77.1.10", server=server) == ()
    try:
        asked = dns.ask(stranger, "master", server=GATEWAY, timeout=1)
    except OSError:
        pass
    else:
        assert asked.records == (), "nor by asking the other network's gateway"
    lab.machine.lan.close_sockets()


@pytest.mark.key("networks.internal")
def test_an_internal_network_reaches_nothing_outside_and_asks_nobody_outside(cluster: Lab) -> None:
    seen: list[str] = []
    cluster.machine.lan.serve(80)
    cluster.machine.lan.answer_udp(53, dns.answering({"www.example.com": "198.51.100.7"}, seen), LAN)
    try:
        inside = cluster.place("shut2")
        assert inside.tcp("10.77.3.10", 80) == cluster.address("shut2"), "members reach each other"
        assert inside.tcp(LAN, 80, timeout=1) != EXTERNAL
        assert inside.tcp(LAN, 80, timeout=1) in (SILENCE, REFUSED, "OSError")
        assert inside.tcp("10.77.1.10", 80, timeout=1) in (SILENCE, REFUSED, "OSError")
        assert dns.ask(inside, "www.example.com", server="10.77.3.1").code == dns.NXDOMAIN
        assert "www.example.com" not in seen
        assert cluster.place("master").tcp(LAN, 80) == EXTERNAL, "another network does, masqueraded"
    finally:
        cluster.machine.lan.close_sockets()


@pytest.mark.key("networks.external")
def test_an_external_network_is_one_that_another_project_made(lab: Lab, cluster: Lab) -> None:
    lab.up(
        """
services:
  guest:
    image: IMAGE
    init: true
    command: sleep 1000
    networks: {their: {ipv4_address: 10.77.1.20}}
networks:
  their: {external: true, name: big_data_lab}
"""
    )
    assert lab.address("guest") == "10.77.1.20"
    assert lab.place("guest").tcp("10.77.1.10", 80) == "10.77.1.20"
    assert lookup(lab, "guest", "master") == "10.77.1.10"
    assert lookup(cluster, "name_node", "guest") == "10.77.1.20"
    assert dns.reverse(cluster.place("master"), "10.77.1.20", server=GATEWAY) == (f"guest.{lab.project}",)
    lab.corral("down", "-t", "0")
    assert "10.77.1.254" in cluster.machine.sh("ip addr"), "down leaves it to its owner"


def test_an_external_network_that_nobody_made_is_a_clear_error(lab: Lab) -> None:
    lab.write(f"services:\n  a:{SLEEPER}    networks: [x]\nnetworks: {{x: {{external: true, name: nobodys}}}}\n")
    said = lab.refusal("up", "-d")
    assert "nobodys" in said
    assert "compose.yaml:" in said
    assert lab.ps() == {}


@pytest.mark.key("services.network_mode")
def test_network_modes_none_and_host(lab: Lab) -> None:
    before = lab.machine.snapshot()["links"]
    lab.up(f"services:\n  n:{SLEEPER}    network_mode: none\n  h:{SLEEPER}    network_mode: host\n")
    assert lab.machine.snapshot()["links"] == before, "no bridge, no cable"
    assert {link["ifname"] for link in json.loads(lab.place("n").sh("ip -j link"))} == {"lo"}
    assert lab.exec("n", "ping", "-c1", "-W1", "127.0.0.1")
    assert machine.namespace(lab.pid("h"), "net") == machine.namespace(lab.machine.pid, "net")
    assert machine.namespace(lab.pid("h"), "uts") != machine.namespace(lab.machine.pid, "uts")


@pytest.mark.key("services.network_mode")
def test_network_mode_bridge_is_the_projects_default_network(lab: Lab) -> None:
    lab.up(f"services:\n  a:{SLEEPER}    network_mode: bridge\n  b:{SLEEPER}")
    assert lookup(lab, "a", "b") == lab.address("b")


@pytest.mark.key("networks.name")
def test_a_network_may_be_named(lab: Lab) -> None:
    lab.up(f"services:\n  a:{SLEEPER}networks: {{default: {{name: a-name-of-its-own}}}}\n")
    lab.write(
        f"name: guest\nservices:\n  b:{SLEEPER}networks: {{default: {{external: true, name: a-name-of-its-own}}}}\n",
        "guest.yaml",
    )
    lab.corral("-f", "guest.yaml", "-p", "guest", "up", "-d")
    try:
        assert lookup(lab, "a", "b") != ""
    finally:
        lab.corral("-f", "guest.yaml", "-p", "guest", "down", "-t", "0")


def test_what_the_host_offers_to_itself_only_no_container_reaches(cluster: Lab) -> None:
    cluster.machine.serve(8765, address="127.0.0.1")
    try:
        assert cluster.place("master").tcp(GATEWAY, 8765, timeout=1) == REFUSED
    finally:
        cluster.machine.close_sockets()
