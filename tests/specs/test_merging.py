"""Several files, and several documents in one, made one project."""

from typing import Any

import pytest

BASE = """
    services:
      a:
        image: host
        command: [base, command]
        environment: {KEPT: base, CHANGED: base}
        labels: [kept=base, changed=base]
        ports: ["8080:80", "8443:443"]
        expose: [1, 2]
        volumes: ["./base:/data", "./kept:/kept"]
        dns: 1.1.1.1
        tmpfs: [/run, "/tmp:size=1m"]
        extra_hosts: ["one=1.1.1.1"]
        depends_on: [b]
        profiles: []
        networks: [lab]
        healthcheck: {test: [CMD, base], interval: 5s}
        env_file: []
        stop_signal: SIGINT
        cap_add: [CAP_BPF, CAP_CHOWN]
        sysctls: [net.a=1]
        devices: [/dev/a, /dev/b]
        security_opt: [no-new-privileges]
        ulimits: {nofile: 5, nproc: 7}
      b: {image: host}
      c: {image: host}
    networks:
      lab: {ipam: {config: [{subnet: 10.1.0.0/24, gateway: 10.1.0.9}]}}
"""


def merged(folder: Any, override: str, service: str = "a") -> Any:
    folder.write({"compose.yaml": BASE, "more.yaml": override})
    loaded = folder.load(files=("compose.yaml", "more.yaml"))
    return loaded.canonical["services"].get(service)


def with_fields(fields: str) -> str:
    return f"services:\n  a:\n    {fields}\n"


@pytest.mark.parametrize(
    ("fields", "key", "expected"),
    [
        ("command: other", "command", ["other"]),
        ("command:", "command", None),
        ("stop_signal: SIGTERM", "stop_signal", "SIGTERM"),
        ("stop_signal:", "stop_signal", "SIGINT"),
        ("environment: [CHANGED=new, ADDED=1]", "environment", {"KEPT": "base", "CHANGED": "new", "ADDED": "1"}),
        ("environment: [CHANGED]", "environment", {"KEPT": "base"}),
        ("labels: {changed: new, added: 1}", "labels", {"kept": "base", "changed": "new", "added": "1"}),
        ("expose: ['2', 3]", "expose", ["1", "2", "3"]),
        ("dns: [2.2.2.2, 1.1.1.1]", "dns", ["1.1.1.1", "2.2.2.2"]),
        ("tmpfs: /new", "tmpfs", ["/run", "/tmp:size=1m", "/new"]),
        ("tmpfs: ['/tmp:size=2m']", "tmpfs", ["/run", "/tmp:size=2m"]),
        ("extra_hosts: {one: 1.1.1.1, two: 2.2.2.2}", "extra_hosts", [["one", "1.1.1.1"], ["two", "2.2.2.2"]]),
        ("cap_add: [CAP_KILL, CAP_BPF]", "cap_add", ["BPF", "CHOWN", "KILL"]),
        (
            "devices: ['/dev/new:/dev/b', /dev/c]",
            "devices",
            [
                {"source": "/dev/a", "target": "/dev/a", "permissions": "rwm"},
                {"source": "/dev/new", "target": "/dev/b", "permissions": "rwm"},
                {"source": "/dev/c", "target": "/dev/c", "permissions": "rwm"},
            ],
        ),
        (
            "security_opt: ['no-new-privileges:false', seccomp=unconfined]",
            "security_opt",
            ["no-new-privileges:false", "seccomp=unconfined"],
        ),
        ("sysctls: {net.a: 2, kernel.sem: 3}", "sysctls", {"net.a": "2", "kernel.sem": "3"}),
        (
            "ulimits: {nproc: {soft: 1, hard: 2}, core: 0}",
            "ulimits",
            {"nofile": {"soft": 5, "hard": 5}, "nproc": {"soft": 1, "hard": 2}, "core": {"soft": 0, "hard": 0}},
        ),
        (
            "healthcheck: {test: other, retries: 5}",
            "healthcheck",
            {"test": ["CMD-SHELL", "other"], "interval": 5.0, "retries": 5},
        ),
    ],
)
def test_one_key(folder: Any, fields: str, key: str, expected: object) -> None:
    assert merged(folder, with_fields(fields)).get(key) == expected


def test_ports_are_added_unless_they_are_the_same(folder: Any) -> None:
    ports = merged(folder, with_fields('ports: ["8080:80", "9090:80", {target: 80, published: 8443}]'))["ports"]
    assert [(port["published"], port["target"]) for port in ports] == [
        ("8080", 80),
        ("8443", 443),
        ("9090", 80),
        ("8443", 80),
    ]


def test_a_mount_replaces_the_one_at_its_target(folder: Any) -> None:
    volumes = merged(folder, with_fields('volumes: ["./new:/data:ro", "./added:/added"]'))["volumes"]
    assert [(mount["source"].rpartition("/")[2], mount["target"], mount["read_only"]) for mount in volumes] == [
        ("new", "/data", True),
        ("kept", "/kept", False),
        ("added", "/added", False),
    ]


