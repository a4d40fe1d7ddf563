"""The names of a project on the machine itself: asked of corral's dns directly, and for its programs after `corral hosts on`.

The machine's /etc/hosts is never touched: in the mount namespace of the test's machine another one hides it.
"""

import json
from collections.abc import Iterator

import pytest

from tests.e2e import dns, machine
from tests.e2e.lab import Lab, eventually
from tests.e2e.test_pages import opened

CLUSTER = """
services:
  namenode:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: [default, back]
    x-corral: {pages: {NameNode: 80/index.html}}
  worker:
    image: IMAGE
    init: true
    command: httpd -f -p 80 -h /www
    scale: 2
    ports: ["80"]
    x-corral: {pages: {DataNode: 80}}
  deep:
    image: IMAGE
    init: true
    command: sleep 1000
    hostname: deep.corp.example
    networks: {back: {}}
networks:
  back: {internal: true}
"""
USERS = "127.0.0.1\tlocalhost\n192.168.9.9 printer.lan  # upstairs\n"
IN_PLACE = "cp /etc/hosts {top}/hosts; mount --bind {top}/hosts /etc/hosts"
REPLACED = (
    "mkdir {top}/up {top}/work; mount -t overlay overlay -o lowerdir=/etc,upperdir={top}/up,workdir={top}/work /etc;"
    "mount --bind /run/resolv.conf /etc/resolv.conf"
)


