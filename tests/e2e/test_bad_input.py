"""Bad input: a clear error that names file, line and column or the resource, nothing touched, and what ran keeps running."""

import os

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

RUNS = """services:
  keeps: {image: IMAGE, init: true, command: sleep 1000, ports: ["8050:80"], networks: [lab]}
networks: {lab: {ipam: {config: [{subnet: 10.62.0.0/24}]}}}
"""
TAIL = (
    "networks: {lab: {ipam: {config: [{subnet: 10.62.0.0/24}]}}, other: {ipam: {config: [{subnet: 10.63.0.0/24}]}}}\n"
)
HEAD = RUNS.partition("networks: {lab: {ipam")[0]
BOMB = "x-a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"x-{letter}: &{letter} [{', '.join([f'*{chr(ord(letter) - 1)}'] * 9)}]\n" for letter in "bcdefghij"
)

BEFORE_ANYTHING = {  # the text, with § before what the error is about, and words of the error
    "a cycle": (
        f"{HEAD}  a: {{image: IMAGE, depends_on: [§b]}}\n  b: {{image: IMAGE, depends_on: [a]}}\n{TAIL}",
        ("services.a.depends_on.b", "a → b → a"),
    ),
    "an unknown network": (
        f"{HEAD}  a: {{image: IMAGE, networks: [§nope]}}\n{TAIL}",
        ("services.a.networks.nope", "there is no network nope"),
    ),
    "an address outside its subnet": (
        f"{HEAD}  a: {{image: IMAGE, networks: {{lab: {{§ipv4_address: 10.9.9.9}}}}}}\n{TAIL}",
        ("services.a", "10.9.9.9", "10.62.0.0/24", "network lab"),
    ),
    "an address taken twice": (
        f"{HEAD}  a: {{image: IMAGE, networks: {{lab: {{ipv4_address: 10.62.0.9}}}}}}\n"
        f"  b: {{image: IMAGE, networks: {{lab: {{§ipv4_address: 10.62.0.9}}}}}}\n{TAIL}",
        ("services.b", "10.62.0.9", "services.a"),
    ),
    "two services on one host port": (
        f"{HEAD}  a: {{image: IMAGE, ports: [§'8050:1']}}\n{TAIL}",
        ("services.a", "8050/tcp", "services.keeps"),
    ),
    "a subnet that overlaps a host route": (
        f"{HEAD}  a: {{image: IMAGE, networks: [n]}}\nnetworks: {{lab: {{}}, n: {{ipam: {{config: [{{§subnet: 203.0.113.0/25}}]}}}}}}\n",
        ("networks.n", "203.0.113.0/25", "ext0"),
    ),
    "a port taken by someone else": (
        f"{HEAD}  a: {{image: IMAGE, §ports: ['8051:80']}}\n{TAIL}",
        ("services.a", "8051/tcp", f"pid {os.getpid()}"),
    ),
    "a missing env file": (
        f"{HEAD}  a: {{image: IMAGE, §env_file: nope.env}}\n{TAIL}",
        ("services.a", "nope.env", "does not exist"),
    ),
    "YAML that does not parse": ("services:\n  a: [\n§", ("not YAML",)),
    "an alias bomb": (f"{BOMB}{HEAD}{TAIL}", ("compose.yaml:6:10", "aliases", "100000")),
    "a key given twice": (f"{HEAD}  §keeps: {{image: IMAGE}}\n{TAIL}", ("'keeps'", "compose.yaml:2:3")),
    "a misspelled key": (f"{HEAD}  a: {{image: IMAGE, §comand: x}}\n{TAIL}", ("comand", "command?")),
    "a key that asks for what is not here": (
        f"{HEAD}  a: {{image: IMAGE, §use_api_socket: true}}\n{TAIL}",
        ("services.a", "there is no API of Docker's here"),
    ),
    "a volume that is not declared": (
        f"{HEAD}  a: {{image: IMAGE, volumes: [§'data:/data']}}\n{TAIL}",
        ("services.a.volumes", "data"),
    ),
    "a variable that must be set": (
        f"{HEAD}  a: {{§image: '${{CORRAL_TEST_NOT_SET:?say which}}'}}\n{TAIL}",
        ("CORRAL_TEST_NOT_SET", "say which"),
    ),
}

WHEN_TRIED = {  # the service, and words of what is said of it
    "a binary that is not in the image": ("command: [/no/such/binary]", ("container:a", "/no/such/binary")),
    "a limit that the kernel refuses": ("command: sleep 9, cpuset: '63'", ("container:a", "cpuset", "63")),
    "a user that is not in the image": ("command: sleep 9, user: nobodys", ("container:a", "nobodys")),
    "a file to bind that is not there": (
        "command: sleep 9, volumes: [{type: bind, source: /no/such/file, target: /x, bind: {create_host_path: false}}]",
        ("/no/such/file",),
    ),
}


