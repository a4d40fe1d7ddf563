"""Replicas that differ, judged by the kernel: names, addresses, variables, data."""

import json
import pathlib

import pytest

from tests.e2e import dns, machine
from tests.e2e.lab import Lab, eventually

ENSEMBLE = """
services:
  zk:
    image: IMAGE
    command: sleep 1000
    stop_signal: SIGKILL
    scale: 3
    environment: {ALL: "1"}
    volumes: ["zk:/data/zk"]
    x-corral:
      replica:
        hostname: "zk{index}"
        container_name: "box-{index}"
        environment: {MYID: "{index}"}
        networks: {default: {ipv4_address: "10.213.7.{index+10}"}}
        tmpfs: "/scratch:size={index}m"
networks: {default: {ipam: {config: [{subnet: 10.213.7.0/24}]}}}
volumes: {zk: {x-corral: {each: replica}}}
"""
NUMBERS = (1, 2, 3)
SERVER = "10.213.7.1"


def pid(lab: Lab, number: int) -> int:
    found = lab.ps()[f"box-{number}"]["Pid"]
    assert isinstance(found, int)
    assert machine.is_alive(found)
    return found


def hostname(pid_: int) -> str:
    return machine.run("nsenter", "--target", str(pid_), "--uts", "hostname").strip()


def address(pid_: int) -> str:
    found = json.loads(machine.Place(pid_).sh("ip -j -4 addr show dev eth0"))
    return str(found[0]["addr_info"][0]["local"])


def variables(pid_: int) -> dict[str, str]:
    texts = pathlib.Path(f"/proc/{pid_}/environ").read_bytes().decode().split("\0")
    return dict(text.split("=", 1) for text in texts if text)


def mount_sources(pid_: int, target: str) -> tuple[str, str]:
    """(root in its file system, super options) of what the kernel has there."""
    for line in machine.read(f"/proc/{pid_}/mountinfo").splitlines():
        fields = line.split()
        if fields[4] == target:
            return fields[3], fields[-1]
    raise AssertionError(f"nothing is mounted at {target}")


@pytest.mark.key("services.x-corral", "services.x-corral.replica", "volumes.x-corral", "volumes.x-corral.each")
def test_each_replica_is_what_its_template_says(lab: Lab) -> None:
    lab.up(ENSEMBLE)
    pids = {number: pid(lab, number) for number in NUMBERS}
    assert {number: hostname(each) for number, each in pids.items()} == {1: "zk1", 2: "zk2", 3: "zk3"}
    assert {number: address(each) for number, each in pids.items()} == {
        number: f"10.213.7.{number + 10}" for number in NUMBERS
    }
    assert {number: variables(each)["MYID"] for number, each in pids.items()} == {1: "1", 2: "2", 3: "3"}
    assert all(variables(each)["ALL"] == "1" for each in pids.values())
    for number, each in pids.items():
        assert mount_sources(each, "/data/zk")[0].endswith(f"/volumes/{lab.project}_zk-{number}/_data")
        assert f"size={number * 1024}k" in mount_sources(each, "/scratch")[1]


def test_names_lead_there_and_back(lab: Lab) -> None:
    lab.up(ENSEMBLE)
    place = machine.Place(pid(lab, 1))
    for number in NUMBERS:
        address_ = f"10.213.7.{number + 10}"
        assert dns.ask(place, f"zk{number}", server=SERVER).records == (address_,)
        assert dns.reverse(place, address_, server=SERVER) == (f"zk{number}.{lab.project}",)
        assert lab.exec("--index", str(number), "zk", "hostname", "-f") == f"zk{number}.{lab.project}\n"


def test_an_edit_of_the_template_touches_the_replicas_that_it_changes(lab: Lab) -> None:
    lab.up(ENSEMBLE)
    before = {number: pid(lab, number) for number in NUMBERS}
    lab.up(ENSEMBLE.replace('hostname: "zk{index}"', 'hostname: "node{index}"'))
    assert {number: pid(lab, number) for number in NUMBERS} == before, "a host name changes while it runs"
    assert hostname(before[2]) == "node2"
    lab.up(ENSEMBLE.replace("scale: 3", "scale: 2"))
    assert {number: pid(lab, number) for number in (1, 2)} == {number: before[number] for number in (1, 2)}


