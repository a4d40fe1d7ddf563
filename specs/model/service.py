"""A service of a project, canonical: every short form is spelled out, every default that Compose gives is filled in.

Durations are seconds, sizes are bytes. Limits are in one place each: `deploy.resources.limits` has been folded into
`cpus`, `mem_limit` and `pids_limit`, `deploy.replicas` into `scale`.
"""

from typing import Annotated, Any, Literal, Self

import pydantic

from specs.model import strict
from specs.model.content import Use


class ServiceNetwork(strict.Model):
    """How a service is joined to a network. `aliases` are names beside the service's own. `gw_priority`: the highest carries the
    default route; `priority`: the highest is joined first. `driver_opts`: see `bridge_options`."""

    aliases: tuple[str, ...] = ()
    ipv4_address: str | None = None
    ipv6_address: str | None = None
    link_local_ips: tuple[str, ...] = ()
    mac_address: str | None = None
    interface_name: str | None = None
    gw_priority: int = 0
    priority: int = 0
    driver_opts: dict[str, str] = pydantic.Field(default_factory=dict)


class Port(strict.Model):
    """`published` is a host port as text, a range "8000-8010" to choose one from, or "" (chosen by us). `host_ip` "" is
    every address of the machine. `name` and `app_protocol` are words for humans; on one machine both modes mean the
    same."""

    target: int
    published: str = ""
    host_ip: str = ""
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    mode: Literal["ingress", "host"] = "ingress"
    name: str = ""
    app_protocol: str = ""

    def published_range(self) -> tuple[int, int] | None:
        """First and last host port that may be taken; None: any."""
        if not self.published:
            return None
        first, _, last = self.published.partition("-")
        return int(first), int(last or first)


class BindOptions(strict.Model):
    """Of a mount of type bind. `selinux` changes nothing: no profile is ever applied."""

    create_host_path: bool = False
    propagation: Literal["private", "rprivate", "shared", "rshared", "slave", "rslave"] = "rprivate"
    recursive: Literal["enabled", "disabled", "writable", "readonly"] = "enabled"
    selinux: Literal["", "z", "Z"] = ""


class VolumeOptions(strict.Model):
    """Of a mount of type volume. `nocopy`: an empty volume is not filled with what the image has there. `subpath`: the part of
    the volume that is mounted. `labels`: of an anonymous one."""

    nocopy: bool = False
    subpath: str = ""
    labels: dict[str, str] = pydantic.Field(default_factory=dict)


class TmpfsOptions(strict.Model):
    """Of a mount of type tmpfs. `size` in bytes, None: no limit of its own."""

    size: int | None = None
    mode: int | None = None


class ServiceVolume(strict.Model):
    """One mount. `source` is an absolute path (bind), a key of the project's volumes (volume), or "" (tmpfs, and a volume that
    is anonymous). `consistency` means nothing on this machine."""

    type: Literal["bind", "volume", "tmpfs"]
    source: str = ""
    target: str
    read_only: bool = False
    consistency: str = ""
    bind: BindOptions = BindOptions()
    volume: VolumeOptions = VolumeOptions()
    tmpfs: TmpfsOptions = TmpfsOptions()


class Dependency(strict.Model):
    """`required` False: a dependency that is not there or failed is only told about. `restart`: when it is restarted or
    made anew on purpose, so is the dependent. `implied`: not said by `depends_on`, but by a namespace that is the other's."""

    condition: Literal["service_started", "service_healthy", "service_completed_successfully"] = "service_started"
    required: bool = True
    restart: bool = False
    implied: bool = False


class Healthcheck(strict.Model):
    """`test` is ("CMD", …) or ("CMD-SHELL", text). A disabled healthcheck is no healthcheck."""

    test: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float = 5.0


class RestartPolicy(strict.Model):
    """What `restart` has no word for. Seconds: `delay` 0 is a back-off; who lived for `window` was restarted with success, and
    none of the attempts before counts, 0: all do. `max_attempts` None: no end."""

    delay: Annotated[float, pydantic.Field(ge=0)] = 0.0
    window: Annotated[float, pydantic.Field(ge=0)] = 0.0
    max_attempts: Annotated[int, pydantic.Field(ge=1)] | None = None


class DeviceWeight(strict.Model):
    path: str
    weight: int


class DeviceRate(strict.Model):
    path: str
    rate: int


class BlockIo(strict.Model):
    """Weights are 10 to 1000; rates are bytes or operations a second."""

    weight: int | None = None
    weight_device: tuple[DeviceWeight, ...] = ()
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()


class Device(strict.Model):
    """A device node of the machine's at `target`. `permissions`: of r, w and m (mknod)."""

    source: str
    target: str
    permissions: str = "rwm"


class Ulimit(strict.Model):
    """A limit of setrlimit(2); -1 is none."""

    soft: int
    hard: int


class Logging(strict.Model):
    """See `specs.canonical.log_options`. `driver` "": the engine's."""

    driver: str = ""
    options: dict[str, str] = pydantic.Field(default_factory=dict)


class Hook(strict.Model):
    """A command run in a running container. What is None is as the container's. `privileged`: with every capability."""

    command: tuple[str, ...]
    user: str | None = None
    privileged: bool = False
    working_dir: str | None = None
    environment: dict[str, str] = pydantic.Field(default_factory=dict)


class InitStep(strict.Model):
    """A container that runs to its end before the service's first start. `image` None: the service's. `command` (): the
    image's. What is None is as the service's. `per_replica`: once for each container of the service, not once for all."""

    command: tuple[str, ...] = ()
    image: str | None = None
    user: str | None = None
    privileged: bool = False
    working_dir: str | None = None
    environment: dict[str, str] = pydantic.Field(default_factory=dict)
    per_replica: bool = False


