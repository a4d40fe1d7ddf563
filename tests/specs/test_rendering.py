"""`config`: the canonical document as text, which means the same when it is read again."""

import pathlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from specs import loader, node, validate
from specs.files import source
from specs.normal import document as normal
from specs.normal import render

EXAMPLE = """
    services:
      web:
        image: host
        command: "echo $$HOME 'a: b' '#x'"
        environment: {NO: 'no', EMPTY: '', NUMBER: '0777', LINES: "a\\nb"}
        ports: ["8080:80"]
        links: [db, "db:store"]
        healthcheck: {test: "true", interval: 90s}
        mem_limit: 1g
        stop_grace_period: 500ms
        extra_hosts: ["a=1.2.3.4"]
        scale: 1
      db:
        image: host
        tmpfs: [/run]
        volumes: ["data:/data:ro"]
    volumes: {data: }
"""
RENDERED = """\
name: p
services:
  db:
    image: host
    networks:
      default: null
    tmpfs:
      - /run
    volumes:
      - type: volume
        source: data
        target: /data
        read_only: true
        volume: {}
  web:
    command:
      - echo
      - $$HOME
      - "a: b"
      - "#x"
    depends_on:
      db:
        condition: service_started
        required: true
        restart: true
    environment:
      EMPTY: ""
      LINES: "a\\nb"
      "NO": "no"
      NUMBER: "0777"
    extra_hosts:
      - a=1.2.3.4
    healthcheck:
      test:
        - CMD-SHELL
        - "true"
      interval: 1m30s
    image: host
    links:
      - db
      - db:store
    mem_limit: "1073741824"
    networks:
      default: null
    ports:
      - mode: ingress
        protocol: tcp
        target: 80
        published: "8080"
    scale: 1
    stop_grace_period: 500ms
networks:
  default:
    name: p_default
volumes:
  data:
    name: p_data
"""


def test_a_document_as_text(folder: Any) -> None:
    assert render.text(folder.normal(EXAMPLE).document) == RENDERED


@pytest.mark.parametrize(
    "text",
    ["yes", "5", "0o7", "1e3", "~", "", " x", "x ", "a: b", "a:", "a #b", "#", "- a", "?", "*x", "&x", "'", '"', "\\",
     "\n", "a\tb", "\x7f", "é", "😀", "\u2028", "\ufeff", "%", "@", "`", "!x", "|", ">", "{}", "[", "a,b", "<<",
     "2024-01-01", "=", "a:b", "..."],
)  # fmt: skip
def test_any_text_survives(text: str) -> None:
    written = render.text({"name": "p", "services": {"a": {"labels": {text: text}}}})
    read: Any = node.plain(source.documents(written, "f")[0])
    assert read["services"]["a"]["labels"] == {text: text}


# ---------------------------------------------------------------------------- any subset of the honoured keys goes round

