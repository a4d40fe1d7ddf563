"""Commands that look at what runs, or hold it: judged by what the kernel says."""

import json
import pathlib
import re
import time

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

MIB = 1 << 20


def one(command: str, *lines: str) -> str:
    return "\n    ".join(["services:\n  a:", "image: IMAGE", f"command: {command}", *lines]) + "\n"


def cgroup_pids(pid: int) -> set[int]:
    """Of the cgroup that a process is in, whichever hierarchy limits pids."""
    return {int(each) for each in (machine.cgroup_of(pid, "pids") / "cgroup.procs").read_text().split()}


# --------------------------------------------------------------------------------------------------------------- port


def test_port_names_the_port_that_was_chosen(lab: Lab) -> None:
    lab.up(one("httpd -f -p 80 -h /www", "ports: ['80', '127.0.0.1:7070:80/udp']"))
    address, _, port = lab.out("port", "a", "80").strip().rpartition(":")
    assert address == "0.0.0.0"
    assert eventually(lambda: lab.machine.tcp("127.0.0.1", int(port)) not in (machine.REFUSED, machine.SILENCE))
    assert lab.out("port", "--protocol", "udp", "a", "80") == "127.0.0.1:7070\n"
    assert "published: 80/tcp, 80/udp" in lab.refusal("port", "a", "81")


# ---------------------------------------------------------------------------------------------------------------- top


def test_top_shows_every_process_in_the_cgroup_and_no_other(lab: Lab) -> None:
    lab.up(one("sh -c 'sleep 1001 & sleep 1002 & wait'", "user: app"))
    pid = lab.pid("a")
    lines_of = lambda: {machine.command_line(each) for each in cgroup_pids(pid)}  # noqa: E731
    eventually(lambda: {"sleep 1001", "sleep 1002"} < lines_of())
    with lab.popen("exec", "-T", "-u", "root", "a", "sleep", "1003"):
        eventually(lambda: "sleep 1003" in lines_of())
        lines = [line.split(maxsplit=9) for line in lab.out("top").splitlines()]
        assert lines[0] == ["SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        assert {int(line[3]) for line in lines[1:]} == cgroup_pids(pid)
        for line in lines[1:]:
            status = machine.status(int(line[3]))
            assert line[4] == status["PPid"]
            assert line[9] == machine.command_line(int(line[3]))
            assert (line[2] == "root") == (status["Uid"].split()[1] == "0")
        assert [line[9] for line in lines[1:] if line[2] == "root"] == ["sleep 1003"]
        lab.corral("down", "-t", "0")


# --------------------------------------------------------------------------------------------------------------- wait


def test_wait_ends_with_the_container_and_its_code(lab: Lab) -> None:
    lab.up(one("sh -c 'until test -e /go; do sleep 0.02; done; exit 7'"))
    with lab.popen("wait", "a", stdout=-1) as waiting:
        lab.touch("a", "/go")
        out, _ = waiting.communicate(timeout=20)
    assert waiting.returncode == 7
    assert out == f'container "{lab.project}-a-1" exited with status code 7\n'
    lab.corral("wait", "--down-project", "a", code=7)
    assert lab.states() == {}


def test_wait_tells_a_stop_from_the_end_of_the_world(lab: Lab) -> None:
    lab.up(one("sleep 1000", "init: true"))
    with lab.popen("wait", "a", stdout=-1) as waiting:
        eventually(lambda: lab.machine.processes("orchestrator wait a"))
        lab.corral("stop")
        waiting.communicate(timeout=20)
    assert waiting.returncode == lab.ps()["a-1"]["ExitCode"] == 143


# ----------------------------------------------------------------------------------------------------------------- ls


def test_ls_lists_this_project(lab: Lab) -> None:
    lab.up(one("sleep 1000", "init: true", "scale: 2"))
    rows = {row["Name"]: row for row in json.loads(lab.out("ls", "--format", "json"))}
    assert rows[lab.project]["Status"] == "running(2)"
    assert rows[lab.project]["ConfigFiles"] == str(lab.folder / "compose.yaml")


# -------------------------------------------------------------------------------------------------------------- stats


def stats(lab: Lab) -> dict[str, dict[str, str]]:
    lines = lab.out("stats", "--no-stream", "--format", "json").splitlines()
    return {row["Service"]: row for row in map(json.loads, lines)}


def bytes_of(text: str) -> float:
    found = re.fullmatch(r"([\d.e+]+)(B|kB|MB|GB|KiB|MiB|GiB)", text)
    assert found, text
    units = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024, "MiB": MIB, "GiB": MIB * 1024}
    return float(found[1]) * units[found[2]]


