"""Keys that say whose namespaces a container is in, and where its cgroup is: the links below /proc/PID/ns say so too."""

import os
import pathlib
import signal

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

SLEEP = "{image: IMAGE, init: true, command: sleep 1000"


def two(*keys: str, donor: str = "") -> str:
    """`x`, and `y` with the keys."""
    lines = "".join(f", {key}" for key in keys)
    more = f", {donor}" if donor else ""
    return f"services:\n  x: {SLEEP}{more}}}\n  y: {SLEEP}{lines}}}\n"


def spaces(pid: int) -> dict[str, str]:
    kinds = ("net", "uts", "pid", "ipc", "mnt", "cgroup")
    return {kind: machine.namespace(pid, kind) for kind in kinds}


def shared(one: int, other: int) -> set[str]:
    first, second = spaces(one), spaces(other)
    return {kind for kind in first if first[kind] == second[kind]}


def host_pid(lab: Lab) -> int:
    """A process that is in all of the machine's namespaces."""
    return lab.process("corral daemon")


def in_cgroup_of(lab: Lab, pid: int) -> dict[int, str]:
    """All processes in the cgroup of this one."""
    mine = machine.read(f"/proc/{pid}/cgroup")
    return {each: line for each, line in machine.in_cgroups(lab.owner.instance).items() if cgroup(each) == mine}


def cgroup(pid: int) -> str:
    try:
        return machine.read(f"/proc/{pid}/cgroup")
    except OSError:
        return ""


def refusals(lab: Lab, text: str) -> list[str]:
    lab.write(text)
    said = lab.corral("up", "-d", code=1).stderr
    assert machine.in_cgroups(lab.owner.instance) == {}
    return [line.removeprefix("corral: ").strip() for line in said.splitlines()]


# ---------------------------------------------------------------------------------------------------- network_mode


@pytest.mark.key("services.network_mode")
@pytest.mark.parametrize("said", ["service:x", "container:{project}-x-1"])
def test_two_containers_are_in_one_sandbox(lab: Lab, said: str) -> None:
    text = two(f"network_mode: '{said.format(project=lab.project)}'", donor="hostname: both, ports: ['127.0.0.1::80']")
    lab.up(text)
    x, y = lab.pid("x"), lab.pid("y")
    assert shared(x, y) == {"net", "uts"}
    assert len([line for line in lab.owner.own_processes().values() if line.startswith("corral shim")]) == 1
    for name in ("hosts", "resolv.conf", "hostname"):
        assert os.stat(f"/proc/{x}/root/etc/{name}").st_ino == os.stat(f"/proc/{y}/root/etc/{name}").st_ino
    assert lab.exec("y", "hostname").strip() == "both"
    assert lab.exec("y", "sh", "-c", "echo $HOSTNAME").strip() == "both"
    with lab.popen("exec", "-T", "x", "nc", "-l", "-p", "80", "-e", "echo", "over lo"):
        eventually(lambda: "over lo" in lab.exec("y", "sh", "-c", "nc 127.0.0.1 80 </dev/null", code=None))
    port = lab.ps()["x-1"]["Publishers"][0]["PublishedPort"]
    with lab.popen("exec", "-T", "y", "nc", "-l", "-p", "80", "-e", "echo", "published"):
        eventually(lambda: "published" in lab.machine.sh(f"busybox nc 127.0.0.1 {port} </dev/null", check=False))


@pytest.mark.key("services.network_mode")
def test_the_owner_restarts_and_is_made_anew_without_the_joiner(lab: Lab) -> None:
    lab.up(two("network_mode: 'service:x'"))
    x, y = lab.pid("x"), lab.pid("y")
    lab.corral("restart", "-t", "1", "x")
    assert lab.pid("y") == y
    assert lab.pid("x") != x
    os.kill(lab.pid("x"), signal.SIGKILL)
    lab.up(two("network_mode: 'service:x'", donor="labels: {a: b}, restart: always, environment: {A: new}"))
    assert lab.pid("y") == y
    assert shared(lab.pid("x"), y) == {"net", "uts"}


@pytest.mark.key("services.network_mode")
def test_a_killed_shim_brings_both_back_in_one_sandbox(lab: Lab) -> None:
    lab.up(two("network_mode: 'service:x'"))
    x, y = lab.pid("x"), lab.pid("y")
    lab.kill(f"corral shim {lab.project}/x")
    eventually(lambda: lab.pids()["x-1"] not in (0, x) and lab.pids()["y-1"] not in (0, y))
    assert shared(lab.pid("x"), lab.pid("y")) == {"net", "uts"}


