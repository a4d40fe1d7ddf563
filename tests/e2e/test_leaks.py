"""Many times up and down (CORRAL_LEAK_CYCLES, 200 in `make test-leaks`): exactly nothing is left, and nothing that has no name grows: kernel memory, conntrack, our processes."""

import contextlib
import functools
import os
import pathlib

import pytest

from tests.e2e import machine
from tests.e2e.lab import Corral, Lab, assert_same, eventually

EVERYTHING = """
services:
  db:
    image: IMAGE
    init: true
    command: sleep 1000
    networks: {back: {ipv4_address: 10.65.0.9, aliases: [database]}}
    volumes: ["data:/data", "./conf:/conf:ro"]
    healthcheck: {test: [CMD, "true"], interval: 0.1s}
    mem_limit: 64m
  keeper: {image: IMAGE, init: true, command: sleep 1000, volumes_from: [db], networks: [back], cpus: 0.5, tmpfs: /scratch}
  web:
    image: IMAGE
    init: true
    command: httpd -f -p 80 -h /www
    networks: [front, back]
    ports: ["8030:80", "8031:53/udp", "80"]
    depends_on: {db: {condition: service_healthy}}
    pids_limit: 50
  shell: {image: IMAGE, tty: true, stdin_open: true, command: sh, networks: [front], restart: always, hostname: box}
  once: {image: IMAGE, command: "true", network_mode: none}
  other:
    image: IMAGE
    init: true
    command: sleep 1000
    userns_mode: auto
    networks: [front]
    secrets: [word]
    pre_start: [{command: "true"}]
    post_start: [{command: [touch, /started]}]
    pre_stop: [{command: "true"}]
  beside: {image: IMAGE, command: sleep 1000, init: true, network_mode: "service:other", security_opt: [corral:strict]}
networks:
  front: {enable_ipv6: true}
  back: {internal: true, ipam: {config: [{subnet: 10.65.0.0/24}]}}
volumes: {data: {}}
secrets: {word: {file: ./conf/word}}
"""
pytestmark = pytest.mark.alone
CYCLES = int(os.environ.get("CORRAL_LEAK_CYCLES", "43"))
WARM = max(28, CYCLES // 2)
"""Memory is compared between the end of cycle WARM, when most caches are filled, and that of the last. The daemon's heap grows by 50 KiB a
cycle in the first ten, by 7 around the hundredth, and by 1 after 170."""

SLABS = (
    "net_namespace",
    "mnt_cache",
    "pid_namespace",
    "uts_namespace",
    "ovl_inode",
    "nf_conntrack",
    "task_struct",
    "sock_inode_cache",
)
SLAB_TOLERANCE = 30
"""Objects, of any cause: others work on this machine. A leak of one a cycle and service would be 75."""

RSS_TOLERANCE_KIB = 1000 if WARM < 100 else 600
"""For a process of ours: 100 KiB a cycle would be a leak of a table or a task."""

OWN = ("corral daemon", "corral zygote", "corral dns")


def slabs() -> dict[str, int]:
    """Objects in use of each cache. A kernel that merges a cache with others does not show it."""
    for name in SLABS:  # else what is free in a processor's own pages counts as in use (mm/slub.c)
        with contextlib.suppress(OSError):
            pathlib.Path(f"/sys/kernel/slab/{name}/shrink").write_text("1")
    rows = (line.split() for line in machine.read("/proc/slabinfo").splitlines()[2:])
    return {row[0]: int(row[1]) for row in rows if row[0] in SLABS}


def rss_kib(pid: int) -> int:
    return int(machine.status(pid)["VmRSS"].split()[0])


def descriptors(pid: int) -> list[str]:
    """What each leads to, without numbers that differ from one socket to the next."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}").partition(":[")[0])
        except FileNotFoundError:
            continue
    return sorted(found)


def conntrack(lab: Lab) -> int:
    return int(lab.machine.sh("cat /proc/sys/net/netfilter/nf_conntrack_count"))


def make_files(lab: Lab) -> None:
    (lab.folder / "conf").mkdir()
    (lab.folder / "conf/word").write_text("open sesame")


def cycle(lab: Lab) -> None:
    assert isinstance(lab.machine, machine.Machine)
    lab.corral("up", "-d", "--wait", code=None)  # `once` exits, with 0
    assert lab.machine.lan.tcp(machine.EXTERNAL, 8030) == machine.LAN
    assert lab.exec("web", "ping", "-c1", "-W2", "database")
    lab.corral("cp", "compose.yaml", "other:/copied")
    lab.corral("cp", "other:/copied", "back")
    lab.corral("update", "--memory", "32m", "db")
    lab.corral("pause", "shell")
    with lab.popen("attach", "--no-stdin", "web", stdout=-3, stderr=-3) as attached:
        lab.corral("down", "-v", "-t", "0")
        attached.wait(30)


@pytest.mark.timeout(60 + 12 * CYCLES)
def test_nothing_is_left_and_nothing_grows(lab: Lab) -> None:
    make_files(lab)
    lab.write(EVERYTHING)
    clean = lab.owner.snapshot()
    held: dict[str, list[str]] = {}
    slab: dict[str, int] = {}
    memory: dict[str, int] = {}
    flows = 0
    for number in range(1, CYCLES + 1):
        cycle(lab)
        assert_same(clean, lab.owner.snapshot)
        if number == WARM:
            held = {title: descriptors(lab.process(title)) for title in OWN}
            memory = {title: rss_kib(lab.process(title)) for title in OWN}
            slab, flows = slabs(), conntrack(lab)
    for title in OWN:
        eventually(functools.partial(assert_holds, lab, title, held[title]))
        assert rss_kib(lab.process(title)) - memory[title] < RSS_TOLERANCE_KIB, title
    assert conntrack(lab) - flows < CYCLES, "flows of the neighbour end by themselves; one a cycle would be ours"
    eventually(functools.partial(assert_no_growth, slab))


def assert_holds(lab: Lab, title: str, held: list[str]) -> bool:
    assert descriptors(lab.process(title)) == held, title
    return True


def assert_no_growth(before: dict[str, int]) -> bool:
    now = slabs()
    assert {name: now[name] - count for name, count in before.items() if now[name] - count > SLAB_TOLERANCE} == {}
    return True


def test_a_down_in_the_middle_of_an_up_leaves_nothing(lab: Lab) -> None:
    make_files(lab)
    lab.write(EVERYTHING)
    before = lab.owner.snapshot()
    with lab.popen("up", "-d", stderr=-3, stdout=-3) as up:
        eventually(lambda: machine.in_cgroups(lab.owner.instance) or up.poll() is not None)
        lab.corral("down", "-v", "-t", "0")
        up.wait(30)
    assert_same(before, lab.owner.snapshot)


def test_after_daemon_stop_nothing_at_all_is_left(lab: Lab) -> None:
    make_files(lab)
    owner: Corral = lab.owner
    lab.up(EVERYTHING)
    lab.corral("down", "-v", "-t", "0")
    lab.corral("daemon", "stop")
    eventually(lambda: not owner.own_processes())
    assert machine.cgroups_of(owner.instance) == []
    assert not (pathlib.Path(owner.run_folder) / "corral.sock").exists()
    assert_same(owner.before, lab.machine.snapshot)
    lab.corral("daemon", "start")
