"""What the engine is asked to make (`…Config`).

A Config is complete, immutable and serialisable: every default is filled in, every address and host port chosen, and two
Configs are equal exactly if they ask for the same thing. Units and mappings are as in `parts`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from engine.types.parts import (
    DEFAULT_SHM_BYTES,
    BlockIo,
    Device,
    GivenFile,
    Healthcheck,
    Limits,
    Logging,
    Mount,
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


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A bridge of its own. `subnet` is "a.b.c.d/n"; `gateway` is the bridge's own address in it. `ip_range`: the part of the
    subnet that addresses are chosen from, "" for all of it."""

    name: str  # full: unique in this corral
    project: str
    key: str
    subnet: str
    gateway: str
    internal: bool = False
    mtu: int = 1500
    labels: Pairs = ()
    ip_range: str = ""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """A network namespace and a uts namespace, held by a shim. `sysctls` are the network's ("net.…").

    `links` are (alias, sandbox name) pairs: names that only this sandbox sees. `extra_hosts` are (name, address) pairs
    for /etc/hosts. Empty `dns_servers`: ours, which forwards to the machine's.
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


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """Joins a sandbox to a network. `names`: what the other members of the network may call it (shared names are
    answered in turn); `fqdn` is what its address resolves back to. `primary`: it carries the default route."""

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


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """One process tree with its own ipc, pid and mount namespaces, in a sandbox.

    `entrypoint` and `command`: None means the image's. `user` is "", "name", "uid" or either with ":group".
    `groups` are supplementary ones, names of the image's or numbers. `sysctls` are those of the ipc namespace. `device_rules`
    are "c 1:3 rwm", with a for both kinds and * for any number. `read_only`: the root; mounts are as they say.
    `nonce` changes only to force a new container. `paused`: while it runs, all its processes stand still.
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
    ports: tuple[PortMap, ...] = ()
    expose: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    block_io: BlockIo = field(default_factory=BlockIo)
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
    sysctls: Pairs = ()
    security: Security = field(default_factory=Security)
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
    labels: Pairs = ()
    nonce: int = 0
    paused: bool = False


Config = ImageConfig | VolumeConfig | NetworkConfig | SandboxConfig | EndpointConfig | ContainerConfig