@pytest.mark.key("services.network_mode")
def test_all_replicas_join_the_first_container(lab: Lab) -> None:
    lab.up(two("network_mode: 'service:x', scale: 2", donor="scale: 2"))
    first, second = lab.pid("x-1"), lab.pid("x-2")
    assert shared(first, second) == set()
    for name in ("y-1", "y-2"):
        assert shared(first, lab.pid(name)) == {"net", "uts"}
    lab.corral("up", "-d", "--scale", "y=3")
    assert shared(first, lab.pid("y-3")) == {"net", "uts"}
    lab.corral("up", "-d", "--scale", "y=1")
    assert shared(first, lab.pid("y-1")) == {"net", "uts"}


# --------------------------------------------------------------------------------------------------------------- pid

FAMILY = "sleep 1001 & setsid sleep 1002 & (sleep 1003 &) ; trap true TERM; while true; do sleep 0.1; done"
STUBBORN = f'{{image: IMAGE, command: [sh, -c, "{FAMILY}"], stop_grace_period: 300ms'


def family(lab: Lab, name: str) -> dict[int, str]:
    """The processes of a container that stay, once they are all there, and nobody is about to become another program."""

    def found() -> dict[int, str]:
        lines = in_cgroup_of(lab, lab.pid(name))
        mine = {pid: line for pid, line in lines.items() if line.startswith(("sh ", "sleep 100"))}
        said = sorted(line for line in mine.values() if not line.startswith("sh "))
        return mine if len(mine) == 4 and said == ["sleep 1001", "sleep 1002", "sleep 1003"] else {}

    return eventually(found)


@pytest.mark.key("services.pid")
@pytest.mark.parametrize("said", ["host", "service:x", "container:{project}-x-1"])
@pytest.mark.parametrize("how", ["stop", "kill", "first process", "shim", "down"])
def test_what_shares_a_pid_namespace_ends_whole_and_alone(lab: Lab, said: str, how: str) -> None:
    said = said.format(project=lab.project)
    lab.up(f"services:\n  x: {SLEEP}}}\n  y: {STUBBORN}, pid: '{said}'}}\n")
    x, y, mine = lab.pid("x"), lab.pid("y"), family(lab, "y")
    owner = host_pid(lab) if said == "host" else x
    assert shared(y, owner) == {"pid"}
    assert {machine.namespace(pid, "pid") for pid in mine} == {machine.namespace(owner, "pid")}
    others = in_cgroup_of(lab, x)
    match how:
        case "first process":
            os.kill(y, signal.SIGKILL)
        case "shim":
            lab.kill(f"corral shim {lab.project}/y")
        case "down":
            lab.corral("down")
        case _:
            lab.corral(how, "y")
    eventually(lambda: not any(machine.is_alive(pid) for pid in mine))
    assert how == "down" or all(machine.is_alive(pid) for pid in others)
    if how == "first process":
        assert eventually(lambda: lab.states()["y-1"] == "exited")
        assert lab.ps()["y-1"]["ExitCode"] == 137
    if how == "shim":
        assert family(lab, "y")


@pytest.mark.key("services.pid")
def test_top_exec_and_exit_codes_are_the_containers_own(lab: Lab) -> None:
    lab.up(
        f"services:\n  x: {SLEEP}}}\n  y: {STUBBORN}, pid: 'service:x'}}\n  z: {{image: IMAGE, command: sh -c 'exit 7', pid: host}}\n"
    )
    assert eventually(lambda: lab.ps()["z-1"]["ExitCode"] == 7)
    family(lab, "y")
    assert "sleep 1002" in lab.out("top", "y")
    assert "sleep 1002" not in lab.out("top", "x")
    assert "sleep 1002" in lab.exec("x", "ps"), "its processes are seen by who shares the namespace"
    with lab.popen("exec", "-T", "y", "sleep", "998"):
        inside = eventually(
            lambda: [pid for pid, line in in_cgroup_of(lab, lab.pid("y")).items() if line == "sleep 998"]
        )
        assert machine.namespace(inside[0], "pid") == machine.namespace(lab.pid("x"), "pid")
        lab.corral("stop", "-t", "0", "y")
        assert not machine.is_alive(inside[0])