class Leave(Hook):
    """What is run in a replica that goes because of a smaller scale; it has `timeout` seconds."""

    timeout: float = pydantic.Field(600.0, gt=0)


class OnlyOurs(strict.Model):
    """What only corral knows of a service. `on_change`: see there; `pages`: by title "PORT" or "PORT/PATH", see `pages`;
    `replica`: as it is written, see `replicas`."""

    leave: Leave | None = None
    on_change: dict[str, str] = pydantic.Field(default_factory=dict)
    pages: dict[str, str] = pydantic.Field(default_factory=dict)
    replica: tuple[dict[str, Any], ...] = ()


class Service(strict.Model):
    """One service.

    `command`, `entrypoint`: None means the image's, () means none at all. `network_mode` None: joined to `networks`; it, `pid`,
    `ipc`, `uts`, `cgroup` and `cgroup_parent`: see `namespaces`. `links` are "service:alias", `external_links`
    "container" or "container:alias"; `volumes_from` "service" or "service:ro"; `tmpfs` "/path" or "/path:options" (see
    `tmpfs`); `expose` "80", "80-90", either with "/udp"; `extra_hosts` (name, address) pairs; `restart` as in the file.
    Limits: None is unlimited; `memswap_limit` -1 is unlimited swap; `cpu_period`, `cpu_quota`, `cpu_rt_period` and
    `cpu_rt_runtime` are microseconds. `cap_add`,
    `cap_drop`: names without CAP_, and ALL. `security_opt`: see `security_options`; `userns_mode`: see `isolation`,
    None is host. `restart_policy`: what `restart` has no word for. `file_variables`: those of `environment` that env files say.
    `pull_policy`, `platform`, `runtime` and `isolation` are kept and mean nothing; `attach` False: `up` does not
    show its output. `shm_size` None: Docker's default. `scale` None: the file gives neither `scale` nor `deploy.replicas`.
    `providers`: services that are no containers, and of whose variables `environment` has those that `provided` names.
    `replicas`, by number from 1: what each is where they differ, without `depends_on`; empty: all are as the service says.
    """

    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: dict[str, str] = pydantic.Field(default_factory=dict)
    file_variables: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    provided: tuple[str, ...] = ()
    hostname: str | None = None
    domainname: str | None = None
    container_name: str | None = None
    user: str | None = None
    userns_mode: Literal["host", "auto"] | None = None
    working_dir: str | None = None
    network_mode: str | None = None
    pid: str | None = None
    ipc: str | None = None
    uts: str | None = None
    cgroup: str | None = None
    cgroup_parent: str | None = None
    mac_address: str | None = None
    configs: tuple[Use, ...] = ()
    secrets: tuple[Use, ...] = ()
    networks: dict[str, ServiceNetwork] = pydantic.Field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    expose: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    external_links: tuple[str, ...] = ()
    volumes: tuple[ServiceVolume, ...] = ()
    volumes_from: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    depends_on: dict[str, Dependency] = pydantic.Field(default_factory=dict)
    healthcheck: Healthcheck | None = None
    logging: Logging = pydantic.Field(default_factory=Logging)
    restart: str | None = None
    restart_policy: RestartPolicy = RestartPolicy()
    init: bool = False
    mem_limit: int | None = None
    memswap_limit: int | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    cpuset: str | None = None
    pids_limit: int | None = None
    mem_reservation: int | None = None
    mem_swappiness: int | None = None
    oom_kill_disable: bool = False
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpu_rt_runtime: int | None = None
    cpu_rt_period: int | None = None
    blkio_config: BlockIo = BlockIo()
    shm_size: int | None = None
    ulimits: dict[str, Ulimit] = pydantic.Field(default_factory=dict)
    oom_score_adj: int = 0
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    read_only: bool = False
    sysctls: dict[str, str] = pydantic.Field(default_factory=dict)
    security_opt: tuple[str, ...] = ()
    privileged: bool = False
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    scale: int | None = None
    attach: bool = True
    isolation: str | None = None
    platform: str | None = None
    pull_policy: str | None = None
    runtime: str | None = None
    labels: dict[str, str] = pydantic.Field(default_factory=dict)
    annotations: dict[str, str] = pydantic.Field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    pre_start: tuple[InitStep, ...] = ()
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    stop_signal: str | None = None
    stop_grace_period: float | None = None
    tty: bool = False
    stdin_open: bool = False
    extra_hosts: tuple[tuple[str, str], ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    replicas: dict[str, "Service"] = pydantic.Field(default_factory=dict)
    # a default would be copied deeply, each time
    x_corral: OnlyOurs = pydantic.Field(default_factory=OnlyOurs, alias="x-corral")

    @pydantic.model_validator(mode="after")
    def _has_all_replicas(self) -> Self:
        numbers = [str(number) for number in range(1, len(self.replicas) + 1)]
        if self.replicas and (sorted(self.replicas, key=len) != numbers or len(numbers) < (self.scale or 1)):
            raise ValueError("replicas are not those from 1 to the scale")
        if any(replica.replicas for replica in self.replicas.values()):
            raise ValueError("a replica has no replicas")
        return self


def slot_names(service_name: str, scale: int | None) -> tuple[str, ...]:
    """The names of a service's slots: its own, or NAME-1 … NAME-n where the file gives a scale."""
    if scale is None:
        return (service_name,)
    return tuple(f"{service_name}-{number}" for number in range(1, scale + 1))