def test_what_compose_takes_for_a_drive_is_merged_as_such(folder: Any) -> None:
    """To Compose the first is a mount at `x:/a`, which the second does not replace; to us, who could, both are at /a."""
    text = "services:\n  base: {image: host, volumes: ['x:/a']}\n  a: {extends: base, volumes: [/a]}\nvolumes: {x: }\n"
    assert "services.a.volumes[1]: /a is mounted already, by volumes[0]" in folder.complaint(text)


def test_dependencies_are_merged_by_name_whatever_their_form(folder: Any) -> None:
    found = merged(
        folder, with_fields("depends_on: {b: {restart: true}, c: {condition: service_completed_successfully}}")
    )
    assert found["depends_on"] == {
        "b": {"condition": "service_started", "required": True, "restart": True},
        "c": {"condition": "service_completed_successfully", "required": True, "restart": False},
    }


def test_networks_are_merged_by_name_whatever_their_form(folder: Any) -> None:
    found = merged(folder, with_fields("networks: {lab: {aliases: [x]}, default: }"))
    assert found["networks"] == {"lab": {"aliases": ["x"]}, "default": {}}


def test_pools_are_merged_by_subnet(folder: Any) -> None:
    folder.write({"compose.yaml": BASE})
    folder.write({"same.yaml": "networks: {lab: {ipam: {config: [{subnet: 10.1.0.0/24, ip_range: 10.1.0.128/25}]}}}"})
    folder.write({"other.yaml": "networks: {lab: {ipam: {config: [{subnet: 10.2.0.0/24}]}}}"})
    same = folder.load(files=("compose.yaml", "same.yaml")).canonical["networks"]["lab"]["ipam"]["config"]
    assert same == [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.9", "ip_range": "10.1.0.128/25"}]
    other = folder.load(files=("compose.yaml", "other.yaml")).canonical["networks"]["lab"]["ipam"]["config"]
    assert other == [{"subnet": "10.2.0.0/24"}]


def test_override_replaces(folder: Any) -> None:
    found = merged(folder, with_fields("ports: !override ['1:1']\n    environment: !override {ONLY: '1'}"))
    assert [port["published"] for port in found["ports"]] == ["1"]
    assert found["environment"] == {"ONLY": "1"}


def test_reset_takes_away(folder: Any) -> None:
    found = merged(
        folder,
        with_fields("ports: !reset []\n    command: !reset null\n    environment: {KEPT: !reset null, NEW: '1'}"),
    )
    assert "ports" not in found
    assert "command" not in found
    assert found["environment"] == {"CHANGED": "base", "NEW": "1"}


def test_a_whole_service_can_be_reset(folder: Any) -> None:
    assert merged(folder, "services:\n  c: !reset null\n", "c") is None


def test_reset_works_through_anchors_and_merge_keys(folder: Any) -> None:
    override = "x-off: &off\n  ports: !reset []\nservices:\n  a:\n    <<: *off\n    user: '5'\n"
    found = merged(folder, override)
    assert found["user"] == "5"
    assert "ports" not in found


def test_documents_of_one_file_are_laid_over_each_other(folder: Any) -> None:
    both = "services:\n  a: {image: host, user: '1'}\n---\nservices:\n  a: {user: '2'}\n  b: {image: host}\n"
    services = folder.load(both).canonical["services"]
    assert services["a"]["user"] == "2"
    assert "b" in services


def test_variables_are_filled_in_before_merging(folder: Any) -> None:
    folder.write({"a.yaml": "services: {a: {image: host, user: '${U:?}'}}", "b.yaml": "services: {a: {user: '5'}}"})
    assert "required variable U" in folder.complaint("", files=("a.yaml", "b.yaml"))


def test_an_error_names_the_file_it_is_in(folder: Any) -> None:
    folder.write({"a.yaml": "services: {a: {image: host, foo: 1}}", "b.yaml": "services:\n  a: {hostnam: x}\n"})
    assert folder.complaint("", files=("a.yaml", "b.yaml")) == (
        "a.yaml:1:29: services.a.foo: unknown key 'foo'\n"
        "b.yaml:2:7: services.a.hostnam: unknown key 'hostnam' (did you mean hostname?)"
    )


def test_what_is_laid_over_says_where_it_is_from(folder: Any) -> None:
    folder.write(
        {"a.yaml": "services:\n  a:\n    image: host\n    user: '1'\n", "b.yaml": "services:\n  a: {user: '2'}\n"}
    )
    loaded = folder.load(files=("a.yaml", "b.yaml"))
    assert loaded.locate(("services", "a", "image")) == ("a.yaml", 3, 5)
    assert loaded.locate(("services", "a", "user")) == ("b.yaml", 2, 7)
    assert loaded.positions[("services", "a", "user")] == ("b.yaml", 2, 7)
