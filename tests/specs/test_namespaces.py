"""Keys that share namespaces: how they are read, and what is said of those that cannot be."""

from typing import Any

import pytest

IMPLIED = {"condition": "service_started", "required": True, "restart": True, "implied": True}


@pytest.mark.parametrize(
    ("line", "key", "expected"),
    [
        ("network_mode: 'service:b'", "networks", None),
        ("network_mode: 'service:b'", "depends_on", {"b": IMPLIED}),
        ("pid: 'service:b'", "depends_on", {"b": IMPLIED}),
        ("ipc: 'service:b'", "depends_on", {"b": IMPLIED}),
        ("pid: 'container:b'", "depends_on", None),
        ("pid: 'service:b'", "networks", {"default": {}}),
        ("pid: ''", "pid", None),
        ("ipc: private", "ipc", "private"),
        ("cgroup: host", "cgroup", "host"),
        ("cgroup_parent: /a/b", "cgroup_parent", "/a/b"),
        ("annotations: [a=1, b]", "annotations", {"a": "1", "b": ""}),
    ],
)
def test_a_keys_canonical_form(folder: Any, line: str, key: str, expected: object) -> None:
    assert folder.service(line).get(key) == expected


def test_what_depends_on_says_of_whose_namespace_it_is_stays_as_it_is_said(folder: Any) -> None:
    said = folder.service("pid: 'service:b'\ndepends_on: {b: {condition: service_healthy}}")["depends_on"]["b"]
    assert (said["condition"], said["restart"], said.get("implied")) == ("service_healthy", False, None)


WRONG = {
    "pid: bogus": "pid: 'bogus' is not one of host, service:NAME, container:NAME",
    "pid: private": "pid: 'private' is not one of host, service:NAME, container:NAME",
    "pid: 'service:'": "pid: 'service:' is not one of host, service:NAME, container:NAME",
    "uts: 'service:x'": "uts: 'service:x' is not one of host",
    "cgroup: other": "cgroup: 'other' is not one of host, private",
    "ipc: other": "ipc: 'other' is not one of host, private, shareable, none, service:NAME, container:NAME",
    "network_mode: other": "network_mode: 'other' is not one of none, host, bridge, service:NAME, container:NAME",
    "ipc: 'service:x'": "ipc: x does not share its ipc namespace (say ipc: shareable at x)",
    "pid: 'service:y'": "depends_on.y: a cycle: y → y",
    "cgroup_parent: ../x": "cgroup_parent: '..' cannot be the name of a cgroup: letters, digits, '_', '-' and '.' after one",
    "cgroup_parent: a/memory.max": "cgroup_parent: 'memory.max' cannot be the name of a cgroup: it is that of a file of the kernel's",
    "cgroup_parent: a/b/c/d/e/f/g/h/i": "cgroup_parent: 'a/b/c/d/e/f/g/h/i' does not name 1 to 8 cgroups, separated by /",
    "ipc: host\n    sysctls: {kernel.msgmax: 5}": "sysctls.kernel.msgmax: kernel.msgmax cannot be set with ipc host: the ipc namespace is another's",
    "uts: host\n    hostname: h": "hostname: cannot be given together with uts host: the name is the machine's",
}
BESIDE = {
    "ports: ['80:80']": "ports: nothing can be mapped with network_mode service:x",
    "links: [x]": "links: there are no links with network_mode service:x",
    "sysctls: {net.core.somaxconn: 5}": "sysctls.net.core.somaxconn: net.core.somaxconn cannot be set with network_mode service:x: the network is another's (set it there)",
    **{
        line: f"{line.partition(':')[0]}: cannot be given together with network_mode service:x (give it to the container whose network it is)"
        for line in (
            "hostname: h",
            "domainname: d",
            "expose: [80]",
            "extra_hosts: {a: 1.2.3.4}",
            "dns: 1.1.1.1",
            "dns_search: d",
            "dns_opt: [o]",
        )
    },
}
WRONG |= {f"network_mode: 'service:x'\n    {line}": what for line, what in BESIDE.items()}


@pytest.mark.parametrize("line", WRONG)
def test_what_cannot_be_is_refused_where_it_is_written(folder: Any, line: str) -> None:
    folder.write({"compose.yaml": f"services:\n  x: {{image: host}}\n  y:\n    image: host\n    {line}\n"})
    (said,) = folder.complaint("", environment={}).splitlines()
    place, _, what = said.partition(" services.y.")
    assert what == WRONG[line]
    assert place.startswith(f"compose.yaml:{5 + line.count(chr(10))}:")


def test_a_service_that_there_is_not_is_named(folder: Any) -> None:
    folder.write({"compose.yaml": "services:\n  y: {image: host, pid: 'service:x'}\n"})
    assert folder.complaint("", environment={}) == "compose.yaml:2:20: services.y.pid: there is no service x"


def test_a_size_of_shared_memory_that_is_not_its_own_is_noted(folder: Any) -> None:
    folder.write({"compose.yaml": "services:\n  y: {image: host, ipc: host, shm_size: 1g}\n"})
    loaded = folder.load(environment={})
    assert loaded.notes == (
        "compose.yaml:2:31: services.y.shm_size: it is of no use with ipc host: that /dev/shm is not this container's",
    )
