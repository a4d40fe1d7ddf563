"""Side by side with those who write rules of their own: containers reach each other and the world, the world reaches what is published,
theirs goes on working, and whoever goes leaves the other's rules as they are.

    world (a network namespace, 203.0.113.2) --- the guest (203.0.113.1) --- containers
"""

from collections.abc import Iterator

import pytest

from tests.guests.debian.guest import Guest

LAB = """
services:
  a:
    image: host
    init: true
    command: [sh, -c, "mkdir -p /tmp/www; hostname >/tmp/www/index.html; exec busybox httpd -f -p 80 -h /tmp/www"]
    ports: ["8080:80"]
  b: {image: host, init: true, command: sleep 10000}
"""
DIRECTORY = "/srv/lab"
WORLD = """
ip netns add world
ip link add ext0 type veth peer name w0 netns world
ip addr add 203.0.113.1/24 dev ext0 && ip link set ext0 up && ip route add default via 203.0.113.2
ip -n world addr add 203.0.113.2/24 dev w0 && ip -n world link set w0 up && ip -n world link set lo up
mkdir -p /srv/world && echo world >/srv/world/index.html
ip netns exec world busybox httpd -p 80 -h /srv/world
mkdir -p /srv/own && echo own >/srv/own/index.html
busybox httpd -p 8090 -h /srv/own
"""
BOX = """
mkdir -p /srv/box/bin /srv/box/www && cp /bin/busybox /srv/box/bin/ && ln -s busybox /srv/box/bin/sh && echo box >/srv/box/www/index.html
tar -C /srv/box -cf /srv/box.tar .
"""
GET = "timeout 8 busybox wget -qO- http://"
FROM_WORLD = f"ip netns exec world {GET}"


@pytest.fixture(scope="module")
def lab(guest: Guest) -> Guest:
    """The machine in its world, with a project up."""
    guest.sh(WORLD)
    guest.sh(BOX)
    guest.sh(f"mkdir -p {DIRECTORY} && cat >{DIRECTORY}/compose.yaml", stdin=LAB)
    guest.sh("corral up -d", directory=DIRECTORY)
    guest.eventually(f"{GET}127.0.0.1:8080/", "a")
    assert_ours_works(guest)
    return guest


def assert_ours_works(guest: Guest) -> None:
    """Soon, at least: whoever flushes rules is put right within a second or two."""
    inside = "corral exec -T b timeout 8 busybox wget -qO- http://"
    guest.eventually(f"cd {DIRECTORY}; {inside}a/ 2>&1", "a\n", 20)
    guest.eventually(f"cd {DIRECTORY}; {inside}203.0.113.2/ 2>&1", "world\n", 20)
    guest.eventually(f"{FROM_WORLD}203.0.113.1:8080/ 2>&1", "a\n", 20)
    guest.eventually(f"{GET}127.0.0.1:8080/ 2>&1", "a\n", 20)


def assert_the_machine_is_closed(guest: Guest) -> None:
    """A server of its own, which no rule lets the world reach. Soon, at least: firewalld has started before it has its rules."""
    assert guest.sh(f"{GET}127.0.0.1:8090/") == "own\n"
    guest.eventually(f"{FROM_WORLD}203.0.113.1:8090/ 2>&1 || echo closed", "closed\n")


def assert_the_machine_is_open(guest: Guest) -> None:
    assert guest.sh(f"{FROM_WORLD}203.0.113.1:8090/") == "own\n"


def rules(guest: Guest, whose: str) -> list[str]:
    """Rules and policies without counters; `whose`: "-i corral" for ours, "-iv corral" for those of others."""
    said = guest.sh(f"iptables-save | sed 's/ *\\[[0-9:]*\\]//' | grep -e ^- -e DROP | grep {whose} | sort", code=None)
    return said.splitlines()


@pytest.fixture
def docker(lab: Guest) -> Iterator[Guest]:
    try:
        lab.sh("systemctl start docker && docker import /srv/box.tar box")
        lab.sh(
            "docker run -d --name box --security-opt apparmor=unconfined -p 8081:80 box /bin/busybox httpd -f -p 80 -h /www"
        )
        yield lab
    finally:
        lab.sh("docker rm -f box; systemctl stop docker docker.socket containerd", code=None)
        lab.sh("iptables -P FORWARD ACCEPT")


