"""Attacks by what is written in files and on command lines: names, labels, settings; and by what a container makes us say."""

import json
import re

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab

NASTY = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What a terminal or a reader obeys; a newline ends our own lines."""

TRAVERSAL, LINES, TERMINAL = "../../../tmp/corral-owned", "a\\nb: c", "\\e]0;owned\\a\\e[2J"
PLACES = {
    "service": 'services: {"§": {image: IMAGE}}',
    "container_name": 'services: {a: {image: IMAGE, container_name: "§"}}',
    "hostname": 'services: {a: {image: IMAGE, hostname: "§"}}',
    "domainname": 'services: {a: {image: IMAGE, domainname: "§"}}',
    "alias": 'services: {a: {image: IMAGE, networks: {n: {aliases: ["§"]}}}}\nnetworks: {n: }',
    "network": 'services: {a: {image: IMAGE, networks: ["§"]}}\nnetworks: {"§": }',
    "network's name": 'services: {a: {image: IMAGE, networks: [n]}}\nnetworks: {n: {name: "§"}}',
    "volume": 'services: {a: {image: IMAGE, volumes: [{type: volume, source: "§", target: /x}]}}\nvolumes: {"§": }',
    "volume's name": 'services: {a: {image: IMAGE, volumes: ["v:/x"]}}\nvolumes: {v: {name: "§"}}',
}


def assert_clean(text: str) -> None:
    assert not NASTY.search(text), repr(text)


@pytest.mark.parametrize("place", PLACES)
def test_a_name_that_is_a_path_or_a_terminals_command_is_refused_in_clean_words(lab: Lab, place: str) -> None:
    """CVE-2024-3154: names that would become paths, properties or lines of a file."""
    before = lab.owner.snapshot()
    for name in (TRAVERSAL, LINES, TERMINAL):
        lab.write(PLACES[place].replace("§", name) + "\n")
        said = lab.refusal("up", "-d")
        assert_clean(said)
        assert "Traceback" not in said
    assert lab.owner.snapshot() == before


@pytest.mark.parametrize("name", ["../../../tmp/corral-owned", "/", ".", "a\nb", "a/exec", "\x1b]0;owned\x07"])
def test_a_projects_name_never_is_a_path(lab: Lab, name: str) -> None:
    """CVE-2024-3154: it is part of files, cgroups and sockets: refused, or made harmless as Compose does."""
    lab.write("services: {a: {image: IMAGE, command: sleep 9}}\n")
    before = lab.owner.snapshot()
    assert_clean(lab.refusal("-p", name, "up", "-d"))
    for command in ("down", "ps", "stop"):
        said = lab.corral("-p", name, command, code=None)
        assert said.stdout.count("\n") <= 1, "there is nothing to show"
        assert_clean(said.stderr)
        assert "Traceback" not in said.stderr
    assert lab.owner.snapshot() == before
    lab.write(f"name: {json.dumps(name)}\nservices: {{a: {{image: IMAGE}}}}\n")
    del lab.environment["COMPOSE_PROJECT_NAME"]
    said = lab.corral("config", code=None)
    lab.environment["COMPOSE_PROJECT_NAME"] = lab.project
    assert_clean(said.stderr)
    assert said.returncode == 1 or re.match(r"name: [a-z0-9][a-z0-9_-]*\n", said.stdout)


SYSCTLS = (
    "kernel.core_pattern",
    "net.ipv4.ip_forward+kernel.core_pattern",
    "net/../kernel/hostname",
    "net.a\\nkernel.b",
)


@pytest.mark.parametrize("name", SYSCTLS)
def test_settings_of_the_kernels_that_a_file_asks_for_are_refused(lab: Lab, name: str) -> None:
    """CVE-2022-0811: `sysctls` with a `+`, a `..`, a newline."""
    paths = [f"/proc/sys/kernel/{each}" for each in ("core_pattern", "hostname", "panic")]
    before = [machine.read(path) for path in paths]
    lab.write(f'services: {{a: {{image: IMAGE, command: sleep 9, sysctls: {{"{name}": "|/tmp/owned"}}}}}}\n')
    said = lab.refusal("up", "-d")
    assert "sysctls" in said
    assert_clean(said)
    assert [machine.read(path) for path in paths] == before
    assert lab.ps() == {}


def test_labels_commands_and_variables_reach_no_terminal_as_they_are(lab: Lab) -> None:
    """Whatever may hold any text: shown by ps, plan and up, it moves no cursor and forges no line."""
    evil = "\\e[2J\\e]0;owned\\a\\x9b31m\\rcorral: all is well\\u202e\\n../../x"
    text = (
        f'services: {{a: {{image: IMAGE, init: true, command: ["sleep", "1000", "{evil}"], labels: {{"{evil}": "{evil}"}},'
        f' environment: {{E: "{evil}"}}, volumes: [{{type: tmpfs, target: "/x{evil}"}}]}}}}\n'
    )
    lab.write(text)
    for command in (
        ("plan",),
        ("up", "-d"),
        ("ps", "-a"),
        ("ps", "--format", "json"),
        ("config",),
        ("stop", "-t", "0"),
    ):
        done = lab.corral(*command, code=None)
        assert done.returncode in (0, 1, 2), command
        if command == ("config",):
            assert_clean(done.stdout.replace("\\n", ""))
        else:
            assert_clean(done.stdout + done.stderr)
        assert "\ncorral: all is well" not in done.stdout + done.stderr, command
    lab.write(text.replace("sleep", "true"))
    assert_clean(lab.corral("plan", code=None).stdout)


def test_what_a_container_makes_us_complain_of_reaches_no_terminal_as_it_is(lab: Lab) -> None:
    """A program whose interpreter, and a folder whose name, would be obeyed by the terminal of who runs `exec`."""
    lab.up("services: {a: {image: IMAGE, init: true, command: sleep 1000}}\n")
    evil = "\x1b]0;owned\x07\x1b[2J\r"
    lab.exec("a", "sh", "-c", 'printf "#!/$1\\n" > /bin/tool; chmod 755 /bin/tool', "sh", evil)
    for words in (("/bin/tool",), (f"/bin/{evil}",)):
        done = lab.corral("exec", "-T", "a", *words, code=None)
        assert done.returncode != 0
        assert "owned" in done.stderr, "the name is told"
        assert_clean(done.stderr)
    lab.write(f"services: {{a: {{image: IMAGE, command: {json.dumps(['/none' + evil])}}}}}\n")
    assert_clean(lab.corral("up", "-d", code=1).stderr)
    assert_clean(lab.out("ps", "-a"))
    lab.write("services: {a: {image: IMAGE, init: true, command: sleep 1000}}\n")