def test_stats_are_what_the_kernel_counts(lab: Lab) -> None:
    lab.up(
        "services:\n"
        "  busy: {image: IMAGE, command: sh -c 'while :; do :; done', cpus: 0.5, mem_limit: 64m, stop_signal: KILL}\n"
        "  idle: {image: IMAGE, init: true, command: sleep 1000}\n"
    )
    lab.exec("idle", "sh", "-c", "wget -q -O /dev/null http://busy:1/ || true")
    busy, idle = lab.pid("busy"), lab.pid("idle")
    found = stats(lab)
    assert 15 < float(found["busy"]["CPUPerc"].rstrip("%")) < 80
    assert float(found["idle"]["CPUPerc"].rstrip("%")) < 10
    used, limit = found["busy"]["MemUsage"].split(" / ")
    assert limit == "64MiB"
    assert 0 < bytes_of(used) < 8 * MIB
    assert bytes_of(found["idle"]["MemUsage"].split(" / ")[1]) > 500 * MIB, "the machine's"
    assert int(found["busy"]["PIDs"]) == 1
    assert int(found["idle"]["PIDs"]) == len(cgroup_pids(idle)) == 2
    received, sent = map(bytes_of, found["idle"]["NetIO"].split(" / "))
    counted = json.loads(lab.place("idle").sh("ip -j -s link show dev eth0"))[0]["stats64"]
    assert received <= counted["rx"]["bytes"] * 1.01
    assert 0 < sent <= counted["tx"]["bytes"] * 1.01
    psi = machine.cgroup_of(busy, "nothing: the unified one") / "cpu.pressure"
    assert (found["busy"]["CPUPressure"] != "--") == _has_psi(psi)


def _has_psi(path: pathlib.Path) -> bool:
    try:
        return "some" in path.read_text()
    except OSError:
        return False


def test_stats_count_what_is_written_also_by_processes_that_have_ended(lab: Lab) -> None:
    lab.up(
        one(
            "sh -c 'dd if=/dev/zero of=/data/x bs=1M count=8 conv=fsync; echo written; sleep 1000'", "stop_signal: KILL"
        )
    )
    eventually(lambda: "written" in lab.out("logs"))
    said = dict(line.split(": ") for line in machine.read(f"/proc/{lab.pid('a')}/io").splitlines())
    _, written = map(bytes_of, stats(lab)["a"]["BlockIO"].split(" / "))
    assert abs(written - int(said["write_bytes"])) <= 0.01 * written
    if int(said["write_bytes"]):  # /tmp may be memory
        assert written >= 8e6


def test_a_container_in_the_machines_network_has_no_traffic_of_its_own(lab: Lab) -> None:
    lab.up(one("sleep 1000", "init: true", "network_mode: host"))
    assert stats(lab)["a"]["NetIO"] == "-- / --"
    table = lab.out("stats", "--no-stream").splitlines()
    assert table[0].split()[:2] == ["CONTAINER", "ID"]
    assert f"{lab.project}-a-1" in table[1]


# ------------------------------------------------------------------------------------------------------------- events


def events(lab: Lab, *words: str) -> list[dict[str, object]]:
    out = lab.out("events", "--json", "--since", "1h", "--until", "0s", *words)
    return [json.loads(line) for line in out.splitlines()]


def actions(lab: Lab, *words: str) -> list[object]:
    return [event["action"] for event in events(lab, *words) if event["type"] == "container"]


def test_events_are_a_stream_and_a_history(lab: Lab) -> None:
    now = str(time.time())  # what happens before the stream is there it tells first
    with lab.popen("events", "--json", "--since", now, "a", stdout=-1) as stream:
        assert stream.stdout
        lab.up(one("sleep 1000", "init: true", "healthcheck: {test: 'true', interval: 1s}"), "--wait")
        lab.corral("restart")
        lab.corral("down")
        seen: list[dict[str, object]] = []
        while not seen or seen[-1]["action"] != "destroy":
            seen.append(json.loads(stream.stdout.readline()))
        stream.terminate()
    life = [event["action"] for event in seen if event["type"] == "container"]
    assert life[:3] == ["create", "start", "health_status: healthy"]
    assert [each for each in life[3:] if each != "health_status: healthy"] == [
        "kill",
        "die",
        "stop",
        "start",
        "restart",
        "kill",
        "die",
        "stop",
        "destroy",
    ]
    assert "connect" in [event["action"] for event in seen if event["type"] == "network"]