@pytest.mark.key("services.pid")
def test_who_is_taken_along_by_its_pid_namespace_starts_again_after_it(lab: Lab) -> None:
    """Whatever its policy, and its healthcheck and name as before: it did not end by itself."""
    lab.up(two("pid: 'service:x'", donor="restart: always"))
    for _ in range(3):
        x, y = lab.pid("x"), lab.pid("y")
        os.kill(x, signal.SIGKILL)
        eventually(lambda x=x, y=y: lab.pids()["x-1"] not in (0, x) and lab.pids()["y-1"] not in (0, y))
        assert shared(lab.pid("x"), lab.pid("y")) == {"pid"}
    lab.corral("restart", "-t", "1", "x")
    assert shared(lab.pid("x"), lab.pid("y")) == {"pid"}
    y = lab.pid("y")
    os.kill(y, signal.SIGKILL)
    eventually(lambda: lab.states()["y-1"] == "exited")
    lab.corral("restart", "-t", "1", "x")
    assert lab.states()["y-1"] == "exited", "it ended by itself, and has no policy that brings it back"


@pytest.mark.key("services.pid")
def test_who_is_taken_along_while_no_daemon_looks_starts_again_too(lab: Lab) -> None:
    lab.up(two("pid: 'service:x'", donor="restart: always"))
    x, y = lab.pid("x"), lab.pid("y")
    lab.kill("corral daemon")
    os.kill(x, signal.SIGKILL)
    eventually(lambda: not machine.is_alive(y))
    eventually(lambda: lab.pids()["x-1"] not in (0, x) and lab.pids()["y-1"] not in (0, y))
    assert shared(lab.pid("x"), lab.pid("y")) == {"pid"}


@pytest.mark.key("services.pid")
def test_what_outlives_daemon_and_shim_in_the_machines_pid_namespace_is_ended(lab: Lab) -> None:
    lab.up(f"services:\n  y: {STUBBORN}, pid: host}}\n")
    mine = family(lab, "y")
    lab.kill("corral daemon")
    lab.kill(f"corral shim {lab.project}/y")
    left = [pid for pid in mine if machine.is_alive(pid)]
    assert left, "nobody was there to end them"
    lab.corral("ps")
    eventually(lambda: not any(machine.is_alive(pid) for pid in mine))


