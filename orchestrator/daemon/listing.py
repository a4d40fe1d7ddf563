"""A container in `ps`: the keys of `docker compose ps --format json`, and some of ours (`Pid` … `Pages`); `Full`: what
is shortened elsewhere. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from engine.types.configs import ContainerConfig
from engine.types.infos import ContainerInfo, EndpointInfo, Look, State
from engine.types.parts import BindMount, VolumeMount
from orchestrator import phrases

if TYPE_CHECKING:  # a command needs some words of here, and nothing of that
    from orchestrator.daemon.health import Record

ID_LENGTH = 12
COMMAND_LENGTH = 20
STEP = 0  # the number of a step of `pre_start`
MOUNT_LENGTH = 15
NO_PAGES: Mapping[str, Sequence[Mapping[str, str]]] = MappingProxyType({})
RUNNING_STATES = ("running", "paused", "restarting")
"""What `ps` shows without -a."""


def rows_of(
    look: Look,
    project: str,
    *,
    health: Mapping[str, "Record"],
    pages: Mapping[str, Sequence[Mapping[str, str]]] = NO_PAGES,
    restarting: Iterable[str] = (),
    now: float,
) -> list[dict[str, Any]]:
    """One row a container of the project, by name, but for steps that are done. `health` and `pages` (of
    `urls`): by uid. `restarting`: slots that the planner is about to start again."""
    again = frozenset(restarting)
    return sorted(
        (
            row_of(
                info,
                look.endpoints,
                record=health.get(info.uid),
                pages=pages.get(info.uid, ()),
                restarting=info.config.slot in again,
                now=now,
            )
            for info in look.containers
            if info.config.project == project and not is_done(info)
        ),
        key=lambda row: str(row["Name"]),
    )


def row_of(
    info: ContainerInfo,
    endpoints: Iterable[EndpointInfo],
    *,
    record: "Record | None" = None,
    pages: Sequence[Mapping[str, str]] = (),
    restarting: bool = False,
    now: float,
) -> dict[str, Any]:
    """The row of one container; times as of `now`."""
    config, health = info.config, record.status if record else ""
    joined = [each.config for each in endpoints if each.config.sandbox == config.sandbox]
    joined.sort(key=lambda endpoint: (not endpoint.primary, endpoint.network))
    publishers = publishers_of(config)
    is_up = info.state is State.RUNNING
    state = state_of(info, restarting)
    return {
        "ID": info.uid[:ID_LENGTH],
        "Name": config.name,
        "Names": config.name,
        "Project": config.project,
        "Service": config.run_of or config.service,
        "Image": config.image,
        "Command": command_of(config),
        "CreatedAt": f"{datetime.fromtimestamp(info.created_at, UTC):%Y-%m-%d %H:%M:%S} +0000 UTC",
        "RunningFor": f"{span(now - info.created_at)} ago",
        "State": state,
        "Status": status_of(info, state, health, now),
        "Health": health if is_up else "",
        "ExitCode": 0 if is_up else info.code or 0,
        "Publishers": publishers,
        "Ports": ", ".join(map(port_text, publishers)),
        "Networks": ",".join(endpoint.network for endpoint in joined),
        "Addresses": {endpoint.network_key: endpoint.address or endpoint.address6 for endpoint in joined},
        "Addresses6": {endpoint.network_key: endpoint.address6 for endpoint in joined if endpoint.address6},
        "Labels": ",".join(f"{key}={value}" for key, value in labels_of(config)),
        "Mounts": ",".join(_short(name, MOUNT_LENGTH) for name in mounts_of(config)),
        "LocalVolumes": str(sum(isinstance(mount, VolumeMount) for mount in config.mounts)),
        "Size": "0B",
        "Pid": info.pid if is_up else 0,
        "LastProbe": probe_of(record) if is_up and record else {},
        "Pages": [*pages],
        "Full": {
            "ID": info.uid,
            "ImageID": info.image_uid,
            "Command": quoted_command(config),
            "Mounts": [*mounts_of(config)],
        },
    }


def probe_of(record: "Record") -> dict[str, Any]:
    """What the last probe of a healthcheck came to, in the words of `docker inspect`; {} before the first."""
    if not record.probed_at:
        return {}
    return {
        "End": f"{datetime.fromtimestamp(record.probed_at, UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "ExitCode": record.code,
        "FailingStreak": record.failures,
        "Output": record.output,
    }


def is_done(info: ContainerInfo) -> bool:
    """A step of `pre_start` that has succeeded: nobody but the planner needs to know of it."""
    return info.config.number == STEP and info.state is State.EXITED and info.code == 0 and not info.lost


def state_of(info: ContainerInfo, restarting: bool = False) -> str:
    """docker's word: created, running, paused, restarting or exited."""
    if info.state is State.RUNNING:
        return "paused" if info.config.paused else "running"
    if restarting and info.started_at:
        return "restarting"
    return "exited" if info.state is State.EXITED or info.started_at else "created"