def place_of(lab: Lab, text: str) -> str:
    """FILE:LINE:COLUMN of the § in the text, as it will be in the file."""
    before = text.replace("IMAGE", lab.owner.image).partition("§")[0]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f"compose.yaml:{line}:{column}: "


def touchable(lab: Lab) -> dict[str, object]:
    """All that `up` could touch."""
    cgroups = machine.in_cgroups(lab.owner.instance)
    return lab.owner.snapshot() | {"identities": [(pid, machine.start_time(pid)) for pid in sorted(cgroups)]}


@pytest.mark.parametrize("case", BEFORE_ANYTHING.values(), ids=BEFORE_ANYTHING)
def test_is_refused_before_anything_is_touched(lab: Lab, case: tuple[str, tuple[str, ...]]) -> None:
    text, words = case
    lab.machine.serve(8051)
    try:
        lab.up(RUNS)
        lab.corral("plan", code=0)
        before = touchable(lab)
        lab.write(text.replace("§", ""))
        for command in (("up", "-d"), ("plan",)):
            said = lab.refusal(*command)
            assert "§" not in text or place_of(lab, text) in said
            for word in words:
                assert word in said
            assert "Traceback" not in said
        assert touchable(lab) == before
        lab.write(RUNS)
        lab.corral("plan", code=0)
    finally:
        lab.machine.close_sockets()


@pytest.mark.parametrize("case", WHEN_TRIED.values(), ids=WHEN_TRIED)
def test_what_only_the_start_can_know_names_the_resource_and_what_runs_keeps_running(
    lab: Lab, case: tuple[str, tuple[str, ...]]
) -> None:
    declared, words = case
    lab.up(RUNS)
    pid, since = lab.pid("keeps"), machine.start_time(lab.pid("keeps"))
    lab.write(f"{HEAD}  a: {{image: IMAGE, {declared}}}\n{TAIL}")
    said = lab.refusal("up", "-d")
    for word in words:
        assert word in said
    assert "Traceback" not in said
    assert (lab.pid("keeps"), machine.start_time(pid)) == (pid, since)
    assert "running" not in [state for name, state in lab.states().items() if name != "keeps-1"]
    assert {line for line in machine.in_cgroups(lab.owner.instance).values() if line == "sleep 9"} == set()
    lab.up(RUNS, "-t", "0")
    assert lab.states() == {"keeps-1": "running"}


def test_all_errors_of_a_file_are_told_at_once(lab: Lab) -> None:
    lab.write("services:\n  a: {image: IMAGE, comand: x}\n  b: {image: IMAGE, ports: ['70000:1']}\n  c: {imag: y}\n")
    said = lab.refusal("up", "-d")
    for line in (2, 3, 4):
        assert f"compose.yaml:{line}:" in said


def test_an_error_names_the_file_that_it_is_in(lab: Lab) -> None:
    lab.write(RUNS)
    lab.write("services:\n  keeps:\n    mem_limit: lots\n", "more.yaml")
    assert "more.yaml:3:" in lab.refusal("-f", "compose.yaml", "-f", "more.yaml", "up", "-d")


def test_no_file_at_all(lab: Lab) -> None:
    said = lab.refusal("up", "-d")
    assert "compose.yaml" in said
    assert str(lab.folder) in said


def test_a_service_that_is_not_there(lab: Lab) -> None:
    lab.up(RUNS)
    for command in (("up", "-d", "nope"), ("exec", "-T", "nope", "true"), ("stop", "nope"), ("logs", "nope")):
        assert "nope" in lab.refusal(*command)
    assert lab.states() == {"keeps-1": "running"}


def test_an_image_that_is_not_there(lab: Lab) -> None:
    lab.up(RUNS)
    for image, words in (
        ("rootfs:/no/such/folder", "/no/such/folder"),
        ("debian:12", "'debian:12' is not supported yet"),
    ):
        lab.write(f"{HEAD}  a: {{image: '{image}'}}\n{TAIL}")
        assert words in lab.refusal("up", "-d")
        assert lab.states()["keeps-1"] == "running"


def test_what_is_wrong_can_be_put_right_by_the_next_up(lab: Lab) -> None:
    text = "services: {a: {image: IMAGE, init: true, command: COMMAND}}\n"
    lab.write(text.replace("COMMAND", "/no/such"))
    assert "/no/such" in lab.refusal("up", "-d")
    lab.up(text.replace("COMMAND", "sleep 1000"), "-t", "0")
    assert eventually(lambda: lab.pid("a"))
    lab.corral("plan", code=0)
