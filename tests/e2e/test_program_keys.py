"""Keys that say what runs: the program, its surroundings, who it is, and how often."""

import json
import os
from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually


def words(pid: int, what: str) -> list[str]:
    return machine.read(f"/proc/{pid}/{what}").rstrip("\0").split("\0")


def labels_of(line: dict[str, Any]) -> dict[str, str]:
    """As `ps --format json` writes them, and `docker ps`."""
    return dict(pair.split("=", 1) for pair in line["Labels"].split(","))


@pytest.mark.key("services.command", "services.entrypoint", "services.image")
def test_the_program_is_the_entrypoint_and_its_arguments_the_command(lab: Lab) -> None:
    lab.up(
        """
        services:
          list: {image: IMAGE, network_mode: none, entrypoint: [env, N=1, sleep], command: ["1000"]}
          text: {image: IMAGE, network_mode: none, entrypoint: sh -c, command: '"exec sleep 10$$HOME_NOT"'}
          alone: {image: IMAGE, network_mode: none, command: ["sleep", "77"]}
          machines: {image: host, network_mode: none, command: sleep 88}
        """
    )
    eventually(lambda: words(lab.pid("list"), "cmdline") == ["sleep", "1000"])
    assert "N=1" in words(lab.pid("list"), "environ")
    eventually(lambda: words(lab.pid("text"), "cmdline") == ["sleep", "10"])
    assert words(lab.pid("alone"), "cmdline") == ["sleep", "77"]
    assert os.readlink(f"/proc/{lab.pid('alone')}/exe") == "/bin/busybox"
    assert os.path.samefile("/usr/bin/sleep", "/bin/sleep")
    assert os.readlink(f"/proc/{lab.pid('machines')}/exe") == os.path.realpath("/bin/sleep")


@pytest.mark.key("services.environment", "services.env_file")
def test_the_environment_is_what_file_and_files_say(lab: Lab) -> None:
    lab.write("FROM_FILE=1\nBOTH=file\nQUOTED='a $b'\n", "some.env")
    lab.write("RAW='a $b'\n", "raw.env")
    lab.environment["TAKEN"] = "from the shell"
    lab.up(
        """
        services:
          a:
            image: IMAGE
            network_mode: none
            command: sleep 1000
            env_file: [some.env, {path: raw.env, format: raw}, {path: not-there.env, required: false}]
            environment: {BOTH: map, TAKEN: , EMPTY: ""}
          b: {image: IMAGE, network_mode: none, command: sleep 1000, environment: [A=1, B=]}
        """
    )
    found = dict(line.split("=", 1) for line in words(lab.pid("a"), "environ"))
    assert (
        found.items()
        >= {
            "FROM_FILE": "1",
            "BOTH": "map",
            "QUOTED": "a $b",
            "RAW": "'a $b'",
            "TAKEN": "from the shell",
            "EMPTY": "",
        }.items()
    )
    assert {"A=1", "B="} <= set(words(lab.pid("b"), "environ"))


@pytest.mark.key("services.user", "services.working_dir")
def test_who_it_is_and_where_it_starts(lab: Lab) -> None:
    lab.up(
        """
        services:
          name: {image: IMAGE, network_mode: none, command: sleep 1000, user: app, working_dir: /made/for/it}
          number: {image: IMAGE, network_mode: none, command: sleep 1000, user: "77:88"}
        """
    )
    assert machine.status(lab.pid("name"))["Uid"].split() == ["1000"] * 4
    assert os.readlink(f"/proc/{lab.pid('name')}/cwd") == "/made/for/it"
    assert machine.status(lab.pid("number"))["Uid"].split() == ["77"] * 4
    assert machine.status(lab.pid("number"))["Gid"].split() == ["88"] * 4
    assert os.readlink(f"/proc/{lab.pid('number')}/cwd") == "/"


@pytest.mark.key("services.scale")
def test_as_many_as_the_file_says(lab: Lab) -> None:
    text = "services: {a: {image: IMAGE, network_mode: none, command: sleep 1000, scale: %d}}\n"
    lab.up(text % 3)
    first = lab.pid("a-1")
    assert sorted(machine.in_cgroups(lab.owner.instance).values()) == ["sleep 1000"] * 3
    lab.up(text % 1, "-t", "0")
    assert machine.in_cgroups(lab.owner.instance) == {first: "sleep 1000"}


@pytest.mark.key("networks.name", "networks.driver", "networks.ipam.driver", "volumes.name", "volumes.driver")
def test_names_and_drivers_of_networks_and_volumes(lab: Lab) -> None:
    lab.up(
        """
        services: {a: {image: IMAGE, command: sleep 1000, volumes: ["data:/data"]}}
        networks: {default: {name: own-network, driver: bridge, ipam: {driver: default}}}
        volumes: {data: {name: own-volume, driver: local}}
        """
    )
    assert (lab.owner.root / "volumes/own-volume/_data").is_dir()
    assert lab.ps()["a-1"]["Addresses"].keys() == {"default"}
    source = machine.read(f"/proc/{lab.pid('a')}/mountinfo")
    assert "/volumes/own-volume/_data /data " in source