def test_a_replica_that_comes_back_finds_its_data(lab: Lab) -> None:
    lab.up(ENSEMBLE)
    for number in NUMBERS:
        root = pathlib.Path(f"/proc/{pid(lab, number)}/root/data/zk")
        (root / "myid").write_text(str(number))
    lab.up(ENSEMBLE.replace("scale: 3", "scale: 2"))
    assert sorted(lab.ps()) == ["box-1", "box-2"]
    names = [f"{lab.project}_zk-{number}" for number in NUMBERS]
    assert lab.out("volume", "ls", "-q").split() == names
    lab.corral("volume", "prune", "-f")
    assert lab.out("volume", "ls", "-q").split() == names, "it is kept for whoever comes back"
    assert "declared by project" in lab.refusal("volume", "rm", names[1])
    lab.up(ENSEMBLE)
    assert pathlib.Path(f"/proc/{pid(lab, 3)}/root/data/zk/myid").read_text() == "3"
    lab.up(ENSEMBLE.replace("scale: 3", "scale: 2"))
    lab.corral("volume", "rm", names[2])
    assert lab.out("volume", "ls", "-q").split() == names[:2], "whoever names it means it"
    lab.up(ENSEMBLE)
    assert not pathlib.Path(f"/proc/{pid(lab, 3)}/root/data/zk/myid").exists()
    lab.up(ENSEMBLE.replace("scale: 3", "scale: 1"))
    lab.corral("down", "-v")
    assert lab.out("volume", "ls", "-q").split() == []


def test_more_than_the_file_asks_for(lab: Lab) -> None:
    lab.up(ENSEMBLE, "--scale", "zk=5")
    assert hostname(pid(lab, 5)) == "zk5"
    assert address(pid(lab, 5)) == "10.213.7.15"
    lab.kill("corral daemon")
    lab.corral("up", "-d", "--scale", "zk=5")
    assert variables(pid(lab, 5))["MYID"] == "5"
    edited = ENSEMBLE.replace("{index+10}", "{index+250}")
    lab.write(edited)
    said = lab.refusal("up", "-d", "--scale", "zk=6")
    assert "compose.yaml:15:30: services.zk.replicas.5.networks.default.ipv4_address: 10.213.7.255" in said
    assert address(pid(lab, 5)) == "10.213.7.15", "before anything is touched"


def test_what_config_prints_brings_up_the_same(lab: Lab) -> None:
    lab.up(ENSEMBLE)
    before = {number: pid(lab, number) for number in NUMBERS}
    printed = lab.out("config")
    lab.write(printed)
    assert "as declared" in lab.out("plan")
    lab.corral("up", "-d")
    assert {number: pid(lab, number) for number in NUMBERS} == before


# ---------------------------------------------------------------------------------------------------------------- leave


def drained(scale: int, script: str, timeout: str = "20s") -> str:
    """A service whose replicas write what they do into the folder ./kept, and end at once when they are told to."""
    return f"""
services:
  dn:
    image: IMAGE
    entrypoint: [sh, -c, 'trap "echo signal $$(hostname) >> /kept/kept; exit 0" TERM; touch /run/trapped; while :; do sleep 0.05; done']
    scale: {scale}
    tmpfs: /run
    volumes: ["./kept:/kept"]
    x-corral: {{leave: {{command: [sh, -c, '{script}'], timeout: {timeout}}}}}
"""


def wait_until_trapped(lab: Lab) -> None:
    """Who is told to end before the shell has come so far does not hear of it: it is pid 1."""
    for pid_ in lab.pids().values():
        eventually(pathlib.Path(f"/proc/{pid_}/root/run/trapped").exists)


def kept(lab: Lab) -> list[str]:
    path = lab.folder / "kept" / "kept"
    return path.read_text().splitlines() if path.exists() else []


def gateway(lab: Lab) -> str:
    routes = json.loads(lab.place("dn-1").sh("ip -j -4 route show default"))
    return str(routes[0]["gateway"])


LOG = "echo leave $$(hostname) $$(ip -4 addr show eth0 | grep -c inet) >> /kept/kept"


