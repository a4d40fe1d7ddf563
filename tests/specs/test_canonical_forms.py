"""Short forms, units and defaults, as a service's canonical fields."""

from typing import Any

import pytest


def port(target: int, published: str = "", host_ip: str = "", protocol: str = "tcp") -> dict[str, Any]:
    given = {"published": published, "host_ip": host_ip}
    return {
        "target": target,
        "protocol": protocol,
        "mode": "ingress",
        **{key: text for key, text in given.items() if text},
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [port(80)]),
        ("'80'", [port(80)]),
        ("22:22", [port(22, "22")]),
        ("'8080:80/udp'", [port(80, "8080", protocol="udp")]),
        ("'8080:80/UDP'", [port(80, "8080", protocol="udp")]),
        ("'127.0.0.1:8080:80'", [port(80, "8080", "127.0.0.1")]),
        ("'127.0.0.1::80'", [port(80, host_ip="127.0.0.1")]),
        ("':80'", [port(80)]),
        ("'80-81'", [port(80), port(81)]),
        ("'8000-8001:80-81'", [port(80, "8000"), port(81, "8001")]),
        ("'8000-8010:80'", [port(80, "8000-8010")]),
        ("{target: 80, published: 8080}", [port(80, "8080")]),
        ("{target: '80', published: 8000-8010, protocol: udp}", [port(80, "8000-8010", protocol="udp")]),
        ("{target: 80, name: web, app_protocol: http}", [{**port(80), "name": "web", "app_protocol": "http"}]),
    ],
)
@pytest.mark.key("services.ports.name", "services.ports.app_protocol")
def test_ports(folder: Any, text: str, expected: list[dict[str, Any]]) -> None:
    assert folder.service(f"ports: [{text}]")["ports"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "./x:/y",
            {
                "type": "bind",
                "source": "/here/x",
                "target": "/y",
                "read_only": False,
                "bind": {"create_host_path": True},
            },
        ),
        (
            "/x:/y:ro",
            {"type": "bind", "source": "/x", "target": "/y", "read_only": True, "bind": {"create_host_path": True}},
        ),
        (
            "~/x:/y/",
            {
                "type": "bind",
                "source": "/home/me/x",
                "target": "/y",
                "read_only": False,
                "bind": {"create_host_path": True},
            },
        ),
        ("data:/a/../y:rw", {"type": "volume", "source": "data", "target": "/y", "read_only": False}),
        (
            "d:/y:nocopy,ro",
            {"type": "volume", "source": "d", "target": "/y", "read_only": True, "volume": {"nocopy": True}},
        ),
    ],
)
def test_mounts_in_short(folder: Any, text: str, expected: dict[str, Any]) -> None:
    found = folder.service(f"volumes: ['{text}']")["volumes"]
    assert [{**mount, "source": mount["source"].replace(str(folder.path), "/here")} for mount in found] == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{type: bind, source: /x, target: /y}", {"bind": {"create_host_path": True}}),
        ("{type: bind, source: /x, target: /y, bind: {create_host_path: no}}", {"bind": {"create_host_path": False}}),
        ("{type: tmpfs, target: /y, tmpfs: {size: 64m, mode: 01770}}", {"tmpfs": {"size": 67108864, "mode": 0o1770}}),
        ("{type: tmpfs, target: /y, tmpfs: {mode: '755'}}", {"tmpfs": {"mode": 0o755}}),
        ("{type: volume, source: v, target: /y, volume: {nocopy: true}, read_only: 'yes'}", {"read_only": True}),
    ],
)
def test_mounts_in_full(folder: Any, text: str, expected: dict[str, Any]) -> None:
    found = folder.service(f"volumes: [{text}]")["volumes"][0]
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("fields", "key", "expected"),
    [
        ("command: echo 'a b' $$X", "command", ["echo", "a b", "$X"]),
        ("command: ''", "command", []),
        ("command:", "command", None),
        ("entrypoint: [a, b]", "entrypoint", ["a", "b"]),
        ("environment: [A=1, B=, C=x=y, NONE, HOME]", "environment", {"A": "1", "B": "", "C": "x=y", "HOME": "/home/me"}),
        ("environment: {A: 1, B: true, C: 0777, D: , HOME: , E: 22:22}", "environment",
         {"A": "1", "B": "true", "C": "511", "HOME": "/home/me", "E": "22:22"}),
        ("labels: [a, b=c]", "labels", {"a": "", "b": "c"}),
        ("labels: {a: , b: 1.50}", "labels", {"a": "", "b": "1.5"}),
        ("expose: [80, 90-95, 53/udp]", "expose", ["80", "90-95", "53/udp"]),
        ("dns: 1.1.1.1", "dns", ["1.1.1.1"]),
        ("dns: ''", "dns", []),
        ("dns_search: x.y", "dns_search", ["x.y"]),
        ("tmpfs: '/run:size=1m'", "tmpfs", ["/run:size=1m"]),
        ("mem_limit: 512m", "mem_limit", 536870912),
        ("mem_limit: 1073741824", "mem_limit", 1073741824),
        ("mem_limit: 0", "mem_limit", None),
        ("mem_limit: -1", "mem_limit", None),
        ("mem_limit: 1g\nmemswap_limit: -1", "memswap_limit", -1),
        ("cpus: '0.5'", "cpus", 0.5),
        ("cpus: 2", "cpus", 2.0),
        ("cpus: 0", "cpus", None),
        ("pids_limit: -1", "pids_limit", None),
        ("pids_limit: '50'", "pids_limit", 50),
        ("cpu_shares: 512", "cpu_shares", 512),
        ("deploy: {resources: {limits: {cpus: '0.5', memory: 64M, pids: 9}}}", "mem_limit", 67108864),
        ("deploy: {resources: {limits: {cpus: '0.5'}}}", "cpus", 0.5),
        ("deploy: {resources: {limits: {pids: 9}}}\npids_limit: 9", "pids_limit", 9),
        ("deploy: {replicas: '3'}", "scale", 3),
        ("scale: 0", "scale", 0),
        ("scale: 2\ndeploy: {replicas: 2}", "scale", 2),
        ("deploy:", "deploy", None),
        ("stop_grace_period: 1m30s", "stop_grace_period", 90.0),
        ("restart: no", "restart", "no"),
        ("init: yes", "init", True),
        ("init: 'off'", "init", False),
        ("extra_hosts: ['a=1.2.3.4', 'b:5.6.7.8', 'c:[::1]', 'a:9.9.9.9,8.8.8.8']", "extra_hosts",
         [["a", "1.2.3.4"], ["a", "9.9.9.9"], ["a", "8.8.8.8"], ["b", "5.6.7.8"], ["c", "::1"]]),
        ("extra_hosts: {a: 1.2.3.4, b: [1.1.1.1, 2.2.2.2]}", "extra_hosts",
         [["a", "1.2.3.4"], ["b", "1.1.1.1"], ["b", "2.2.2.2"]]),
        ("healthcheck: {test: curl x, interval: 5s, retries: '2', timeout: 1m, start_period: 0s}", "healthcheck",
         {"test": ["CMD-SHELL", "curl x"], "interval": 5.0, "retries": 2, "timeout": 60.0}),
        ("healthcheck: {test: [CMD, x]}", "healthcheck", {"test": ["CMD", "x"]}),
        ("healthcheck: {test: [NONE]}", "healthcheck", None),
        ("healthcheck: {disable: true, test: x}", "healthcheck", None),
        ("healthcheck: {test: NONE}", "healthcheck", None),
        ("networks: [x, y]", "networks", {"x": {}, "y": {}}),
        ("networks: {x: , y: {aliases: [z, z]}}", "networks", {"x": {}, "y": {"aliases": ["z"]}}),
        ("networks: []", "networks", {"default": {}}),
        ("user: root", "networks", {"default": {}}),
        ("network_mode: bridge", "networks", {"default": {}}),
        ("network_mode: bridge", "network_mode", None),
        ("network_mode: none", "networks", None),
        ("network_mode: host", "network_mode", "host"),
        ("volumes_from: [b, c:ro, d:rw]", "volumes_from", ["b", "c:ro", "d"]),
        ("links: [b, 'c:x']", "links", ["b:b", "c:x"]),
        ("cap_add: [net_admin, CAP_SYS_TIME, NET_ADMIN]", "cap_add", ["NET_ADMIN", "SYS_TIME"]),
        ("cap_drop: [all]", "cap_drop", ["ALL"]),
        ("cap_drop: []", "cap_drop", None),
        ("group_add: [audio, 29, '29']", "group_add", ["audio", "29"]),
        ("read_only: yes", "read_only", True),
        ("shm_size: 128m", "shm_size", 134217728),
        ("shm_size: 0", "shm_size", None),
        ("blkio_config: {weight: 300, device_read_bps: [{path: /dev/a, rate: 1k}, {path: /dev/a, rate: 2k}]}",
         "blkio_config", {"weight": 300, "device_read_bps": [{"path": "/dev/a", "rate": 2048}]}),
        ("mem_reservation: 32m", "mem_reservation", 33554432),
        ("mem_swappiness: '0'", "mem_swappiness", 0),
        ("mem_swappiness: -1", "mem_swappiness", None),
        ("oom_kill_disable: yes", "oom_kill_disable", True),
        ("cpu_period: 50000", "cpu_period", 50000),
        ("cpu_period: 0", "cpu_period", None),
        ("cpu_rt_runtime: 95000", "cpu_rt_runtime", 95_000),
        ("cpu_rt_runtime: '95000'", "cpu_rt_runtime", 95_000),
        ("cpu_rt_runtime: 400ms", "cpu_rt_runtime", 400_000),
        ("cpu_rt_period: 1400us", "cpu_rt_period", 1400),
        ("cpu_rt_period: 0", "cpu_rt_period", None),
        ("cpu_quota: '25000'", "cpu_quota", 25000),
        ("cpu_quota: -1", "cpu_quota", None),
        ("privileged: 'true'", "privileged", True),
        ("security_opt: [no-new-privileges]", "security_opt", ["no-new-privileges:true"]),
        ("security_opt: ['no-new-privileges=false', 'seccomp:unconfined', systempaths=unconfined]", "security_opt",
         ["no-new-privileges:false", "seccomp:unconfined", "systempaths=unconfined"]),
        ("security_opt: [apparmor=unconfined, 'apparmor:docker-default']", "security_opt", ["apparmor:docker-default"]),
        ("security_opt: [seccomp=unconfined, seccomp=builtin]", "security_opt", ["seccomp=builtin"]),
        ("devices: [/dev/fuse, '/dev/a:/dev/b', '/dev/c:r', '/dev/d:/dev/e:rw']", "devices",
         [{"source": "/dev/fuse", "target": "/dev/fuse", "permissions": "rwm"},
          {"source": "/dev/a", "target": "/dev/b", "permissions": "rwm"},
          {"source": "/dev/c", "target": "/dev/c", "permissions": "r"},
          {"source": "/dev/d", "target": "/dev/e", "permissions": "rw"}]),
        ("devices: [{source: /dev/a}]", "devices", [{"source": "/dev/a", "target": "/dev/a", "permissions": "rwm"}]),
        ("device_cgroup_rules: ['c 1:3 mr', 'a 7:* rwm']", "device_cgroup_rules", ["c 1:3 mr", "a 7:* rwm"]),
        ("oom_score_adj: '-5'", "oom_score_adj", -5),
        ("sysctls: [net.core.somaxconn=1024]", "sysctls", {"net.core.somaxconn": "1024"}),
        ("sysctls: {net.core.somaxconn: 1024, kernel.sem: 1 2 3 4}", "sysctls",
         {"net.core.somaxconn": "1024", "kernel.sem": "1 2 3 4"}),
        ("ulimits: {nofile: 1024, nproc: '-1', core: {soft: 0, hard: '9'}}", "ulimits",
         {"nofile": {"soft": 1024, "hard": 1024}, "nproc": {"soft": -1, "hard": -1}, "core": {"soft": 0, "hard": 9}}),
    ],
)  # fmt: skip
def test_one_key(folder: Any, fields: str, key: str, expected: object) -> None:
    assert folder.service(fields).get(key) == expected


