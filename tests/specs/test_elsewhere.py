"""Keys for other machines, engines and clusters: what is accepted, noted, refused."""

import os
from typing import Any

import pytest

NOTED = "is for clusters and means nothing here, as for docker compose"


@pytest.mark.key(
    "services.cpu_count",
    "services.cpu_percent",
    "services.credential_spec",
    "services.gpus",
    "services.storage_opt",
    "services.use_api_socket",
    "services.platform",
    "services.runtime",
    "services.isolation",
    "services.pull_policy",
    "services.deploy.resources.reservations.devices",
    "services.build",
    "services.models",
)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cpu_count: 2", "services.a.cpu_count: is for Windows (cpus: 2)"),
        ("cpu_percent: 50", "services.a.cpu_percent: is for Windows"),
        ("credential_spec: {file: x}", "services.a.credential_spec: is for Windows"),
        ("gpus: all", "services.a.gpus: no devices are reserved"),
        ("gpus: [{count: 1}]", "services.a.gpus: no devices are reserved"),
        ("storage_opt: {size: 1g}", "services.a.storage_opt: writable layers have no size of their own"),
        ("use_api_socket: true", "services.a.use_api_socket: there is no API of Docker's here"),
        ("platform: linux/s390x", "runs nothing of linux/s390x"),
        ("platform: windows/amd64", "runs nothing of windows/amd64"),
        ("runtime: kata", "there is no runtime 'kata': corral starts containers itself"),
        ("isolation: hyperv", "'hyperv' is for Windows"),
        ("pull_policy: sometimes", "'sometimes' is no policy"),
        (
            "deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
            "services.a.deploy.resources.reservations.devices: no devices are reserved",
        ),
        (
            "mem_reservation: 1m, deploy: {resources: {reservations: {memory: 2m}}}",
            "mem_reservation is 1048576, but deploy.resources.reservations.memory is 2097152",
        ),
        ("deploy: {restart_policy: {condition: sometimes}}", "'sometimes' is not none, on-failure or any"),
        ("deploy: {restart_policy: {delay: soon}}", "deploy.restart_policy.delay"),
        ("models: [m]", "services.a.models: there is no model runner here"),
        ("volumes: [{type: npipe, source: x, target: /x}]", "named pipes are for Windows"),
        ("volumes: [{type: image, source: nginx, target: /x}]", "'nginx' is no image whose content could be mounted"),
        (
            "volumes: [{type: image, source: 'rootfs:/', target: /x, image: {subpath: ../x}}]",
            "services.a.volumes[0].image.subpath: '../x' is not a path inside the image",
        ),
        ("label_file: ./no", "services.a.label_file[0]: the label file /here/no does not exist"),
    ],
)
def test_what_is_refused(folder: Any, text: str, said: str) -> None:
    found = folder.complaint(f"services:\n  a: {{image: host, {text}}}\n")
    assert said in found
    assert found.startswith("compose.yaml:2:")


@pytest.mark.parametrize(
    "text",
    ["cpu_count: 0", "use_api_socket: false", "gpus: []", "storage_opt: {}", "runtime: ''", "platform: linux"],
)
def test_what_asks_for_nothing_is_no_error(folder: Any, text: str) -> None:
    assert folder.load(f"services:\n  a: {{image: host, {text}}}\n").notes == ()


def test_this_machines_own_platform_is_accepted_in_every_spelling(folder: Any) -> None:
    machine = os.uname().machine
    for name in {"x86_64": ("amd64", "x86_64"), "aarch64": ("arm64", "aarch64")}.get(machine, (machine,)):
        assert folder.service(f"platform: linux/{name}")["platform"] == f"linux/{name}"
        folder.service(f"platform: {name}")


@pytest.mark.key("services.annotations", "services.attach")
def test_what_is_kept(folder: Any) -> None:
    found = folder.project(
        "services: {a: {image: host, annotations: [a=b, c], attach: 'false', isolation: default, runtime: runc}}\n"
    ).services["a"]
    assert (found.annotations, found.attach) == ({"a": "b", "c": ""}, False)
    assert (found.isolation, found.runtime) == ("default", "runc")