@pytest.mark.key(
    "configs.file", "configs.environment", "configs.name", "secrets.environment", "secrets.name", "services.secrets.gid"
)
def test_where_configs_and_secrets_come_from(lab: Lab) -> None:
    lab.write("in the file", "motd")
    lab.environment["TOKEN"] = "t0ken"
    lab.up(
        """
        services:
          a: {image: IMAGE, network_mode: none, command: sleep 1000, configs: [motd, user], secrets: [{source: token, gid: "77"}]}
        configs: {motd: {file: ./motd, name: any}, user: {environment: TOKEN}}
        secrets: {token: {environment: TOKEN, name: other}}
        """
    )
    root = f"/proc/{lab.pid('a')}/root"
    assert (machine.read(f"{root}/motd"), machine.read(f"{root}/user")) == ("in the file", "t0ken")
    assert machine.read(f"{root}/run/secrets/token") == "t0ken"
    assert os.stat(f"{root}/run/secrets/token").st_gid == 77


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("configs", "file: ./kept"),
        ("configs", "environment: KEPT"),
        ("configs", "content: kept"),
        ("secrets", "file: ./kept"),
        ("secrets", "environment: KEPT"),
    ],
)
@pytest.mark.key(
    "services.configs.uid",
    "services.configs.gid",
    "services.configs.mode",
    "services.secrets.uid",
    "services.secrets.gid",
    "services.secrets.mode",
)
def test_owner_and_mode_of_a_config_and_a_secret_from_every_source(lab: Lab, kind: str, source: str) -> None:
    """The source has others: what it says of itself does not count."""
    lab.write("kept", "kept")
    (lab.folder / "kept").chmod(0o640)
    os.chown(lab.folder / "kept", 33, 34)
    lab.environment["KEPT"] = "kept"
    said = {
        "/uid": ("uid: '1001'", (1001, 0, 0o444)),
        "/gid": ("gid: '1002'", (0, 1002, 0o444)),
        "/mode": ("mode: 0640", (0, 0, 0o640)),
        "/text": ("mode: '0400'", (0, 0, 0o400)),
        "/all": ("uid: '1003', gid: '1004', mode: 0007", (1003, 1004, 0o007)),
        "/none": ("", (0, 0, 0o444)),
    }
    uses = "".join(f"\n      - {{source: c, target: {target}, {fields}}}" for target, (fields, _) in said.items())
    lab.up(
        f"""
services:
  a:
    image: IMAGE
    network_mode: none
    command: sleep 1000
    {kind}: {uses}
{kind}: {{c: {{{source}}}}}
"""
    )
    root = f"/proc/{lab.pid('a')}/root"
    found = {target: os.stat(f"{root}{target}") for target in said}
    assert {target: (at.st_uid, at.st_gid, at.st_mode & 0o7777) for target, at in found.items()} == {
        target: expected for target, (_, expected) in said.items()
    }
    assert {machine.read(f"{root}{target}") for target in said} == {"kept"}


@pytest.mark.key("services.labels", "services.label_file", "networks.labels", "volumes.labels")
def test_labels_are_seen_on_what_they_are_said_of(lab: Lab) -> None:
    lab.write("from=file\ntier=file\n", "file.labels")
    lab.up(
        """
        services:
          a: {image: IMAGE, command: sleep 1000, labels: {tier: front, empty: }, label_file: file.labels, volumes: ["data:/data"]}
          b: {image: IMAGE, command: sleep 1000, labels: ["tier=back"]}
        networks: {default: {labels: {of: the network}}}
        volumes: {data: {labels: ["of=the volume"]}}
        """
    )
    rows = lab.ps()
    found = {name: {"from", "tier", "empty"} & labels_of(line).keys() for name, line in rows.items()}
    assert found == {"a-1": {"from", "tier", "empty"}, "b-1": {"tier"}}
    a = labels_of(rows["a-1"])
    assert (a["from"], a["tier"], a["empty"], labels_of(rows["b-1"])["tier"]) == ("file", "front", "", "back")
    for kind, name, value in (("network", "default", "the network"), ("volume", "data", "the volume")):
        told = json.loads(lab.out(kind, "inspect", f"{lab.project}_{name}"))
        assert told[0]["Labels"]["of"] == value
    assert lab.out("network", "ls", "-q", "--filter", "label=of=the network").split() != []
    assert lab.out("network", "ls", "-q", "--filter", "label=of=others") == ""
