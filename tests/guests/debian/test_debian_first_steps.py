"""A user's first minutes on Debian 12: Linux 6.1, systemd, nothing but cgroup v2, iptables on nf_tables."""

from tests.guests.debian.guest import Guest

LAB = """
services:
  first:
    image: host
    init: true
    command: [sh, -c, "mkdir -p /tmp/www; hostname >/tmp/www/index.html; exec busybox httpd -f -p 80 -h /tmp/www"]
    ports: ["8080:80"]
    mem_limit: 64m
  second: {image: host, init: true, command: sleep 1000, depends_on: [first]}
"""


def test_the_machine_is_what_it_is_said_to_be(guest: Guest) -> None:
    assert guest.sh("uname -r").startswith("6.1.")
    assert guest.sh("cat /proc/1/comm") == "systemd\n"
    assert guest.sh("stat -fc %T /sys/fs/cgroup") == "cgroup2fs\n"
    assert "nf_tables" in guest.sh("iptables --version")
    assert guest.sh("python3 -c 'import sys; print(sys.version_info[:2])'") == "(3, 11)\n"


def test_the_doctor_finds_nothing_missing(guest: Guest) -> None:
    said = guest.sh("corral doctor")
    assert "missing" not in said
    assert "limited" not in said


def test_up_exec_and_down(guest: Guest) -> None:
    guest.sh("mkdir -p /srv/lab && cat >/srv/lab/compose.yaml", stdin=LAB)
    guest.sh("corral up -d", directory="/srv/lab")
    assert guest.eventually("busybox wget -qO- http://127.0.0.1:8080/", "first") == "first\n"
    said = guest.sh("corral exec -T second busybox wget -qO- http://first/", directory="/srv/lab")
    assert said == "first\n"
    assert "containers stay" in guest.sh("corral daemon stop", directory="/srv/lab")
    assert guest.sh("busybox wget -qO- http://127.0.0.1:8080/") == "first\n"
    guest.sh("corral down -v -t 1", directory="/srv/lab")
    assert guest.sh("ip -br link | grep -c ^cb", code=1) == "0\n"
    assert guest.sh("iptables-save | grep -i corral", code=1) == ""


def test_the_kernels_log_has_no_complaint_of_ours(guest: Guest) -> None:
    assert guest.sh("dmesg | grep -i overlay", code=1) == ""