def test_a_relative_rootfs_is_looked_up_from_the_projects_directory(folder: Any) -> None:
    services = folder.load("services: {a: {image: 'rootfs:./x'}}").canonical["services"]
    assert services["a"]["image"] == f"rootfs:{folder.path}/x"


def test_links_and_volumes_from_imply_dependencies_where_none_are_given(folder: Any) -> None:
    fields = "links: [b, 'c:x']\nvolumes_from: [d:ro, b]\ndepends_on: {c: {condition: service_healthy}}"
    assert folder.service(fields)["depends_on"] == {
        "c": {"condition": "service_healthy", "required": True, "restart": False},
        "b": {"condition": "service_started", "required": True, "restart": True},
        "d": {"condition": "service_started", "required": True, "restart": False},
    }


def test_the_default_network_is_there_only_if_used(folder: Any) -> None:
    without = folder.load("services: {a: {image: host, networks: [x]}}\nnetworks: {x: , default: {name: own}}")
    assert without.canonical["networks"] == {"x": {"name": "p_x"}}
    used = folder.load("services: {a: {image: host}}")
    assert used.canonical["networks"] == {"default": {"name": "p_default"}}
    configured = folder.load("services: {a: {image: host}}\nnetworks: {default: {internal: true}}")
    assert configured.canonical["networks"] == {"default": {"name": "p_default", "internal": True}}


