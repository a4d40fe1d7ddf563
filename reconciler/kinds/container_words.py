"""What users call the fields of a ContainerConfig, which of them the kernel changes under the running process, and how they are
shown."""

from engine.types.configs import ContainerConfig
from engine.types.parts import (
    BindMount,
    BlockIo,
    Device,
    Hook,
    Limits,
    Logging,
    Namespaces,
    Of,
    PortMap,
    Security,
    Ulimit,
    VolumeMount,
)
from reconciler import claims as claiming
from reconciler import difference, restart
from reconciler.difference import Word

LIMITS = {
    "memory_bytes": Word("mem_limit", live=True, show=difference.size),
    "memswap_bytes": Word("memswap_limit", live=True, show=difference.size),
    "cpus": Word("cpus", live=True),
    "cpu_shares": Word("cpu_shares", live=True),
    "cpuset": Word("cpuset", live=True),
    "pids": Word("pids_limit", live=True),
    "reservation_bytes": Word("mem_reservation", live=True, show=difference.size),
    "swappiness": Word("mem_swappiness", live=True),
    "oom_kill_disable": Word("oom_kill_disable", live=True),
    "cpu_period_us": Word("cpu_period", live=True),
    "cpu_quota_us": Word("cpu_quota", live=True),
    "rt_runtime_us": Word("cpu_rt_runtime", live=True),
    "rt_period_us": Word("cpu_rt_period", live=True),
}
assert LIMITS.keys() == set(Limits.__dataclass_fields__)

BLOCK_IO = {
    "weight": Word("blkio_config.weight", live=True),
    "device_weights": Word("blkio device weights", members=True),
    "read_bps": Word("blkio read bps", members=True),
    "write_bps": Word("blkio write bps", members=True),
    "read_iops": Word("blkio read iops", members=True),
    "write_iops": Word("blkio write iops", members=True),
}
assert BLOCK_IO.keys() == set(BlockIo.__dataclass_fields__)

SECURITY = {
    "capabilities": Word("capabilities", members=True),
    "every_capability": Word("every capability"),
    "no_new_privileges": Word("no-new-privileges"),
    "seccomp": Word("seccomp", show=lambda profile: "a profile" if profile.startswith("{") else profile or "default"),
    "unmasked": Word("systempaths=unconfined"),
    "privileged": Word("privileged"),
    "apparmor": Word("apparmor", show=lambda profile: profile or "unconfined"),
}
assert SECURITY.keys() == set(Security.__dataclass_fields__)


def shown_scope(scope: object) -> str:
    return scope.slot if isinstance(scope, Of) else str(scope)


NAMESPACES = {
    "pid": Word("pid", show=shown_scope),
    "ipc": Word("ipc", show=shown_scope),
    "uts": Word("uts"),
    "cgroup": Word("cgroup"),
}
assert NAMESPACES.keys() == set(Namespaces.__dataclass_fields__)


def shown_port(port: object) -> str:
    assert isinstance(port, PortMap)
    host = f"[{port.host_ip}]:" if ":" in port.host_ip else f"{port.host_ip}:"
    host = "" if port.host_ip == claiming.EVERY_ADDRESS else host
    return f"{host}{port.host_port}:{port.container_port}/{port.protocol}"


def shown_ulimit(limit: object) -> str:
    assert isinstance(limit, Ulimit)
    return f"{limit.name}={limit.soft}:{limit.hard}"


def shown_device(device: object) -> str:
    assert isinstance(device, Device)
    return f"{device.source}:{device.target}:{device.access}"


def shown_mount(mount: object) -> str:
    source = getattr(mount, "source", "") or getattr(mount, "volume", "") or "tmpfs"
    part = f"/{mount.subpath}" if isinstance(mount, VolumeMount) and mount.subpath else ""
    options = ["ro"] if getattr(mount, "read_only", False) else []
    if isinstance(mount, BindMount):
        usual = BindMount(mount.source, mount.target)
        options += [mount.propagation] if mount.propagation != usual.propagation else []
        options += [f"recursive={mount.recursive}"] if mount.recursive != usual.recursive else []
    return ":".join((f"{source}{part}", getattr(mount, "target", ""), *([",".join(options)] if options else [])))


def shown_hook(hook: object) -> str:
    assert isinstance(hook, Hook)
    return " ".join(hook.argv)


def shown_logging(logging: Logging) -> str:
    if not logging.is_kept:
        return "none"
    kept = "without end" if logging.file_bytes is None else f"{logging.files} × {logging.file_bytes / 1e6:g} MB"
    if logging.forward is None:
        return kept
    return " ".join(filter(None, (logging.forward.driver, logging.forward.address, logging.forward.tag, kept)))


WORDS = {
    "name": Word("container_name"),
    "sandbox": Word("sandbox"),
    "image": Word("image"),
    "entrypoint": Word("entrypoint"),
    "command": Word("command"),
    "environment": Word("environment", members=True),
    "user": Word("user"),
    "groups": Word("group_add", members=True),
    "working_dir": Word("working_dir"),
    "read_only": Word("read_only"),
    "shm_bytes": Word("shm_size", show=difference.size),
    "mounts": Word("volumes", members=True, show=shown_mount),
    "file_variables": Word("variables of env_file", live=True),
    "on_change": Word("on_change of env_file", live=True),
    "files": Word("configs and secrets", members=True, show=lambda file: file.target),
    "ports": Word("ports", live=True, members=True, show=shown_port),
    "expose": Word("expose", live=True, members=True),
    "limits": Word("limits", live=True, parts=LIMITS),
    "block_io": Word("blkio_config", parts=BLOCK_IO),
    "ulimits": Word("ulimits", members=True, show=shown_ulimit),
    "oom_score_adj": Word("oom_score_adj"),
    "sysctls": Word("sysctls", members=True),
    "security": Word("security", parts=SECURITY),
    "ids": Word("userns_mode", show=difference.id_range),
    "devices": Word("devices", members=True, show=shown_device),
    "device_rules": Word("device_cgroup_rules", live=True, members=True),
    "restart": Word("restart", live=True, show=restart.policy_of),
    "healthcheck": Word("healthcheck", live=True, show=lambda check: " ".join(check.test) if check else "none"),
    "logging": Word("logging", show=shown_logging),
    "init": Word("init"),
    "tty": Word("tty"),
    "stdin_open": Word("stdin_open"),
    "post_start": Word("post_start", members=True, show=shown_hook),
    "pre_stop": Word("pre_stop", live=True, members=True, show=shown_hook),
    "definition": Word("pre_start"),
    "stop_signal": Word("stop_signal", live=True),
    "stop_grace_s": Word("stop_grace_period", live=True, show=lambda seconds: f"{seconds:g}s"),
    "labels": Word("labels", live=True, members=True),
    "annotations": Word("annotations", live=True, members=True),
    "namespaces": Word("namespaces", parts=NAMESPACES),
    "cgroup_parent": Word("cgroup_parent"),
    "paused": Word("paused", live=True),
    "nonce": Word("asked to be made anew"),
}
assert WORDS.keys() | {"project", "service", "number", "slot", "run_of"} == set(ContainerConfig.__dataclass_fields__)