@pytest.mark.key(
    "services.deploy.endpoint_mode",
    "services.deploy.labels",
    "services.deploy.mode",
    "services.deploy.placement",
    "services.deploy.placement.preferences",
    "services.deploy.rollback_config",
    "services.deploy.update_config",
    "services.deploy.resources.reservations.generic_resources",
    "services.deploy.resources.reservations.generic_resources.discrete_resource_spec",
)
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("endpoint_mode", "endpoint_mode: vip"),
        ("labels", "labels: [a=b]"),
        ("mode", "mode: global"),
        ("placement", "placement: {constraints: [a==b], preferences: [{spread: x}], max_replicas_per_node: 1}"),
        ("rollback_config", "rollback_config: {order: stop-first, delay: 1s}"),
        ("update_config", "update_config: {parallelism: 2, max_failure_ratio: 0.5}"),
        ("resources.reservations.cpus", "resources: {reservations: {cpus: '0.5'}}"),
        (
            "resources.reservations.generic_resources",
            "resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: x, value: 1}}]}}",
        ),
    ],
)
def test_what_is_for_clusters_is_noted(folder: Any, key: str, text: str) -> None:
    loaded = folder.load(f"services:\n  a: {{image: host, deploy: {{{text}}}}}\n")
    assert len(loaded.notes) == 1
    assert loaded.notes[0].endswith(f"services.a.deploy.{key}: {NOTED}")
    assert "deploy" not in loaded.canonical["services"]["a"]


@pytest.mark.key("services.deploy.restart_policy")
@pytest.mark.parametrize(
    ("policy", "expected", "more"),
    [
        ("{}", "always", None),
        ("{condition: any, max_attempts: 2}", "always", {"max_attempts": 2}),
        ("{condition: none, delay: 5s}", "no", None),
        ("{condition: unless-stopped, max_attempts: 0, delay: 0s}", "unless-stopped", None),
        (
            "{condition: on-failure, max_attempts: 3, delay: 5s, window: 1m}",
            "on-failure",
            {"max_attempts": 3, "delay": 5.0, "window": 60.0},
        ),
    ],
)
def test_a_restart_policy_of_deploy_goes_before_restart(folder: Any, policy: str, expected: str, more: Any) -> None:
    found = folder.service(f"restart: always\ndeploy: {{restart_policy: {policy}}}")
    assert found["restart"] == expected
    assert found.get("restart_policy") == more
    folder.project("")


@pytest.mark.key("services.deploy.resources.reservations")
def test_reserved_memory_is_mem_reservation(folder: Any) -> None:
    found = folder.service("deploy: {resources: {reservations: {memory: 32m}}}")
    assert found["mem_reservation"] == 32 << 20


@pytest.mark.key("services.label_file")
def test_labels_come_from_files_too(folder: Any) -> None:
    folder.write({"one": "a=1\nb=1\nc=1\n", "two": "# said again\nb=2\nc=2\n"})
    found = folder.service("label_file: [./one, two]\nlabels: {c: own}")
    assert found["labels"] == {"a": "1", "b": "2", "c": "own"}
    assert "label_file" not in found


def test_what_is_to_be_built_needs_an_image_that_is_there(folder: Any) -> None:
    assert folder.complaint("services:\n  a: {build: .}\n") == (
        "compose.yaml:2:7: services.a.build: images are not built yet "
        "(say image: rootfs:DIR beside it, a directory with the files that it would have)"
    )
    loaded = folder.load("services: {a: {image: 'rootfs:./tree', build: {context: .}}}\n")
    assert loaded.notes == (
        f"compose.yaml:1:40: services.a.build: nothing is built: there is the image rootfs:{folder.path}/tree",
    )
    assert "build" not in loaded.canonical["services"]["a"]


@pytest.mark.key(
    "services.develop", "services.develop.watch", "services.develop.watch.exec", "services.pull_refresh_after", "models"
)
def test_what_is_not_for_up_is_noted(folder: Any) -> None:
    rules = "[{path: ./src, action: sync, target: /src, exec: {command: make}}]"
    text = f"services: {{a: {{image: host, develop: {{watch: {rules}}}, pull_refresh_after: 1h}}}}\nmodels: {{m: {{model: x}}}}"
    loaded = folder.load(text)
    noted = [note.partition(": ")[2] for note in loaded.notes]
    assert noted == [
        "services.a.develop: is for `watch`, which there is not yet: `up` passes over it",
        "services.a.pull_refresh_after: means nothing yet: no image is pulled",
    ]
    assert set(loaded.canonical["services"]["a"]) == {"image", "networks"}
    shown = folder.normal().document["services"]["a"]["develop"]["watch"]
    assert shown == [{"path": f"{folder.path}/src", "action": "sync", "target": "/src", "exec": {"command": ["make"]}}]
    assert "watch[0]: path is missing" in folder.complaint_of_config(
        "services: {a: {image: host, develop: {watch: [{action: sync}]}}}"
    )


@pytest.mark.key("services.volumes.image", "services.volumes.image.subpath")
def test_what_an_image_holds_is_mounted_read_only(folder: Any) -> None:
    [mount] = folder.service(
        "volumes: [{type: image, source: 'rootfs:./tree', target: /t, image: {subpath: usr/share}}]"
    )["volumes"]
    assert mount == {
        "type": "bind",
        "source": f"{folder.path}/tree/usr/share",
        "target": "/t",
        "read_only": True,
        "bind": {"create_host_path": False},
    }