def test_names_of_networks_and_volumes(folder: Any) -> None:
    canonical = folder.load(
        """
        services: {a: {image: host, networks: [x, y, z], volumes: ["v:/v", "w:/w"]}}
        networks: {x: , y: {external: true}, z: {external: {name: elsewhere}}}
        volumes: {v: {labels: [a=b]}, w: {name: own}}
        """
    ).canonical
    assert {key: network["name"] for key, network in canonical["networks"].items()} == {
        "x": "p_x",
        "y": "y",
        "z": "elsewhere",
    }
    assert canonical["volumes"] == {"v": {"name": "p_v", "labels": {"a": "b"}}, "w": {"name": "own"}}


def test_env_files_are_read_and_folded_below_the_environment(folder: Any) -> None:
    folder.write(
        {
            "1.env": "A=one\nB=one\nC=$B-$SVC-$HOME\n",
            "2.env": "B=two\nHOME\n",
            "raw.env": "D='$HOME' # x\n",
        }
    )
    fields = """
        environment: {A: own, SVC: svc}
        env_file:
          - 1.env
          - path: 2.env
          - {path: raw.env, format: raw}
          - {path: none.env, required: false}
    """
    assert folder.service(fields)["environment"] == {
        "A": "own",
        "SVC": "svc",
        "B": "two",
        "C": "one-svc-/home/me",
        "HOME": "/home/me",
        "D": "'$HOME' # x",
    }


