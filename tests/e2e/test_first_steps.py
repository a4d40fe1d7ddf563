"""Two containers on the machine's own network: up, ps, exec, logs, stop, start, down."""

import json
import os
import pathlib

import pytest

from tests.e2e.lab import Lab, eventually

TWO = """
services:
  one:
    image: IMAGE
    command: ["sh", "-c", "echo hello from one; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    network_mode: host
    init: true
  two:
    image: IMAGE
    command: ["sh", "-c", "echo hello from two; exec sleep 1000"]
    network_mode: host
    init: true
"""


@pytest.mark.key("services")
def test_up_starts_what_is_declared_and_down_leaves_nothing(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    found = lab.ps()
    assert {name: line["State"] for name, line in found.items()} == {"one-1": "running", "two-1": "running"}
    for line in found.values():
        assert pathlib.Path(f"/proc/{line['Pid']}").exists()
    lab.corral("down")
    assert lab.ps() == {}
    for line in found.values():
        assert not pathlib.Path(f"/proc/{line['Pid']}").exists()


def test_a_daemon_that_ends_with_nothing_to_keep_leaves_its_run_folder_empty(lab: Lab) -> None:
    lab.up(TWO)
    lab.corral("down", "-v", "-t", "0")
    lab.corral("daemon", "stop")
    assert os.listdir(lab.run_folder) == []


def test_a_second_up_does_nothing_and_plan_says_so(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("plan", code=2)
    lab.corral("up", "-d")
    before = {name: line["Pid"] for name, line in lab.ps().items()}
    lab.corral("plan", code=0)
    lab.corral("up", "-d")
    assert {name: line["Pid"] for name, line in lab.ps().items()} == before


def test_exec_runs_in_the_container_and_passes_its_exit_code_on(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    assert lab.exec("one", "cat", "/etc/passwd").startswith("root:x:0:0")
    assert lab.exec("one", "sh", "-c", "exit 7", code=7) == ""
    inside = lab.exec("two", "ps", "-o", "args")
    assert "sleep 1000" in inside
    assert "hello from one" not in inside


def test_logs_tell_what_each_service_wrote(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    eventually(lambda: "hello from one" in lab.out("logs", "one"))
    eventually(lambda: "hello from two" in lab.out("logs"))
    assert "hello from two" not in lab.out("logs", "one")
    assert lab.out("logs", "--no-log-prefix", "two") == "hello from two\n"


def test_stop_keeps_the_container_and_start_brings_it_back(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.exec("one", "touch", "/kept")
    lab.corral("stop", "one")
    assert lab.ps()["one-1"]["State"] == "exited"
    lab.corral("start", "one")
    assert lab.ps()["one-1"]["State"] == "running"
    lab.exec("one", "ls", "/kept")


def test_doctor_says_what_this_machine_has(lab: Lab) -> None:
    found = [json.loads(line) for line in lab.out("doctor", "--format", "json").splitlines()]
    assert {"kernel", "iptables", "overlay", "cgroups"} <= {each["Subject"] for each in found}
    assert all(each["Verdict"] in ("ok", "limited") for each in found)
    assert "takes our rules" in lab.out("doctor")
    lab.machine.sh(
        "nft add table inet fw; nft add chain inet fw f '{ type filter hook forward priority 0; policy drop; }'"
    )
    try:
        assert "inet fw/f" in lab.out("doctor")
    finally:
        lab.machine.sh("nft delete table inet fw")