class Hosts:
    """The hosts file of the test's machine."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def sh(self, command: str, *, check: bool = True, stdin: str = "") -> str:
        """A command of the machine, which sees its files."""
        enter = ("nsenter", "-t", str(self._lab.machine.pid), "-n", "-m", "sh", "-c")
        return machine.run(*enter, command, check=check, stdin=stdin)

    @property
    def text(self) -> str:
        return self.sh("cat /etc/hosts")

    @text.setter
    def text(self, said: str) -> None:
        self.sh("cat > /etc/hosts", stdin=said)

    def block(self, project: str = "") -> list[str]:
        """The lines between the marks; none where there is none."""
        project, instance, lines = project or self._lab.project, self._lab.owner.instance, self.text.splitlines()
        begin, end = (f"# corral {project} {word} {instance}" for word in ("begin", "end"))
        return lines[lines.index(begin) + 1 : lines.index(end)] if begin in lines else []

    def address(self, name: str) -> set[str]:
        """As programs of the machine find it."""
        return {line.split()[0] for line in self.sh(f"getent ahostsv4 {name}", check=False).splitlines()}

    def name(self, address: str) -> str:
        found = self.sh(f"getent hosts {address}", check=False).split()
        return found[1] if found else ""


@pytest.fixture(params=[IN_PLACE, REPLACED], ids=["mounted", "plain"])
def hosts(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Hosts]:
    """One that is mounted, and can only be written in place; and one that can be replaced."""
    found = Hosts(lab)
    found.sh(f"mkdir -p /run/etc && mount -t tmpfs tmpfs /run/etc && {request.param.format(top='/run/etc')}")
    try:
        found.text = USERS
        lab.up(CLUSTER)
        yield found
        lab.end()
        assert found.text == USERS, "nothing is left of us, and all of what users wrote"
        assert ".hosts" not in found.sh("ls -A /etc")
    finally:
        mounted = "/etc/hosts" if request.param == IN_PLACE else "/etc/resolv.conf /etc"
        found.sh(f"for each in {mounted} /run/etc; do umount $each; done; rmdir /run/etc")


def test_nothing_is_named_without_being_asked(hosts: Hosts, lab: Lab) -> None:
    assert hosts.text == USERS
    out = lab.corral("hosts")
    assert "does not have the names" in out.stderr
    assert f"{lab.address('namenode')} namenode.{lab.project}" in out.stdout
    assert hosts.text == USERS


def test_its_programs_find_every_container_both_ways_and_pages_open_by_name(hosts: Hosts, lab: Lab) -> None:
    assert "in /etc/hosts" in lab.corral("hosts", "on").stderr
    for name in ("namenode", "worker-1", "worker-2"):
        assert lab.address(name) in hosts.address(f"{name}.{lab.project}")
        assert hosts.name(lab.address(name)) == f"{name}.{lab.project}"
    assert hosts.address("deep.corp.example") == {lab.address("deep")}
    assert hosts.address(f"worker.{lab.project}") == {lab.address("worker-1"), lab.address("worker-2")}
    assert hosts.address("namenode") == set(), "short names may be anybody's"
    rows = [json.loads(line) for line in lab.out("urls", "--format", "json").splitlines()]
    assert [row["URL"] for row in rows] == [
        f"http://namenode.{lab.project}:80/index.html",
        f"http://worker-1.{lab.project}:80/",
        f"http://worker-2.{lab.project}:80/",
    ]
    for row in rows:
        assert "hello" in opened(lab, row["URL"])
    assert hosts.text.startswith(USERS)
    lab.corral("hosts", "off")
    assert hosts.text == USERS
    assert "localhost:49" in lab.out("urls", "worker")


def test_they_come_and_go_with_the_containers(hosts: Hosts, lab: Lab) -> None:
    lab.corral("hosts", "on")
    lab.corral("up", "-d", "--scale", "worker=3")
    assert lab.address("worker-3") in hosts.address(f"worker-3.{lab.project}")
    lab.corral("up", "-d", "--scale", "worker=1")
    assert hosts.address(f"worker-3.{lab.project}") == set()
    assert hosts.address(f"worker.{lab.project}") == {lab.address("worker-1")}
    lab.corral("down")
    assert hosts.text == USERS
    lab.corral("up", "-d")
    assert hosts.text == USERS, "the wish was the project's, and went with it"


def test_what_others_do_to_the_file_is_kept_and_our_block_is_put_right(hosts: Hosts, lab: Lab) -> None:
    lab.corral("hosts", "on")
    whole = hosts.block()
    assert len(whole) == 5
    hosts.text = "10.1.1.1 new.lan\n" + USERS
    eventually(lambda: hosts.block() == whole)
    assert hosts.text.startswith("10.1.1.1 new.lan\n" + USERS)
    spoilt = hosts.text.replace(whole[1] + "\n", "6.6.6.6 evil.lan\n").replace("# corral", "# corral", 1)
    hosts.text = spoilt + "10.1.1.2 below.lan\n"
    eventually(lambda: hosts.block() == whole)
    assert "evil" not in hosts.text
    assert hosts.text.endswith("10.1.1.2 below.lan\n")
    hosts.text = USERS


@pytest.mark.parametrize("spoil", ["away", "stale"])
def test_a_daemon_that_is_killed_leaves_nothing_for_long(hosts: Hosts, lab: Lab, spoil: str) -> None:
    lab.corral("hosts", "on")
    whole = hosts.block()
    lab.kill("corral daemon")
    assert hosts.block() == whole, "names outlive the daemon, as containers do"
    ours = f"# corral %s begin {lab.owner.instance}\n10.9.9.9\tx.%s\n# corral %s end {lab.owner.instance}\n"
    hosts.text = USERS if spoil == "away" else USERS + ours.replace("%s", "gone") + ours.replace("%s", lab.project)
    lab.corral("daemon", "start")
    eventually(lambda: hosts.block() == whole)
    assert hosts.block("gone") == []
    assert hosts.text.count("# corral") == 2


def test_a_project_that_nobody_can_read_keeps_its_names_until_it_is_back(hosts: Hosts, lab: Lab) -> None:
    lab.corral("hosts", "on")
    whole = hosts.block()
    lab.kill("corral daemon")
    record = lab.owner.root / "projects" / f"{lab.project}.json"
    text = record.read_text()
    record.write_text("{")
    lab.corral("daemon", "start")
    assert hosts.block() == whole
    record.write_text(text)
    eventually(lambda: lab.corral("hosts", code=None).returncode == 0)
    lab.corral("hosts", "off")
    assert hosts.block() == []


# ------------------------------------------------------------------------------------------------------- asked directly


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_our_dns_answers_the_machine_itself_both_ways(lab: Lab, tcp: bool) -> None:
    lab.up(CLUSTER)
    gateways = {lab.address("worker-1").rpartition(".")[0] + ".1", lab.address("deep").rpartition(".")[0] + ".1"}
    assert len(gateways) == 2
    for gateway in gateways:
        for name in ("worker-1", "worker-2", "deep"):
            called = {"deep": "deep.corp.example"}.get(name, f"{name}.{lab.project}")
            assert dns.ask(lab.machine, called, server=gateway, tcp=tcp).records == (lab.address(name),)
            assert dns.reverse(lab.machine, lab.address(name), server=gateway) == (called,)
        assert dns.ask(lab.machine, f"nobody.{lab.project}", server=gateway, tcp=tcp).code == dns.NXDOMAIN
        assert dns.ask(lab.machine, "example.org", server=gateway, tcp=tcp).code == dns.REFUSED


# ----------------------------------------------------------------------------------------------------- systemd-resolved


RESOLVECTL = """#!/bin/sh
echo "$@" >> /run/told
link=/run/systemd/resolve/netif/$(ip -o link show $2 | cut -d: -f1)
case $1 in
  dns) shift 2; echo "SERVERS=$*" > $link;;
  domain) shift 2; echo "DOMAINS=$*" >> $link;;
  revert) rm -f $link;;
