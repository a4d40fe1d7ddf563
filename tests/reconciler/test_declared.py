"""The user's words as engine words: names, limits, mounts, signals, modes."""

import json
from typing import Any

import pytest
import scenes
from scenes import Scene, needs, port, project, service, subnet, volume

from engine.types.configs import ContainerConfig, EndpointConfig, NetworkMode, SandboxConfig
from engine.types.parts import (
    DEFAULT_CAPABILITIES,
    BindMount,
    BlockIo,
    Device,
    Healthcheck,
    Limits,
    PortMap,
    Restart,
    RestartPolicy,
    Security,
    TmpfsMount,
    Ulimit,
    VolumeMount,
)
from reconciler.errors import Conflict, DeclareError
from reconciler.resource import Needs
from reconciler.stored import Stored


def declared(resource_id: str, *, name: str = "p", **fields: Any) -> Any:
    """The Config of one resource of a project with the one service `node_1`."""
    return Scene(name).up(project({"node_1": service(**fields)}, name=name)).desired.wanted[resource_id].config


def test_a_plain_service_has_every_default_filled_in():
    config: ContainerConfig = declared("container:node_1")
    assert config == ContainerConfig("p-node_1-1", "p", "node_1", 1, "node_1", "node_1", "host")
    assert config.stop_signal == 15
    assert config.restart == RestartPolicy(Restart.NO)


def test_everything_that_a_service_may_say_about_its_process():
    config: ContainerConfig = declared(
        "container:node_1",
        command=["a", "b"],
        entrypoint=[],
        environment={"B": "2", "A": "1"},
        user="1:1",
        working_dir="/w",
        mem_limit=1 << 20,
        memswap_limit=-1,
        cpus=0.5,
        cpu_shares=2,
        cpuset="0",
        pids_limit=5,
        restart="on-failure:4",
        healthcheck={"test": ["CMD-SHELL", "x"], "interval": 1.5, "retries": 2, "start_period": 3.0},
        init=True,
        tty=True,
        stdin_open=True,
        stop_signal="SIGRTMIN+3",
        stop_grace_period=0.0,
        labels={"l": "v"},
        expose=["80"],
        container_name="own",
        ports=[port("8080", host_ip="127.0.0.1"), port("53", 53, protocol="udp")],
    )
    assert config.environment == (("A", "1"), ("B", "2"))
    assert (config.command, config.entrypoint) == (("a", "b"), ())
    assert config.limits == Limits(1 << 20, -1, 0.5, 2, "0", 5)
    assert config.restart == RestartPolicy(Restart.ON_FAILURE, 4)
    assert config.healthcheck == Healthcheck(("CMD-SHELL", "x"), 1.5, 30.0, 2, 3.0, 5.0)
    assert (config.stop_signal, config.stop_grace_s, config.name) == (37, 0.0, "own")
    assert config.ports == (PortMap("0.0.0.0", 53, 53, "udp"), PortMap("127.0.0.1", 8080, 80))


def test_what_a_services_processes_may_do():
    config: ContainerConfig = declared(
        "container:node_1",
        cap_add=["SYS_TIME"],
        cap_drop=["CHOWN"],
        security_opt=["no-new-privileges:true", "systempaths=unconfined", "seccomp=unconfined"],
        sysctls={"net.core.somaxconn": "9", "kernel.sem": "1 2 3 4", "fs.mqueue.msg_max": "5"},
        ulimits={"nofile": {"soft": 1, "hard": 2}, "core": {"soft": 0, "hard": 0}},
        group_add=["audio", "29"],
        devices=[{"source": "/dev/a", "target": "/dev/b", "permissions": "r"}],
        device_cgroup_rules=["c 1:* r"],
        blkio_config={"weight": 10, "device_read_bps": [{"path": "/dev/a", "rate": 7}]},
        read_only=True,
        shm_size=1 << 20,
        oom_score_adj=5,
    )
    names = tuple(sorted({*DEFAULT_CAPABILITIES, "SYS_TIME"} - {"CHOWN"}))
    assert config.security == Security(names, no_new_privileges=True, seccomp="unconfined", unmasked=True)
    assert config.sysctls == (("fs.mqueue.msg_max", "5"), ("kernel.sem", "1 2 3 4"))
    assert config.ulimits == (Ulimit("core", 0, 0), Ulimit("nofile", 1, 2))
    assert config.block_io == BlockIo(10, read_bps=(("/dev/a", 7),))
    assert (config.devices, config.device_rules) == ((Device("/dev/a", "/dev/b", "r"),), ("c 1:* r",))
    assert (config.groups, config.read_only, config.shm_bytes, config.oom_score_adj) == (
        ("audio", "29"),
        True,
        1 << 20,
        5,
    )
    sandbox: SandboxConfig = declared("sandbox:node_1", sysctls={"net.core.somaxconn": "9", "kernel.sem": "1 2 3 4"})
    assert sandbox.sysctls == (("net.core.somaxconn", "9"),)