def test_extensions_pass_anywhere(folder: Any) -> None:
    canonical = folder.load(
        """
        x-top: [1, {2: 3}]
        services:
          a: {image: host, x-a: 1, healthcheck: {test: x, x-b: 2}, deploy: {x-c: {}}}
          x-service: {image: host}
        networks: {default: {x-d: 1}}
        """.replace("{2: 3}", "{k: 2024-01-01}")
    ).canonical
    assert sorted(canonical["services"]) == ["a", "x-service"]
    assert "x-" not in str(canonical["services"]["a"])


@pytest.mark.key("version")
def test_version_has_no_meaning_and_says_so(folder: Any) -> None:
    loaded = folder.load("version: '3.8'\nservices: {a: {image: host}}")
    assert loaded.notes == ("compose.yaml:1:1: version: has no meaning any more and can be removed",)


def test_what_does_not_mean_what_it_says_is_told(folder: Any) -> None:
    text = """
        services:
          a:
            image: host
            command: echo a; echo $UNSET $UNSET
            network_mode: host
            ports: [80]
            volumes: ["./x:/d", "./y:/d/"]
            healthcheck: {test: NONE}
    """
    assert folder.load(text).notes == (
        "compose.yaml:5:5: services.a.command: the variable UNSET is not set, an empty text stands for it",
        "compose.yaml:5:5: services.a.command: '; echo  ' is cut off, as Compose does: no shell reads this",
        "compose.yaml:8:15: services.a.volumes: a later mount at /d replaces this one, as for Compose",
        'compose.yaml:9:19: services.a.healthcheck.test: NONE is read as ["NONE"]: no healthcheck',
        "compose.yaml:7:5: services.a.ports: nothing is mapped with network_mode host",
    )
