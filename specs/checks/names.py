"""Whether names and words are such as the kernel, DNS and Compose take."""

from collections.abc import Iterator

from specs import signals
from specs.canonical import block_io, confinement, isolation, log_options, security_options, tmpfs
from specs.composing import devices, ports
from specs.errors import Path, SpecError
from specs.model.project import Project
from specs.model.service import Service
from specs.model.volume import Volume
from specs.patterns import pattern

_PROJECT = pattern(r"[a-z0-9][a-z0-9_-]*")  # compose-spec 04-version-and-name.md
_KEY = pattern(r"[a-zA-Z0-9._-]+")  # compose-spec.schema.json
_SERVICE = pattern(r"[a-zA-Z0-9_][a-zA-Z0-9._-]*")  # so that no path and no option looks like one
_FULL = pattern(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_CONTAINER = pattern(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")  # compose-spec.schema.json, container_name
_HOST = pattern(r"[a-zA-Z0-9_]([a-zA-Z0-9._-]*[a-zA-Z0-9_])?")
_HOST_LENGTH = 64  # linux/utsname.h __NEW_UTS_LEN
_LABEL_LENGTH = 63  # RFC 1035 2.3.4
_RESTART = pattern(r"no|always|unless-stopped|on-failure(:\d+)?")
_CPUSET = pattern(r"\d+(-\d+)?(,\d+(-\d+)?)*")
_PERIODS = (1000, 1_000_000)  # linux kernel/sched/core.c, min_cfs_quota_period and max_cfs_quota_period; in µs
_REAL_TIME_PERIOD = 1_000_000  # linux kernel/sched/rt.c, sysctl_sched_rt_period; in µs
_SHARES = (2, 262144)  # linux kernel/sched/sched.h MIN_SHARES, MAX_SHARES


def problems(project: Project) -> Iterator[SpecError]:
    """Every name or word that is not one."""
    if not _PROJECT.fullmatch(project.name):
        yield SpecError(("name",), f"'{project.name}' is not a project's name: small letters, digits, - and _")
    for section, entries in (
        ("services", project.services),
        ("networks", project.networks),
        ("volumes", project.volumes),
        ("configs", project.configs),
        ("secrets", project.secrets),
    ):
        for key in entries:
            if not _KEY.fullmatch(key):
                yield SpecError((section, key), f"'{key}' is not a name: letters, digits, '.', '_' and '-' only")
    for name in project.services:
        if not _SERVICE.fullmatch(name):
            yield SpecError(("services", name), f"'{name}' does not begin with a letter, a digit or '_'")
    for body in project.bodies():
        yield from _service(body.name, body.service, body.path)
    yield from _full_names(project)


def _service(name: str, service: Service, path: Path) -> Iterator[SpecError]:
    if service.container_name is not None and not _CONTAINER.fullmatch(service.container_name):
        message = f"'{service.container_name}' is not a container's name: two or more letters, digits, '.', '_', '-'"
        yield SpecError((*path, "container_name"), message)
    for key, host in (("hostname", service.hostname), ("domainname", service.domainname)):
        if host is not None and not _is_host(host):
            yield SpecError((*path, key), f"'{host}' is not a host's name")
    if service.hostname is None and len(name) > _LABEL_LENGTH:
        message = f"'{name}' is too long to be a host's name: {_LABEL_LENGTH} characters"
        yield SpecError(path, message, hint="give a hostname")
    if service.restart is not None and not _RESTART.fullmatch(service.restart):
        message = f"'{service.restart}' is not a policy: no, always, unless-stopped, on-failure or on-failure:N"
        yield SpecError((*path, "restart"), message)
    if service.stop_signal is not None and not signals.is_signal(service.stop_signal):
        yield SpecError((*path, "stop_signal"), f"'{service.stop_signal}' is not a signal")
    yield from _limits(service, path)
    yield from confinement.problems(service, path)
    options = [*security_options.problems(service.security_opt, (*path, "security_opt"))]
    yield from options or isolation.problems(service, path)
    yield from devices.problems(service, path)
    yield from block_io.problems(service.blkio_config, (*path, "blkio_config"))
    yield from _mounts(service, path)
    for network, joined in service.networks.items():
        for index, alias in enumerate(joined.aliases):
            if not _is_host(alias):
                yield SpecError((*path, "networks", network, "aliases", index), f"'{alias}' is not a host's name")
    try:
        log_options.parse(service.logging.driver, service.logging.options)
    except ValueError as error:
        key = str(error).partition(":")[0]
        where = ("options", key) if key in service.logging.options else ("driver",)
        yield SpecError((*path, "logging", *where), str(error))
    if service.healthcheck is not None:
        test = service.healthcheck.test
        if not test or test[0] not in ("CMD", "CMD-SHELL"):
            yield SpecError((*path, "healthcheck", "test"), 'must begin with "CMD", "CMD-SHELL" or "NONE"')
        elif len(test) < 2:
            yield SpecError((*path, "healthcheck", "test"), f'nothing to run comes after "{test[0]}"')
        if service.healthcheck.retries < 0:
            yield SpecError((*path, "healthcheck", "retries"), f"{service.healthcheck.retries} is less than 0")


def _limits(service: Service, path: Path) -> Iterator[SpecError]:
    for key, limit in (("mem_limit", service.mem_limit), ("pids_limit", service.pids_limit), ("cpus", service.cpus)):
        if limit is not None and limit <= 0:
            yield SpecError((*path, key), f"{limit} is not more than 0")
    swap = service.memswap_limit
    if swap is not None and swap != -1 and swap < (service.mem_limit or 0):
        yield SpecError((*path, "memswap_limit"), f"{swap} is less than mem_limit, which it includes")
    if swap is not None and swap != -1 and service.mem_limit is None:
        yield SpecError((*path, "memswap_limit"), "needs a mem_limit, which it includes")
    if service.mem_reservation is not None and service.mem_reservation > (service.mem_limit or service.mem_reservation):
        yield SpecError((*path, "mem_reservation"), f"{service.mem_reservation} is more than mem_limit")
    if service.mem_swappiness is not None and not 0 <= service.mem_swappiness <= 100:
        yield SpecError((*path, "mem_swappiness"), f"{service.mem_swappiness} is not between 0 and 100")
    yield from _cpu_times(service, path)
    shares = service.cpu_shares
    if shares is not None and not _SHARES[0] <= shares <= _SHARES[1]:
        yield SpecError((*path, "cpu_shares"), f"{shares} is not between {_SHARES[0]} and {_SHARES[1]}")
    if service.cpuset and not _CPUSET.fullmatch(service.cpuset):
        yield SpecError((*path, "cpuset"), f"'{service.cpuset}' is not a list of CPUs such as 0-3,5")
    if service.scale is not None and service.scale < 0:
        yield SpecError((*path, "scale"), f"{service.scale} is less than 0")


def _cpu_times(service: Service, path: Path) -> Iterator[SpecError]:
    for key, given in (("cpu_period", service.cpu_period), ("cpu_quota", service.cpu_quota)):
        if given is not None and service.cpus is not None:
            yield SpecError((*path, key), "cannot be given together with cpus", hint="give one of them")
    period, quota = service.cpu_period, service.cpu_quota
    if period is not None and not _PERIODS[0] <= period <= _PERIODS[1]:
        yield SpecError((*path, "cpu_period"), f"{period} is not between {_PERIODS[0]} and {_PERIODS[1]} microseconds")
    if quota is not None and quota < _PERIODS[0]:
        yield SpecError((*path, "cpu_quota"), f"{quota} is less than {_PERIODS[0]} microseconds")
    runtime, real_period = service.cpu_rt_runtime, service.cpu_rt_period or _REAL_TIME_PERIOD
    if runtime is not None and runtime > real_period:
        yield SpecError((*path, "cpu_rt_runtime"), f"{runtime} is more than a period, {real_period} microseconds")


def _mounts(service: Service, path: Path) -> Iterator[SpecError]:
    for index, mount in enumerate(service.volumes):
        where = (*path, "volumes", index)
        if not mount.target.startswith("/"):
            yield SpecError((*where, "target"), f"'{mount.target}' is not an absolute path")
        elif mount.target == "/":
            yield SpecError((*where, "target"), "nothing can be mounted over the root")
        if mount.type == "bind" and not mount.source.startswith("/"):
            yield SpecError((*where, "source"), f"'{mount.source}' is not an absolute path")
    for index, text in enumerate(service.tmpfs):
        try:
            tmpfs.parse(text)
        except ValueError as error:
            yield SpecError((*path, "tmpfs", index), str(error))
    for index, text in enumerate(service.expose):
        try:
            ports.check_expose(text)
        except ValueError as error:
            yield SpecError((*path, "expose", index), str(error))
    if service.working_dir is not None and not service.working_dir.startswith("/"):
        yield SpecError((*path, "working_dir"), f"'{service.working_dir}' is not an absolute path")


def _full_names(project: Project) -> Iterator[SpecError]:
    """Networks, and volumes, whose full names are one."""
    networks = {key: network.name for key, network in project.networks.items()}
    volumes = {key: volume.name for key, volume in project.volumes.items()}
    for section, found in (("networks", networks), ("volumes", volumes)):
        first: dict[str, str] = {}
        for key, name in found.items():
            if not _FULL.fullmatch(name):
                yield SpecError((section, key, "name"), f"'{name}' is not a name")
            elif first.setdefault(name, key) != key:
                yield SpecError((section, key), f"has the name '{name}', as {section}.{first[name]} has")
    for key, volume in project.volumes.items():
        yield from _names_for_replicas(project, key, volume) if volume.of_each_replica else ()


def _names_for_replicas(project: Project, key: str, volume: Volume) -> Iterator[SpecError]:
    """Other volumes that are called like one replica's, whichever that is."""
    for other, named in project.volumes.items():
        for own, theirs in ((key, other), (volume.name, named.name)):
            if theirs.startswith(f"{own}-") and theirs.removeprefix(f"{own}-").isdecimal():
                yield SpecError(("volumes", other), f"'{theirs}' is what a replica's volume of volumes.{key} is called")
                break


def _is_host(text: str) -> bool:
    return (
        len(text) <= _HOST_LENGTH
        and _HOST.fullmatch(text) is not None
        and all(0 < len(label) <= _LABEL_LENGTH for label in text.split("."))
    )