@pytest.mark.key("services.x-corral.leave")
def test_who_goes_because_of_a_smaller_scale_leaves_first(lab: Lab) -> None:
    lab.up(drained(3, f"{LOG}; echo first; echo moved all"))
    wait_until_trapped(lab)
    before = {name: lab.pid(name) for name in ("dn-1", "dn-2")}
    shown = lab.up(drained(2, f"{LOG}; echo first; echo moved all")).stderr
    assert kept(lab) == ["leave dn-3 1", "signal dn-3"], "with its network, and before its signal"
    assert "container:dn-3  leaving: moved all" in shown
    assert {name: lab.pid(name) for name in lab.ps()} == before
    lab.up("", "--scale", "dn=1")
    assert kept(lab)[2:] == ["leave dn-2 1", "signal dn-2"]


def test_nobody_leaves_at_a_stop_a_down_or_an_edit(lab: Lab) -> None:
    lab.up(drained(2, LOG))
    wait_until_trapped(lab)
    lab.corral("stop")
    lab.corral("start")
    wait_until_trapped(lab)
    lab.up(drained(2, LOG).replace("scale: 2", "scale: 2\n    environment: {A: b}"))
    wait_until_trapped(lab)
    lab.corral("restart")
    wait_until_trapped(lab)
    lab.corral("down")
    lab.up(drained(2, LOG))
    wait_until_trapped(lab)
    lab.up("services: {other: {image: IMAGE, init: true, command: sleep 1000}}")
    assert not [line for line in kept(lab) if line.startswith("leave")]
    assert len([line for line in kept(lab) if line.startswith("signal")]) == 10


def test_who_cannot_leave_runs_on_and_up_says_why(lab: Lab) -> None:
    lab.up(drained(2, "exit 0"))
    pid_ = lab.pid("dn-2")
    lab.write(drained(1, "echo 7 blocks have no other home; exit 4"))
    said = lab.refusal("up", "-d")
    assert "dn-2 cannot leave, and runs on: leave (sh -c echo 7 blocks" in said
    assert "exited 4: 7 blocks have no other home (`up -t 0`, `stop` and `down` do without it)" in said
    assert lab.pid("dn-2") == pid_
    assert dns.ask(lab.place("dn-1"), "dn-2", server=gateway(lab)).records == (lab.address("dn-2"),), "all of it"
    lab.up(drained(1, "exit 0"))
    assert list(lab.states()) == ["dn-1"]


@pytest.mark.key("services.x-corral.leave.timeout")
def test_who_leaves_has_its_time_and_no_more(lab: Lab) -> None:
    lab.up(drained(2, "sleep 1000", "1s"))
    lab.write(drained(1, "sleep 1000", "1s"))
    said = lab.refusal("up", "-d")
    assert "took longer than 1 s" in said
    assert "sleep 1000" not in str(machine.in_cgroups(lab.owner.instance)), "it is ended"
    assert lab.states() == {"dn-1": "running", "dn-2": "running"}
    lab.up("", "-t", "0")
    assert lab.states() == {"dn-1": "running"}


WAITS = "echo begun >> /kept/kept; until [ -e /kept/go ]; do sleep 0.05; done; echo gone >> /kept/kept"


def test_a_daemon_killed_while_one_leaves_begins_it_anew(lab: Lab) -> None:
    lab.up(drained(2, WAITS))
    lab.write(drained(1, WAITS))
    with lab.popen("up", "-d") as up:
        eventually(lambda: kept(lab) == ["begun"])
        lab.kill("corral daemon")
        up.wait(20)
    lab.corral("ps")
    eventually(lambda: kept(lab) == ["begun", "begun"])
    (lab.folder / "kept/go").touch()
    eventually(lambda: list(lab.states()) == ["dn-1"])
    assert kept(lab) == ["begun", "begun", "gone", "signal dn-2"]


def test_another_command_ends_a_leaving_that_nobody_wants_any_more(lab: Lab) -> None:
    lab.up(drained(2, WAITS))
    pid_ = lab.pid("dn-2")
    lab.write(drained(1, WAITS))
    with lab.popen("up", "-d") as up:
        eventually(lambda: kept(lab) == ["begun"])
        lab.up(drained(2, WAITS))
        up.wait(20)
    assert lab.pid("dn-2") == pid_
    eventually(lambda: not any("begun" in line for line in machine.in_cgroups(lab.owner.instance).values()))
    lab.write(drained(1, WAITS))
    with lab.popen("up", "-d") as up:
        eventually(lambda: kept(lab) == ["begun", "begun"])
        lab.corral("down", timeout=15)
        up.wait(20)
    assert lab.ps() == {}
    assert "gone" not in kept(lab)