def test_privileged_is_everything_less_what_is_dropped_or_said_otherwise():
    security = declared("container:node_1", privileged=True, cap_drop=["NET_RAW"]).security
    assert len(security.capabilities) == 40
    assert "NET_RAW" not in security.capabilities
    assert (security.every_capability, security.seccomp, security.privileged) == (True, "unconfined", True)
    profile = '{"defaultAction":"SCMP_ACT_ALLOW"}'
    assert (
        declared("container:node_1", privileged=True, security_opt=[f"seccomp={profile}"]).security.seccomp == profile
    )


@pytest.mark.parametrize("more", [[], ["corral:strict"]])
@pytest.mark.parametrize(
    ("text", "profile"), [("apparmor=web", "web"), ("apparmor:a b", "a b"), ("apparmor=unconfined", "")]
)
def test_an_apparmor_profile_by_its_name(text: str, profile: str, more: list[str]):
    assert declared("container:node_1", security_opt=[text, *more]).security.apparmor == profile


@pytest.mark.parametrize("text", ["SIGUSR1", "USR1", "10"])
def test_signals_by_name_and_number(text: str):
    assert declared("container:node_1", stop_signal=text).stop_signal == 10


def test_host_name_domain_and_names_without_and_with_underscore():
    sandbox: SandboxConfig = declared("sandbox:node_1", name="my_lab")
    assert (sandbox.hostname, sandbox.domainname) == ("node-1", "my-lab")
    endpoint: EndpointConfig = declared("endpoint:node_1/lab", name="my_lab", networks={"lab": {"aliases": ["www"]}})
    assert endpoint.fqdn == "node-1.my-lab"
    expected = {"node_1", "node-1", "node_1.my_lab", "node-1.my-lab", "node_1.my-lab", "www", "my_lab-node_1-1"}
    assert expected <= set(endpoint.names)


def test_a_host_name_that_is_given_is_kept():
    sandbox: SandboxConfig = declared("sandbox:node_1", hostname="My_Host", domainname="corp.local")
    assert (sandbox.hostname, sandbox.domainname) == ("My_Host", "corp.local")
    assert declared("endpoint:node_1/lab", hostname="nn.hadoop.local").fqdn == "nn.hadoop.local"
    assert declared("endpoint:node_1/lab", hostname="nn").fqdn == "nn.p"


def test_modes_without_networks():
    assert declared("sandbox:node_1", network_mode="host").mode is NetworkMode.HOST
    assert declared("sandbox:node_1", network_mode="host").hostname == ""
    alone: SandboxConfig = declared("sandbox:node_1", network_mode="none")
    assert (alone.mode, alone.hostname) == (NetworkMode.NONE, "node-1")


def test_mounts_one_for_each_target_the_later_wins():
    bind = {"type": "bind", "source": "/src", "target": "/data", "bind": {"create_host_path": True}}
    services = {
        "a": service(volumes=[bind, volume("data", "/v", volume={"nocopy": True}), {"type": "tmpfs", "target": "/t"}]),
        "b": service(volumes_from=["a:ro"], volumes=[volume("own", "/v")], tmpfs=["/run:size=1m,mode=755"]),
        "c": service(volumes_from=["b"]),
    }
    scene = Scene().up(project(services))
    by_service = {slot: scene.desired.wanted[f"container:{slot}"].config.mounts for slot in "abc"}  # type: ignore[union-attr]
    assert by_service["a"] == (
        BindMount("/src", "/data", False, True),
        VolumeMount("p_data", "/v", False, True),
        TmpfsMount("/t"),
    )
    assert by_service["b"] == (
        BindMount("/src", "/data", True, True),
        VolumeMount("p_own", "/v"),
        TmpfsMount("/t"),
        TmpfsMount("/run", 1 << 20, 0o755),
    )
    assert VolumeMount("p_own", "/v") in by_service["c"]
    edges = {edge.to for edge in scene.desired.wanted["container:c"].edges}
    assert {"volume:own", "container:b"} <= edges


def test_volumes_of_a_container_by_its_name():
    services = {
        "a": service(container_name="mine", volumes=[volume("data", "/v")]),
        "b": service(volumes_from=["container:mine:ro"]),
    }
    scene = Scene().up(project(services))
    assert scene.desired.wanted["container:b"].config.mounts == (VolumeMount("p_data", "/v", True),)  # type: ignore[union-attr]
    assert "container:a" not in {edge.to for edge in scene.desired.wanted["container:b"].edges}
    services["b"] = service(volumes_from=["container:nobody"])
    with pytest.raises(DeclareError, match="project p has no container nobody"):
        Scene().up(project(services))
    services["b"] = service(volumes_from=["container:p-b-1"])
    with pytest.raises(DeclareError, match="b and b take their volumes from each other"):
        Scene().up(project(services))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"networks": ("lab",)}, "10.9.0.1"),
        ({"networks": ("inner", "lab")}, "10.9.0.1"),
        ({"networks": ("inner",)}, "10.8.0.1"),
        ({"networks": ("six",)}, "fd12::1"),
        ({"network_mode": "host"}, "127.0.0.1"),
    ],
)
def test_the_machine_is_at_the_gateway_that_leads_outside(fields: dict[str, Any], expected: str):
    networks = {
        "inner": {"internal": True, **subnet("10.8.0.0/24")},
        "lab": subnet("10.9.0.0/24"),
        "six": {"enable_ipv4": False, "enable_ipv6": True, **subnet("fd12::/64")},
    }
    asks = service(extra_hosts=[["machine", "host-gateway"], ["x", "10.1.1.1"]], **fields)
    scene = Scene().up(project({"a": asks}, networks=networks))
    hosts = scene.desired.wanted["sandbox:a"].config.extra_hosts  # type: ignore[union-attr]
    assert hosts == (("machine", expected), ("x", "10.1.1.1"))