def test_events_tell_what_happened_while_the_daemon_was_dead(lab: Lab) -> None:
    lab.up(one("sh -c 'until test -e /go; do sleep 0.02; done; exit 3'"))
    lab.exec("a", "true")
    pid = lab.pid("a")
    lab.kill("corral daemon")
    (pathlib.Path(f"/proc/{pid}/root") / "go").touch()
    eventually(lambda: not machine.is_alive(pid))
    assert eventually(lambda: actions(lab) == ["create", "start", "die"])
    last = events(lab)[-1]
    assert isinstance(last["attributes"], dict)
    assert last["attributes"]["exitCode"] == "3"
    assert last["attributes"]["name"] == f"{lab.project}-a-1"


def test_a_container_that_wants_too_much_memory_is_told_of(lab: Lab) -> None:
    lab.up(one("sh -c 'sleep 0.2; tail /dev/zero'", "mem_limit: 16m", "memswap_limit: 16m"))
    lab.corral("wait", "a", code=137)
    assert eventually(lambda: actions(lab, "a")[-2:] == ["oom", "die"])


# -------------------------------------------------------------------------------------------------------------- pause

COUNTS = "sh -c 'trap \"exit 5\" TERM; while :; do echo x >> /tmp/count; sleep 0.01; done'"


def frozen(pid: int) -> bool:
    """What the v2 tree says of the cgroup that a process is in."""
    folder = machine.cgroup_of(pid, "nothing: the unified one")
    return "frozen 1" in (folder / "cgroup.events").read_text()


def count(pid: int) -> int:
    path = pathlib.Path(f"/proc/{pid}/root/tmp/count")
    return path.stat().st_size if path.exists() else 0


def cpu_ticks(pid: int) -> int:
    fields = machine.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_paused_container_stands_still_and_goes_on_where_it_was(lab: Lab) -> None:
    lab.up(one(COUNTS))
    pid = lab.pid("a")
    eventually(lambda: count(pid) > 0)
    lab.corral("pause")
    assert frozen(pid)
    assert lab.states() == {"a-1": "paused"}
    assert lab.pid("a") == pid
    before = count(pid), cpu_ticks(pid)
    assert f"{lab.project}-a-1 is paused\n  corral unpause a" in lab.refusal("exec", "-T", "a", "true")
    assert "paused true -> false, live" in lab.corral("plan", code=2).stdout
    lab.kill("corral daemon")
    assert lab.states() == {"a-1": "paused"}
    assert (count(pid), cpu_ticks(pid)) == before
    lab.corral("unpause", "a")
    assert not frozen(pid)
    assert lab.states() == {"a-1": "running"}
    eventually(lambda: count(pid) > before[0])
    assert lab.exec("a", "echo", "hello") == "hello\n"
    lab.corral("pause", "a")
    lab.up()
    assert (lab.pid("a"), frozen(pid)) == (pid, False)


def test_a_paused_container_stops_as_cleanly_as_any(lab: Lab) -> None:
    lab.up(one(COUNTS))
    eventually(lambda: count(lab.pid("a")) > 0)
    lab.corral("pause")
    lab.corral("stop")
    assert lab.ps()["a-1"]["ExitCode"] == 5, "it heard its signal"
    lab.corral("start")
    assert lab.states() == {"a-1": "running"}
    lab.corral("pause")
    lab.corral("restart")
    assert lab.states() == {"a-1": "running"}
    lab.corral("pause")
    lab.corral("kill")
    eventually(lambda: lab.states() == {"a-1": "exited"})
    assert lab.ps()["a-1"]["ExitCode"] == 137
    lab.corral("start")
    assert lab.states() == {"a-1": "running"}
    lab.corral("pause")
    lab.corral("down")


def test_the_pause_is_kept_against_a_hand_and_a_crash(lab: Lab) -> None:
    lab.up(one("sleep 1000", "restart: always"))
    pid = lab.pid("a")
    lab.corral("pause")
    folder = machine.cgroup_of(pid, "nothing: the unified one")
    (folder / "cgroup.freeze").write_text("0")
    eventually(lambda: frozen(pid))
    machine.run("kill", "-9", str(pid))
    eventually(lambda: lab.states() == {"a-1": "paused"} and lab.pid("a") != pid and frozen(lab.pid("a")))


def test_nobody_asks_a_paused_container_for_its_health(lab: Lab) -> None:
    lab.up(
        one(
            "sleep 1000",
            "init: true",
            "healthcheck: {test: 'echo x >> /tmp/count', interval: 100ms, timeout: 5s, retries: 1}",
        ),
        "--wait",
    )
    pid = lab.pid("a")
    lab.corral("pause")
    before = count(pid)
    until = time.monotonic() + 1.0  # ten probes
    eventually(lambda: time.monotonic() > until)
    assert count(pid) == before
    assert lab.ps()["a-1"]["Health"] == "healthy"
    lab.corral("unpause")
    eventually(lambda: count(pid) > before)
    assert lab.ps()["a-1"]["Health"] == "healthy"