esac
"""


@pytest.fixture
def resolved(lab: Lab) -> Iterator[Hosts]:
    """A machine whose programs ask something that is told like systemd-resolved, by a `resolvectl` that notes what it is told."""
    found = Hosts(lab)
    found.sh("mkdir -p /run/systemd/resolve/netif /run/fake; touch /run/systemd/resolve/stub-resolv.conf /run/told")
    found.sh("cat > /run/fake/resolvectl; chmod 755 /run/fake/resolvectl", stdin=RESOLVECTL)
    found.sh("cp /etc/hosts /run/fake/hosts; mount --bind /run/fake/hosts /etc/hosts")
    before = found.sh("cat /etc/resolv.conf")
    found.sh("cat > /etc/resolv.conf", stdin="nameserver 127.0.0.53\n")
    path = lab.environment["PATH"]
    lab.corral("daemon", "stop")
    lab.environment["PATH"] = f"/run/fake:{path}"
    lab.corral("daemon", "start")
    try:
        yield found
        lab.end()
    finally:
        lab.corral("daemon", "stop")
        lab.environment["PATH"] = path
        found.sh("cat > /etc/resolv.conf", stdin=before)
        found.sh("umount /etc/hosts; rm -rf /run/systemd /run/fake /run/told")
        lab.corral("daemon", "start")


def test_where_resolved_is_asked_it_is_told_of_the_bridges_and_no_file_is_touched(resolved: Hosts, lab: Lab) -> None:
    before = resolved.text
    lab.up(CLUSTER)
    assert resolved.sh("cat /run/told") == ""
    said = lab.corral("hosts", "on").stderr
    port = (lab.run_folder / "dns.port").read_text()
    gateway = lab.address("worker-1").rpartition(".")[0] + ".1"
    assert "systemd-resolved asks" in said
    assert f" {gateway}:{port}" in said
    told = resolved.sh("cat /run/told").splitlines()
    bridges = {line.split()[1] for line in told}
    assert len(bridges) == 2
    assert all(line in lab.machine.sh("ip -br link") for line in bridges)
    assert any(line.startswith("dns ") and line.endswith(f" {gateway}:{port}") for line in told)
    assert all(f" ~{lab.project} " in line for line in told if line.startswith("domain "))
    assert any(" ~deep.corp.example " in f"{line} " for line in told)
    reverse = ".".join(reversed(gateway.split(".")[:3]))
    assert any(line.endswith(f" ~{reverse}.in-addr.arpa") for line in told)
    assert resolved.text == before
    resolved.sh("rm /run/systemd/resolve/netif/*; : > /run/told")  # it was told otherwise, or forgot
    eventually(lambda: {line.split()[1] for line in resolved.sh("cat /run/told").splitlines()} == bridges)
    lab.corral("hosts", "off")
    eventually(lambda: sum(line.startswith("revert ") for line in resolved.sh("cat /run/told").splitlines()) == 2)
    assert resolved.sh("ls /run/systemd/resolve/netif") == ""
    assert resolved.text == before


def test_where_it_cannot_be_told_the_file_it_is(resolved: Hosts, lab: Lab) -> None:
    before = resolved.text
    resolved.sh("cat > /run/fake/resolvectl", stdin="#!/bin/sh\nexit 1\n")
    lab.up(CLUSTER)
    assert "in /etc/hosts" in lab.corral("hosts", "on").stderr
    assert lab.address("namenode") in resolved.address(f"namenode.{lab.project}")
    resolved.sh("cat > /run/fake/resolvectl", stdin=RESOLVECTL)
    eventually(lambda: "systemd-resolved" in lab.corral("hosts").stderr)
    assert resolved.text == before