@pytest.mark.key("services.pid", "services.init")
def test_an_init_reaps_what_is_orphaned_in_anothers_pid_namespace(lab: Lab) -> None:
    lab.up(two("pid: 'service:x'"))
    lab.exec("y", "sh", "-c", "(sleep 0.2 &)")
    lab.exec("y", "sh", "-c", "sleep 1005 & sleep 0.01")
    orphan = eventually(lambda: [pid for pid, line in in_cgroup_of(lab, lab.pid("y")).items() if line == "sleep 1005"])[
        0
    ]
    os.kill(orphan, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{orphan}"))


# --------------------------------------------------------------------------------------------------------------- ipc


@pytest.mark.key("services.ipc")
@pytest.mark.parametrize("said", ["service:x", "container:{project}-x-1"])
def test_a_shared_ipc_namespace_is_shared_memory_too(lab: Lab, said: str) -> None:
    lab.up(two(f"ipc: '{said.format(project=lab.project)}'", donor="ipc: shareable, restart: always, shm_size: 1m"))
    x, y = lab.pid("x"), lab.pid("y")
    assert shared(x, y) == {"ipc"}
    assert os.stat(f"/proc/{x}/root/dev/shm").st_dev == os.stat(f"/proc/{y}/root/dev/shm").st_dev
    assert os.stat(f"/proc/{x}/root/dev/mqueue").st_dev == os.stat(f"/proc/{y}/root/dev/mqueue").st_dev
    lab.exec("x", "sh", "-c", "echo from x > /dev/shm/note")
    assert lab.exec("y", "cat", "/dev/shm/note") == "from x\n"
    os.kill(x, signal.SIGKILL)
    eventually(lambda: lab.pids()["x-1"] not in (0, x) and lab.pids()["y-1"] not in (0, y))
    eventually(lambda: shared(lab.pid("x"), lab.pid("y")) == {"ipc"})


@pytest.mark.key("services.ipc")
def test_an_ipc_namespace_may_be_the_machines_or_without_shared_memory(lab: Lab) -> None:
    lines = "".join(f"  {name}: {SLEEP}, ipc: {name}}}\n" for name in ("host", "none", "private", "shareable"))
    lab.up(f"services:\n{lines}")
    owner = host_pid(lab)
    assert {name for name in ("host", "none", "private", "shareable") if "ipc" in shared(owner, lab.pid(name))} == {
        "host"
    }
    there = pathlib.Path(f"/proc/{owner}/root/dev/shm")
    assert os.stat(there).st_dev == os.stat(f"/proc/{lab.pid('host')}/root/dev/shm").st_dev
    assert not os.path.exists(f"/proc/{lab.pid('none')}/root/dev/shm")
    assert os.path.ismount(f"/proc/{lab.pid('private')}/root/dev/shm")
    with_exec = lab.exec("host", "readlink", "/proc/self/ns/ipc").strip()
    assert with_exec == machine.namespace(owner, "ipc")


# ------------------------------------------------------------------------------------------------------- uts, cgroup


@pytest.mark.key("services.uts")
def test_the_name_may_be_the_machines(lab: Lab) -> None:
    lab.up(two("uts: host"))
    owner, y = host_pid(lab), lab.pid("y")
    assert shared(owner, y) == {"uts"}
    name = lab.machine.sh("uname -n").strip()
    assert lab.exec("y", "hostname").strip() == name
    assert lab.exec("y", "sh", "-c", "echo $HOSTNAME; cat /etc/hostname").split() == [name, name]
    assert lab.exec("x", "nslookup", "y", code=None).count("Address") > 1, "the others find it by its own"


@pytest.mark.key("services.cgroup")
def test_a_cgroup_namespace_may_be_the_machines(lab: Lab) -> None:
    lab.up(two("cgroup: host", donor="cgroup: private"))
    owner, x, y = host_pid(lab), lab.pid("x"), lab.pid("y")
    assert shared(owner, y) == {"cgroup"}
    assert shared(owner, x) == set()
    uid = lab.ps()["y-1"]["ID"]
    assert f"/corral/{lab.owner.instance}/{lab.project}/{uid}" in lab.exec("y", "cat", "/proc/self/cgroup")
    assert f"/{uid}" not in lab.exec("x", "cat", "/proc/self/cgroup")
    lab.exec("y", "sh", "-c", "! mkdir /sys/fs/cgroup/*/corral/mine")


@pytest.mark.key("services.cgroup_parent")
def test_a_cgroups_parent_is_shared_and_goes_with_the_last(lab: Lab) -> None:
    lab.up(two("cgroup_parent: /batch/night", donor="cgroup_parent: batch/night, mem_limit: 64m"))
    tops = {name: machine.cgroup_of(lab.pid(name), "memory") for name in ("x", "y")}
    assert tops["x"].parent == tops["y"].parent
    assert tops["x"].parent.parts[-4:] == (lab.owner.instance, "_parents", "batch", "night")
    for top in tops.values():
        assert machine.read(top / "cgroup.procs").split()
    with lab.popen("exec", "-T", "x", "sleep", "997"):
        inside = eventually(
            lambda: [pid for pid, line in in_cgroup_of(lab, lab.pid("x")).items() if line == "sleep 997"]
        )
        os.kill(inside[0], signal.SIGKILL)
    lab.up(two("cgroup_parent: /batch/night"))
    assert machine.cgroup_of(lab.pid("x"), "memory").parent.name == lab.project
    assert tops["y"].is_dir()
    lab.up(two())
    assert not [folder for folder in machine.cgroups_of(lab.owner.instance) if "_parents" in folder]


@pytest.mark.key("services.annotations")
def test_annotations_are_kept_and_change_nothing(lab: Lab) -> None:
    lab.up(two("annotations: {a: b}"))
    y = lab.pid("y")
    lab.write(two("annotations: {a: c}"))
    assert "annotations a b -> c, live" in lab.corral("plan", code=2).stdout
    lab.up()
    assert lab.pid("y") == y
    assert lab.corral("plan", code=0)


# ---------------------------------------------------------------------------------------------------------- refusals


def test_what_cannot_be_shared_is_refused_before_anything_is_touched(lab: Lab) -> None:
    said = refusals(lab, two("network_mode: 'container:nobody'"))
    assert said[0].startswith("compose.yaml:3:"), said
    assert "has no container nobody" in said[0]
    said = refusals(lab, two("pid: 'service:x', hostname: h, network_mode: 'service:x', ports: ['80:80'], expose: [1]"))
    assert [line.partition("services.y.")[2].partition(":")[0] for line in said[1:]] == ["hostname", "ports", "expose"]
    said = refusals(lab, two("ipc: 'container:" + lab.project + "-x-1'"))
    assert "x does not share its ipc namespace" in said[0]
