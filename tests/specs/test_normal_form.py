"""What a project means to Compose: the model that `config` prints, and the errors that it refuses files with."""

from typing import Any

import pytest

from specs import errors
from specs.normal.manner import WHOLE
from specs.telling import written_variables
from specs.telling.written_variables import Variable

AROUND = """
services:
  a:
    image: x
    {}
  b: {{image: x}}
networks: {{n: }}
volumes: {{named: }}
secrets: {{s: {{file: ./s}}}}
configs: {{c: {{content: c}}}}
models: {{m: {{model: m}}}}
"""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("build: .", {"context": "/here", "dockerfile": "Dockerfile"}),
        ("build: {dockerfile_inline: FROM x}", {"context": "/here", "dockerfile_inline": "FROM x"}),
        ("build: {args: [A, HOME, B=1]}", {"args": {"HOME": "/home/me", "B": "1"}, "context": "/here", "dockerfile": "Dockerfile"}),
        ("build: https://x.example/y.git", {"context": "https://x.example/y.git", "dockerfile": "Dockerfile"}),
        ("blkio_config: {device_read_bps: [{path: /d, rate: 1k}]}", {"device_read_bps": [{"path": "/d", "rate": "1024"}]}),
        ("command: 'a \"b c\"'", ["a", "b c"]),
        ("command: []", []),
        ("configs: [c]", [{"source": "c"}]),
        ("cpus: '2.0'", 2),
        ("deploy: {replicas: 0, resources: {limits: {memory: 1g}}}", {"replicas": 0, "resources": {"limits": {"memory": "1073741824"}}, "placement": {}}),
        ("develop: {watch: [{path: ., action: rebuild, ignore: x}]}", {"watch": [{"path": "/here", "action": "rebuild", "ignore": ["x"], "exec": {"command": None}}]}),
        ("devices: ['/dev/a:/dev/b:r']", [{"source": "/dev/a", "target": "/dev/b", "permissions": "r"}]),
        ("environment: [HOME, NO, A=1]", {"A": "1", "HOME": "/home/me", "NO": None}),
        ("extra_hosts: {b: [1.1.1.1, 2.2.2.2], a: '[::1]'}", ["a=::1", "b=1.1.1.1", "b=2.2.2.2"]),
        ("gpus: all", [{"count": -1}]),
        ("healthcheck: {test: x, timeout: 0s, interval: 90s}", {"test": ["CMD-SHELL", "x"], "timeout": "0s", "interval": "1m30s"}),
        ("links: [b]", ["b"]),
        ("memswap_limit: -1", "-1"),
        ("models: [m]", {"m": None}),
        ("networks: {n: , default: {}}", {"n": None, "default": {}}),
        ("ports: ['80-81:90-91/udp']", [{"mode": "ingress", "protocol": "udp", "target": 90 + i, "published": str(80 + i)} for i in (0, 1)]),
        ("provider: {type: x, options: {a: b, c: [1]}}", {"type": "x", "options": {"a": ["b"], "c": ["1"]}}),
        ("pull_policy: if_not_present", "missing"),
        ("secrets: [s, {source: s, target: /x, mode: 0400}]", [{"source": "s", "target": "/run/secrets/s"}, {"source": "s", "target": "/x", "mode": "0400"}]),
        ("stop_grace_period: 1w", "168h0m0s"),
        ("volumes: ['./x:/y:ro']", [{"type": "bind", "source": "/here/x", "target": "/y", "read_only": True, "bind": {"create_host_path": True}}]),
        ("volumes: ['named:/y', /z]", [{"type": "volume", "source": "named", "target": "/y", "volume": {}}, {"type": "volume", "target": "/z"}]),
        ("volumes: [{type: image, source: i, target: /i, image: {subpath: a}}]", [{"type": "image", "source": "i", "target": "/i", "image": {"subpath": "a"}}]),
        ("x-own: {a: [1, {b: null}]}", {"a": [1, {"b": None}]}),
    ],
)  # fmt: skip
def test_one_key(folder: Any, fields: str, expected: object) -> None:
    service = folder.normal(AROUND.format(fields)).document["services"]["a"]
    found = service[fields.partition(":")[0]]
    assert eval(repr(found).replace(str(folder.path), "/here")) == expected


def test_a_single_letter_is_a_drive_to_compose_and_a_volume_to_corral(folder: Any) -> None:
    text = "services: {a: {image: host, volumes: ['d:/data:ro']}}\nvolumes: {d: }"
    mounts = folder.normal(text).document["services"]["a"]["volumes"]
    assert mounts == [{"type": "bind", "source": "d:/data", "target": "ro", "bind": {"create_host_path": True}}]
    [mount] = folder.load(text).canonical["services"]["a"]["volumes"]
    assert (mount["type"], mount["source"], mount["target"], mount["read_only"]) == ("volume", "d", "/data", True)


def test_what_follows_from_the_rest(folder: Any) -> None:
    text = "services: {a: {image: x, links: ['b:c'], network_mode: 'service:b', volumes_from: ['b:ro', 'container:z']}, b: {image: x}}"
    a = folder.normal(text).document["services"]["a"]
    assert a["depends_on"] == {"b": {"condition": "service_started", "required": True, "restart": True}}
    assert "networks" not in a
    left = WHOLE._replace(normalise=False)
    assert "depends_on" not in folder.normal(text, left).document["services"]["a"]