words = some.text("abcxyz0123456789.-_ :#'\"\\$€\n", min_size=1, max_size=12)
names = some.sampled_from(["one", "two", "three"])
paths = some.sampled_from(["/a", "/a/b", "/c", "/d e", "/é"])
commands = some.one_of(some.lists(words, max_size=3), words.filter(lambda text: not set(text) & set("'\"\\")))
pairs = some.dictionaries(
    some.text("ABCabc_", min_size=1, max_size=5),
    some.one_of(words, some.none(), some.integers(-5, 5), some.booleans(), some.floats(-1e9, 1e9)),
    max_size=3,
)
ports = some.one_of(
    some.integers(1, 65535),
    some.builds("{}:{}".format, some.integers(1, 65535), some.integers(1, 65535)),
    some.builds("127.0.0.1::{}/udp".format, some.integers(1, 65535)),
    some.builds(lambda target: {"target": target, "protocol": "udp", "name": "n"}, some.integers(1, 65535)),
)
mounts = some.one_of(
    some.builds("./{}:{}:ro".format, some.sampled_from("xyz"), paths),
    some.builds("{}:{}:nocopy".format, names, paths),
    some.builds(lambda target: {"type": "tmpfs", "target": target, "tmpfs": {"size": "1m", "mode": 0o700}}, paths),
)
durations = some.sampled_from(["5s", "1m30s", "250ms", "1h"])
optional_fields = {
    "command": commands,
    "entrypoint": commands,
    "environment": pairs,
    "labels": pairs,
    "hostname": some.sampled_from(["h", "h_1", "h-2.x"]),
    "domainname": some.just("x.y"),
    "container_name": some.just("name-1"),
    "user": some.sampled_from(["root", "5:5"]),
    "working_dir": paths,
    "cap_add": some.sampled_from([["CAP_NET_ADMIN", "sys_time"], ["ALL"]]),
    "cap_drop": some.just(["all"]),
    "security_opt": some.sampled_from(
        [["no-new-privileges"], ["seccomp=unconfined"], ['seccomp={"defaultAction": "SCMP_ACT_ALLOW", "x": "$a: \'"}']]
    ),
    "privileged": some.booleans(),
    "devices": some.sampled_from([["/dev/a:/dev/b:r"], [{"source": "/dev/a"}]]),
    "device_cgroup_rules": some.just(["a 1:* rwm"]),
    "group_add": some.just(["x", 5]),
    "read_only": some.booleans(),
    "shm_size": some.sampled_from(["1m", 5]),
    "sysctls": some.sampled_from([["net.a.b=1"], {"kernel.sem": "1 2"}]),
    "ulimits": some.sampled_from([{"nofile": 5}, {"core": {"soft": 0, "hard": -1}}]),
    "oom_score_adj": some.integers(-1000, 1000),
    "mem_reservation": some.just("2k"),
    "mem_swappiness": some.integers(1, 100),
    "oom_kill_disable": some.booleans(),
    "cpu_rt_runtime": some.sampled_from([1000, "1ms"]),
    "blkio_config": some.just({"weight": 10, "device_write_iops": [{"path": "/dev/a", "rate": "1k"}]}),
    "networks": some.one_of(
        some.lists(names, unique=True, max_size=3),
        some.dictionaries(names, some.sampled_from([None, {"aliases": ["x", "y"]}]), max_size=3),
    ),
    "ports": some.lists(ports, max_size=2, unique_by=lambda port: str(port).partition(":")[0]),
    "expose": some.lists(some.sampled_from([80, "90-91", "53/udp"]), unique_by=str, max_size=3),
    "volumes": some.lists(mounts, max_size=2),
    "tmpfs": some.sampled_from(["/run", ["/run:size=1m,mode=755"]]),
    "healthcheck": some.fixed_dictionaries(
        {"test": some.one_of(words, some.just(["CMD", "x"]))},
        optional={"interval": durations, "start_period": durations, "retries": some.integers(1, 9)},
    ),
    "restart": some.sampled_from(["no", "always", "on-failure:3", "unless-stopped"]),
    "init": some.sampled_from([True, False, "yes"]),
    "mem_limit": some.sampled_from(["1g", 1048576, "1.5g", 0]),
    "cpus": some.sampled_from([0.5, "1.5", 2]),
    "cpu_shares": some.integers(2, 1024),
    "cpuset": some.just("0-3,5"),
    "pids_limit": some.integers(-1, 100),
    "scale": some.just(1),
    "stop_signal": some.sampled_from(["SIGINT", "TERM", "15"]),
    "stop_grace_period": durations,
    "tty": some.booleans(),
    "stdin_open": some.booleans(),
    "extra_hosts": some.sampled_from([["a=1.2.3.4"], {"b": ["1.1.1.1", "2.2.2.2"]}]),
    "dns": some.sampled_from(["1.1.1.1", ["1.1.1.1", "2.2.2.2"]]),
    "dns_search": some.just("x.y"),
    "dns_opt": some.just(["ndots:2"]),
}
services = some.fixed_dictionaries({"image": some.just("host")}, optional=optional_fields)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(service=services)
def test_any_service_is_valid_and_means_the_same_when_rendered_and_read_again(
    tmp_path: pathlib.Path, service: dict[str, Any]
) -> None:
    import json

    document = {
        "services": {"a": json.loads(json.dumps(service).replace("$", "$$"))},
        "networks": {"one": None, "two": {"internal": True}, "three": {"labels": ["a=b"]}},
        "volumes": {"one": {"name": "own"}, "two": None, "three": {"labels": {"a": "b"}}},
    }
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(json.dumps(document, ensure_ascii=False))
    options = loader.LoadOptions(project_name="p", environment={}, cwd=str(tmp_path))
    targets = [text if isinstance(text, str) else text["target"] for text in service.get("volumes", [])]
    loaded = loader.load(options._replace(files=(str(first),)))
    project = validate.project(loaded.canonical)
    assert project.services["a"].image == "host"
    assert len(project.services["a"].volumes) <= len(targets)
    second.write_text(render.text(normal.load(options._replace(files=(str(first),))).document))
    again = loader.load(options._replace(files=(str(second),)))
    assert validate.project(again.canonical).model_dump() == project.model_dump()