def assert_box_works(guest: Guest, tool: str, port: int) -> None:
    guest.eventually(f"{FROM_WORLD}203.0.113.1:{port}/ 2>&1", "box\n", 20)
    guest.eventually(f"{tool} exec box /bin/busybox wget -qO- http://203.0.113.2/ 2>&1", "world\n", 20)


def test_beside_docker(docker: Guest) -> None:
    docker.sh("iptables -P FORWARD DROP")  # as it does where it has switched forwarding on itself
    assert_ours_works(docker)
    assert_box_works(docker, "docker", 8081)
    with_ours = rules(docker, "-iv corral")
    docker.sh("corral down -t 1", directory=DIRECTORY)
    assert rules(docker, "-i corral") == []
    assert rules(docker, "-iv corral") == with_ours
    assert_box_works(docker, "docker", 8081)
    docker.sh("corral up -d", directory=DIRECTORY)
    assert_ours_works(docker)
    assert_box_works(docker, "docker", 8081)
    ours = rules(docker, "-i corral")
    docker.sh("systemctl restart docker && docker start box")
    assert_ours_works(docker)
    assert_box_works(docker, "docker", 8081)
    docker.sh("docker rm -f box && systemctl stop docker docker.socket containerd")
    assert rules(docker, "-i corral") == ours
    assert_ours_works(docker)


def test_beside_podman(lab: Guest) -> None:
    lab.sh(
        "podman import -q /srv/box.tar box && podman run -d --name box -p 8082:80 box /bin/busybox httpd -f -p 80 -h /www"
    )
    try:
        assert_box_works(lab, "podman", 8082)
        assert_ours_works(lab)
        others = rules(lab, "-iv corral")
        lab.sh("corral down -t 1", directory=DIRECTORY)
        assert rules(lab, "-iv corral") == others
        assert_box_works(lab, "podman", 8082)
        lab.sh("corral up -d", directory=DIRECTORY)
        assert_ours_works(lab)
    finally:
        lab.sh("podman rm -f -t 0 box")
    assert_ours_works(lab)


def test_beside_ufw(lab: Guest) -> None:
    assert_the_machine_is_open(lab)
    lab.sh("ufw --force enable && ufw default deny routed")
    try:
        assert "deny (routed)" in lab.sh("ufw status verbose")
        assert_ours_works(lab)
        assert_the_machine_is_closed(lab)
        lab.sh("ufw reload")
        assert_ours_works(lab)
        others = rules(lab, "-iv corral")
        lab.sh("corral down -t 1", directory=DIRECTORY)
        assert rules(lab, "-iv corral") == others
        assert_the_machine_is_closed(lab)
        lab.sh("corral up -d", directory=DIRECTORY)
        assert_ours_works(lab)
        assert_the_machine_is_closed(lab)
        lab.sh("ufw allow 8090/tcp")
        assert_the_machine_is_open(lab)
        lab.sh("ufw delete allow 8090/tcp")
    finally:
        lab.sh("ufw disable; cd /srv/lab && corral up -d")
    assert_ours_works(lab)
    assert_the_machine_is_open(lab)


def test_beside_firewalld(lab: Guest) -> None:
    assert_the_machine_is_open(lab)
    lab.sh("systemctl start firewalld")
    try:
        assert_the_machine_is_closed(lab)
        assert_ours_works(lab)
        lab.sh("firewall-cmd --reload")
        assert_the_machine_is_closed(lab)
        assert_ours_works(lab)
        assert "corral" not in lab.sh("corral doctor | grep -v ^ok", code=None)
        lab.sh("corral down -t 1", directory=DIRECTORY)
        assert "cb" not in lab.sh("firewall-cmd --get-active-zones")
        assert '"cb' not in lab.sh("nft list table inet firewalld")
        assert rules(lab, "-i corral") == []
        assert_the_machine_is_closed(lab)
        lab.sh("corral up -d", directory=DIRECTORY)
        assert_ours_works(lab)
        assert_the_machine_is_closed(lab)
        lab.sh("firewall-cmd --add-port 8090/tcp")
        assert_the_machine_is_open(lab)
    finally:
        lab.sh("systemctl stop firewalld")
    assert_ours_works(lab)
    assert_the_machine_is_open(lab)