def test_files_of_services_that_are_not_active_are_not_read(folder: Any) -> None:
    text = "services: {a: {image: host}, b: {image: host, profiles: [p], env_file: no.env, label_file: no.labels}}"
    assert folder.normal(text).document["services"].keys() == folder.load(text).canonical["services"].keys() == {"a"}
    with pytest.raises(errors.SpecErrors, match=r"the env file \S+no.env does not exist"):
        folder.normal(text, profiles=("p",))
    assert "no.env does not exist" in folder.complaint(text, services=("b",))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("depends_on: [nobody]", "compose.yaml:5:18: services.a.depends_on.nobody: there is no service nobody"),
        ("depends_on: {b: {}}", "services.a.depends_on.b: condition is missing"),
        ("volumes: ['nobody:/x']", "services.a.volumes[0]: there is no volume nobody"),
        ("configs: [nobody]", "services.a.configs[0]: there is no config nobody"),
        ("build: {secrets: [nobody]}", "services.a.build.secrets[0]: there is no secret nobody"),
        ("build: {dockerfile: D, dockerfile_inline: x}", "services.a.build: has both dockerfile and dockerfile_inline"),
        ("models: [nobody]", "services.a.models.nobody: there is no model nobody"),
        ("environment: ", "services.a.environment: is empty: give it a value or remove it"),
        ("cgroup: mine", "compose.yaml:5:5: services.a.cgroup: 'mine' is not one of host, private"),
        ("deploy: {update_config: {order: x}}", "services.a.deploy.update_config.order: 'x' is not one of start-first, stop-first"),
        ("develop: {watch: [{path: x, action: sync}]}", "services.a.develop.watch[0]: sync needs a target"),
        ("gpus: [{count: 1, device_ids: [a]}]", "services.a.gpus[0]: has both count and device_ids"),
        ("oom_score_adj: 2000", "services.a.oom_score_adj: 2000 is not between -1000 and 1000"),
        ("configs: [{source: c, uid: 3}]", 'services.a.configs[0].uid: must be text: write "3"'),
        ("healthcheck: {test: [x]}", 'services.a.healthcheck.test: must begin with "CMD", "CMD-SHELL" or "NONE"'),
        ("enviroment: {}", "unknown key 'enviroment' (did you mean environment?)"),
        ("healthcheck: {test: x, retries: -1}", "services.a.healthcheck.retries: -1 is not between 0 and"),
        ("develop: {watch: [{path: '', action: rebuild}]}", "services.a.develop.watch[0].path: is empty: give it a value"),
        ("use_api_socket: 'true'", "services.a.use_api_socket: must be a boolean, true is text"),
        ("extra_hosts: {h: }", "services.a.extra_hosts.h: is empty: give it an address"),
        ("stop_grace_period: soon", "services.a.stop_grace_period: 'soon' is not a duration such as 1m30s"),
    ],
)  # fmt: skip
def test_what_is_refused(folder: Any, fields: str, said: str) -> None:
    with pytest.raises(errors.SpecErrors) as caught:
        folder.normal(AROUND.format(fields))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("volumes: {v: {external: true, driver: local}}", "compose.yaml:1:31: volumes.v.driver: driver cannot be given"),
        ("secrets: {s: {}}", "secrets.s: a secret needs one of file, environment"),
        ("configs: {c: {content: a, file: b}}", "configs.c: a config needs one of file, content, environment; it has file and content"),
        ("services: {a: {image: x, container_name: xy, scale: 2}}", "services.a.container_name: 'xy' cannot be the name of 2 containers"),
        ("services: {a: {image: x, links: [b]}, b: {image: x, depends_on: [a]}}", "a cycle: a → b → a"),
        ("services: {a: {image: x, mem_limit: 1g, deploy: {resources: {limits: {memory: 2g}}}}}", "mem_limit is 1073741824, but deploy.resources.limits.memory is 2147483648"),
        ("services: {a: }", "services.a: is empty"),
        ("services: {a: {command: x}}", "services.a: a service needs an image, or something to build"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together(folder: Any, text: str, said: str) -> None:
    with pytest.raises(errors.SpecErrors) as caught:
        folder.normal(text)
    assert said in str(caught.value)


def test_variables_that_are_named() -> None:
    assert written_variables.of_text("$A ${B} ${C:-x$D} ${E?why} ${F:+y} $$G ${H-${I-z}} text") == [
        Variable("A"),
        Variable("B"),
        Variable("C", default="x$D"),
        Variable("D"),
        Variable("E", required=True),
        Variable("F", alternate="y"),
        Variable("H", default="${I-z}"),
        Variable("I", default="z"),
    ]


UNUSED = """
services: {a: {image: host}}
networks: {other: {}}
volumes: {other: {}}
configs: {other: {content: x}}
secrets: {other: {file: ./not-there}}
"""
SECTIONS = ("networks", "volumes", "configs", "secrets")


@pytest.mark.parametrize("named", [(), ("a",)])
def test_what_no_service_uses_is_there_where_all_resources_are_asked_for(folder: Any, named: tuple[str, ...]) -> None:
    found = folder.normal(UNUSED, services=named).document
    assert {section: [*found[section]] for section in SECTIONS if section in found} == {"networks": ["default"]}
    found = folder.normal(UNUSED, services=named, all_resources=True).document
    assert all("other" in found[section] for section in SECTIONS)
    canonical = folder.load(services=named, all_resources=True).canonical
    assert {section: sorted(canonical[section]) for section in SECTIONS} == {
        "networks": ["default", "other"],
        "volumes": ["other"],
        "configs": [],  # of these only what a service has means anything to an engine
        "secrets": [],
    }
