"""What the engine is asked to make (`…Config`).

A Config is complete, immutable and serialisable: every default is filled in, every address and host port chosen, and two
Configs are equal exactly if they ask for the same thing. Units and mappings are as in `parts`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from engine.types.parts import (
    DEFAULT_SHM_BYTES,
    Backing,
    BlockIo,
    Device,
    GivenFile,
    Healthcheck,
    Hook,
    IdRange,
    Limits,
    Logging,
    Mount,
    Namespaces,
    OnChange,
    Pairs,
    PortMap,
    RestartPolicy,
    Security,
    Ulimit,
)


class NetworkMode(StrEnum):
    """What a sandbox's network namespace is: its own, the machine's, or its own with nothing but lo in it."""

    PRIVATE = "private"
    HOST = "host"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """`reference`: "host", or "rootfs:/an/absolute/directory"."""

    reference: str


@dataclass(frozen=True, slots=True)
class VolumeConfig:
    name: str  # full: unique in this corral
    project: str
    key: str  # as the spec calls it
    labels: Pairs = ()
    backing: Backing = field(default_factory=Backing)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A bridge of its own. `subnet` is "a.b.c.d/n"; `gateway` is the bridge's own address in it; `ip_range`: the part of the
    subnet that addresses are chosen from, "" for all of it; `subnet6`, `gateway6` and `ip_range6` are the same of IPv6; "": the
    network has none of that family. `bridge` is the name that the kernel's interface gets, "": any. `icc`: members reach each
    other. `masquerade`: who goes out of it has an address of the machine's. `interface_prefix`: of the names of its members'
    interfaces. `reserved` addresses are given to nobody."""

    name: str  # full: unique in this corral
    project: str
    key: str
    subnet: str
    gateway: str
    internal: bool = False
    mtu: int = 1500
    labels: Pairs = ()
    subnet6: str = ""
    gateway6: str = ""
    bridge: str = ""
    icc: bool = True
    masquerade: bool = True
    host_ip: str = ""  # where its ports are published, unless they say so; "": everywhere
    interface_prefix: str = "eth"
    reserved: tuple[str, ...] = ()
    ip_range: str = ""
    ip_range6: str = ""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """A network namespace and a uts namespace, held by a shim. `sysctls` are the network's ("net.…").

    `links` are (alias, sandbox name) pairs: names that only this sandbox sees; `external_links` (alias, name) pairs: other words
    for what a name of its networks leads to. `extra_hosts` are (name, address) pairs
    for /etc/hosts. Empty `dns_servers`: ours, which forwards to the machine's. `ids`: its namespaces belong to a user namespace
    with these, None: to the machine's.
    """

    name: str  # unique in its project; the slot's name
    project: str
    mode: NetworkMode = NetworkMode.PRIVATE
    hostname: str = ""
    domainname: str = ""  # the FQDN is `hostname.domainname`
    extra_hosts: Pairs = ()
    dns_servers: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    links: Pairs = ()
    sysctls: Pairs = ()
    ids: IdRange | None = None
    external_links: Pairs = ()


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """Joins a sandbox to a network. `names`: what the other members of the network may call it (shared names are
    answered in turn); `fqdn` is what its address resolves back to. `primary`: it carries the default route, `primary6` that of
    IPv6. `address6`, `prefix_length6` and `gateway6` are those of IPv6, and either family may be missing ("", 0). `mac` "": one
    that follows from the address. `interface` is the name asked for, "": `likely_interface` where that is free. `link_local`
    addresses come on top. `sysctls` are of the interface, whose name stands in them as IFNAME. `guarded`: what does not come from
    its MAC and addresses is not passed on (`engine.network.guard`)."""

    project: str
    sandbox: str
    network: str  # full name
    network_key: str
    address: str
    prefix_length: int
    gateway: str
    fqdn: str
    names: tuple[str, ...] = ()
    primary: bool = False
    address6: str = ""
    prefix_length6: int = 0
    gateway6: str = ""
    primary6: bool = False
    mtu: int = 1500
    mac: str = ""
    interface: str = ""
    likely_interface: str = "eth0"
    link_local: tuple[str, ...] = ()
    sysctls: Pairs = ()
    guarded: bool = False


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """One process tree with its own mount namespace, and `namespaces`, in a sandbox. `cgroup_parent`: names from the top, joined
    by "/", of what its cgroup is in; "" is the project's. `annotations` are kept, and no more.

    `entrypoint` and `command`: None means the image's. `user` is "", "name", "uid" or either with ":group".
    `groups` are supplementary ones, names of the image's or numbers. `sysctls` are those of the ipc namespace. `device_rules`
    are "c 1:3 rwm", with a for both kinds and * for any number. `read_only`: the root; mounts are as they say. `ids` are those of
    its sandbox. `file_variables`: those of `environment` that come from files, which may change as `on_change` says. `nonce`
    changes only to force a new container. `paused`: while it runs, all its processes stand still.
    `post_start` are run one after the other after each start, and if one fails the container is stopped; `pre_stop` before a
    planned stop, within its grace, and if one fails it is not stopped. `number` 0: a step that comes before the service's first
    container. `definition`: a text that stands for what it has to come after, or before. `run_of`: it is no
    container of its service's, but runs once, beside those of this one.
    """

    name: str  # unique in this corral
    project: str
    service: str
    number: int
    slot: str
    sandbox: str
    image: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: Pairs = ()
    user: str = ""
    groups: tuple[str, ...] = ()
    working_dir: str = ""
    read_only: bool = False
    shm_bytes: int = DEFAULT_SHM_BYTES
    mounts: tuple[Mount, ...] = ()
    files: tuple[GivenFile, ...] = ()
    file_variables: tuple[str, ...] = ()
    on_change: OnChange = OnChange.RECREATE
    ports: tuple[PortMap, ...] = ()
    expose: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    block_io: BlockIo = field(default_factory=BlockIo)
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
    sysctls: Pairs = ()
    security: Security = field(default_factory=Security)
    ids: IdRange | None = None
    devices: tuple[Device, ...] = ()
    device_rules: tuple[str, ...] = ()
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    healthcheck: Healthcheck | None = None
    logging: Logging = field(default_factory=Logging)
    init: bool = False
    tty: bool = False
    stdin_open: bool = False
    stop_signal: int = 15
    stop_grace_s: float = 10.0
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    labels: Pairs = ()
    annotations: Pairs = ()
    namespaces: Namespaces = field(default_factory=Namespaces)
    cgroup_parent: str = ""
    definition: str = ""
    nonce: int = 0
    paused: bool = False
    run_of: str = ""


Config = ImageConfig | VolumeConfig | NetworkConfig | SandboxConfig | EndpointConfig | ContainerConfig