def test_links_are_names_of_all_replicas_and_wait_for_their_start():
    scene = Scene().up(project({"db": service(scale=2), "web": service(links=["db:database"])}))
    sandbox = scene.desired.wanted["sandbox:web"].config
    assert isinstance(sandbox, SandboxConfig)
    assert sandbox.links == (("database", "db-1"), ("database", "db-2"))
    waits = {
        edge.to: edge.needs for edge in scene.desired.wanted["container:web"].edges if edge.to.startswith("container:")
    }
    assert waits == {"container:db-1": Needs.STARTED, "container:db-2": Needs.STARTED}


def test_the_default_route_leads_through_the_first_network_that_leads_outside():
    document = project({"a": service(networks=("back", "front", "zone"))}, networks={"back": {"internal": True}})
    wanted = Scene().up(document).desired.wanted
    primary = [key for key in ("back", "front", "zone") if wanted[f"endpoint:a/{key}"].config.primary]  # type: ignore[union-attr]
    assert primary == ["front"]


def test_what_nobody_uses_is_not_made():
    document = project({"a": service()})
    document["networks"]["spare"] = {"name": "p_spare"}
    document["volumes"]["spare"] = {"name": "p_spare"}
    assert not any("spare" in resource_id for resource_id in Scene().up(document).desired.wanted)


def test_a_replica_that_would_be_called_like_another_service_is_refused():
    with pytest.raises(Conflict, match=r"services.web: its replica web-2 is called like a container of web-2"):
        Scene().up(project({"web": service(), "web-2": service()}), scale={"web": 2})


def test_a_service_that_is_not_there_is_refused_by_name():
    with pytest.raises(DeclareError, match="no such service: wbe"):
        Scene().up(project({"web": service()}), services=["wbe"])
    with pytest.raises(DeclareError, match="no such service: x"):
        Scene().stored.stop(["x"])


def test_what_is_stored_is_json_and_comes_back_equal():
    scene = Scene().up(project({"a": service(scale=2, depends_on={"b": needs()}), "b": service()}), scale={"a": 3})
    stored = scene.say(scene.stored.stop(["a"])).stored
    stored = stored.pause(["b"])
    written = json.loads(json.dumps(stored.to_json()))
    assert Stored.from_json(written) == stored
    del written["overlay"]["paused"]
    assert Stored.from_json(written) == stored.unpause(), "a record from before there was a pause"


def test_a_pause_ends_with_up_stop_and_down():
    document = project({"a": service(), "b": service()})
    stored = Scene().up(document).stored.pause(["a", "b"])
    assert stored.overlay.paused == {"a", "b"}
    assert stored.up(scenes.FILES, document, 5.0, services=["a"]).overlay.paused == {"b"}
    assert stored.stop(["a"]).overlay.paused == {"b"}
    assert stored.start(["a"], 5.0).overlay.paused == {"a", "b"}
    assert stored.unpause(["a"]).overlay.paused == {"b"}
    assert stored.unpause().overlay.paused == frozenset()
    assert stored.down().overlay.paused == frozenset()
    assert stored.pause([]) == stored
    with pytest.raises(DeclareError, match="no such service: x"):
        stored.pause(["x"])


def test_up_of_a_service_runs_it_as_often_as_the_file_says_again():
    document = project({"a": service(), "b": service()})
    scene = Scene().up(document, scale={"a": 2}).say(Scene().up(document, scale={"a": 2, "b": 2}).stored.stop(["a"]))
    stored = scene.stored.up(scenes.FILES, document, 5.0, services=["a"])
    assert (stored.overlay.scale, stored.overlay.stopped, stored.asked["a"]) == ({"b": 2}, frozenset(), 5.0)


def test_up_without_what_it_needs_does_not_wait_for_it():
    document = project({"db": service(), "web": service(depends_on={"db": needs()}, links=["db:x"])})
    scene = Scene().up(document, services=["web"], no_deps=True)
    assert {i for i in scene.desired.wanted if i.startswith("container:")} == {"container:web"}
    assert scene.forecast().blocked == ()