def status_of(info: ContainerInfo, state: str, health: str, now: float) -> str:
    """docker's sentence: "Up 3 minutes (healthy)"."""
    if state == "created":
        return f"Created ({info.error})" if info.error else "Created"
    if state == "paused":
        return f"Up {span(now - info.started_at)} (Paused)"
    if state == "running":
        said = {"": "", "starting": " (health: starting)"}.get(health, f" ({health})")
        return f"Up {span(now - info.started_at)}{said}"
    code = "unknown" if info.code is None and info.state is State.EXITED else str(info.code or 0)
    why = " OOM" if info.oom else ""
    return f"{state.capitalize()} ({code}{why}) {span(now - (info.ended_at or info.started_at))} ago"


def publishers_of(config: ContainerConfig) -> list[dict[str, Any]]:
    """Published ports, and the exposed ones that are not published, as docker lists them."""
    published = [
        {
            "URL": each.host_ip,
            "TargetPort": each.container_port,
            "PublishedPort": each.host_port,
            "Protocol": each.protocol,
        }
        for each in config.ports
    ]
    known = {(each.container_port, each.protocol) for each in config.ports}
    exposed = [pair for text in config.expose for pair in _exposed(text) if pair not in known]
    return [
        *published,
        *({"URL": "", "TargetPort": port, "PublishedPort": 0, "Protocol": protocol} for port, protocol in exposed),
    ]


def _exposed(text: str) -> list[tuple[int, str]]:
    numbers, _, protocol = text.partition("/")
    first, _, last = numbers.partition("-")
    return [(port, protocol or "tcp") for port in range(int(first), int(last or first) + 1)]


def port_text(publisher: dict[str, Any]) -> str:
    target = f"{publisher['TargetPort']}/{publisher['Protocol']}"
    return (
        f"{phrases.bracketed(publisher['URL'])}:{publisher['PublishedPort']}->{target}"
        if publisher["PublishedPort"]
        else target
    )


def labels_of(config: ContainerConfig) -> list[tuple[str, str]]:
    """The container's, and those by which tools around docker compose know it (docker/compose pkg/api/labels.go)."""
    ours = {
        "com.docker.compose.container-number": str(config.number),
        "com.docker.compose.oneoff": str(bool(config.run_of)),
        "com.docker.compose.project": config.project,
        "com.docker.compose.service": config.run_of or config.service,
    }
    return sorted({**ours, **dict(config.labels)}.items())


def mounts_of(config: ContainerConfig) -> list[str]:
    return [
        mount.volume if isinstance(mount, VolumeMount) else mount.source
        for mount in config.mounts
        if isinstance(mount, VolumeMount | BindMount)
    ]


def command_of(config: ContainerConfig) -> str:
    """Quoted and cut, as docker does."""
    return quoted_command(config, COMMAND_LENGTH)


def quoted_command(config: ContainerConfig, length: int | None = None) -> str:
    words = " ".join([*(config.entrypoint or ()), *(config.command or ())])
    text = words if length is None else _short(words, length)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def span(seconds: float) -> str:
    """A duration for humans.  # docker/go-units duration.go, HumanDuration"""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes, hours = whole // 60, round(whole / 3600)
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    days = hours // 24
    for limit, size, word in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if days < limit:
            return f"{days // size} {word}"
    return f"{days // 365} years"
