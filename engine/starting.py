"""From a ContainerConfig to what a shim must know to start it."""

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence

from engine import errors
from engine.cgroups.driver import Paths
from engine.images.layout import Defaults, Layer
from engine.logs import messages
from engine.process import wire
from engine.records import store
from engine.records.store import ContainerRecord
from engine.rights import confinement, nodes
from engine.sandboxes import FILES, Sandbox
from engine.types.configs import ContainerConfig
from engine.types.parts import BindMount, GivenFile, IdRange, Mount, Scope, TmpfsMount, VolumeMount
from engine.volumes import Content


def make_directories(directory: str, layers: tuple[Layer, ...], owner: int) -> None:
    """Make what a container's directory, empty yet, must hold before it can start. `owner`: who is root in the container."""
    for name in ("run", "root", "layers"):
        os.mkdir(f"{directory}/{name}", 0o700)
    for number, layer in enumerate(layers):
        for name in ("", "/upper", "/work"):
            os.mkdir(f"{directory}/layers/{number}{name}", 0o700)
        os.chown(f"{directory}/layers/{number}/upper", owner, owner)
        os.chmod(f"{directory}/layers/{number}/upper", os.stat(layer.lowers[0]).st_mode & 0o7777)


def owner_of(number: int, ids: IdRange | None) -> int:
    """The machine's id for a container's. Raises `TerminalEngineError`."""
    if ids is None:
        return number
    if number >= ids.length:
        raise errors.TerminalEngineError(
            f"cannot give a file to {number}: there are {ids.length} ids in a user namespace (userns_mode: host has all)"
        )
    return ids.first + number


def given_file(directory: str, number: int) -> str:
    return f"{directory}/files/{number}"


def write_files(directory: str, files: Sequence[GivenFile], ids: IdRange | None) -> None:
    """Make what a container finds as its configs and secrets what it should be. Others see nothing of it."""
    if not files:
        return
    os.makedirs(f"{directory}/files", mode=0o700, exist_ok=True)
    for number, file in enumerate(files):
        write_file(given_file(directory, number), file, ids)


def write_file(path: str, file: GivenFile, ids: IdRange | None) -> None:
    """In its place: what is mounted from there shows it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as stream:
        stream.write(base64.b64decode(file.data))
        os.fchown(stream.fileno(), owner_of(file.uid, ids), owner_of(file.gid, ids))
        os.fchmod(stream.fileno(), file.mode)


def hostname_of(config: ContainerConfig, sandbox: Sandbox) -> str:
    return os.uname().nodename if config.namespaces.uts is Scope.HOST else sandbox.config.hostname


def etc_files(config: ContainerConfig, directory: str, sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    """(name in /etc, file of the machine) pairs. Whoever has the machine's name finds that in a file of its own."""
    for name in FILES:
        is_own = name == "hostname" and config.namespaces.uts is Scope.HOST
        yield name, f"{directory}/{name}" if is_own else sandbox.file(name)


def write_hostname(config: ContainerConfig, directory: str) -> None:
    if config.namespaces.uts is Scope.HOST:
        store.replace(f"{directory}/hostname", f"{os.uname().nodename}\n".encode(), 0o644, durable=False)


def _attributes_of(record: store.ContainerRecord) -> str:
    """Of each line of its log: what Docker's json-file has as `attrs`."""
    said = dict(record.config.logging.attributes)
    if "tag" in said:
        said["tag"] = messages.filled_in(said["tag"], record.uid, record.config)
    return json.dumps(said, separators=(",", ":"))


def argv_of(config: ContainerConfig, defaults: Defaults) -> tuple[str, ...]:
    """An entrypoint of the spec's own drops the image's command, as Compose means it."""
    entrypoint = defaults.entrypoint if config.entrypoint is None else config.entrypoint
    default = defaults.command if config.entrypoint is None else ()
    argv = entrypoint + (default if config.command is None else config.command)
    if not argv:
        raise errors.TerminalEngineError(f"cannot start container {config.name}: it has no command")
    return argv


def volume_of(mount: VolumeMount, content: Mapping[str, Content]) -> wire.Volume:
    copy_up = not (mount.no_copy or mount.subpath)
    path, filesystem = content[mount.volume]
    return wire.Volume(path, mount.target, mount.read_only, copy_up, mount.subpath, filesystem)


def mount_of(mount: Mount, content: Mapping[str, Content]) -> wire.Bind | wire.Volume | wire.Tmpfs:
    match mount:
        case BindMount():
            return wire.Bind(
                mount.source,
                mount.target,
                mount.read_only,
                mount.create_host_path,
                mount.propagation,
                mount.recursive,
            )
        case VolumeMount():
            return volume_of(mount, content)
        case TmpfsMount():
            return wire.Tmpfs(
                mount.target, mount.size_bytes, mount.mode, mount.uid, mount.gid, mount.read_only, mount.no_exec
            )


def overlays_of(record: ContainerRecord, directory: str) -> tuple[wire.Overlay, ...]:
    """What the root of the container is made of, with its own writable layers."""
    layers = os.path.join(directory, "layers")
    return tuple(
        wire.Overlay(layer.target, layer.lowers, f"{layers}/{number}/upper", f"{layers}/{number}/work")
        for number, layer in enumerate(record.layers)
    )


def environment_of(config: ContainerConfig, defaults: Defaults) -> wire.Pairs:
    return tuple((dict(defaults.environment) | dict(config.environment)).items())


def spec_of(
    record: ContainerRecord,
    *,
    run: str,
    directory: str,
    sandbox: Sandbox,
    cgroups: Paths,
    defaults: Defaults,
    seccomp_path: str,
    content: Mapping[str, Content],
    namespaces: wire.Namespaces,
) -> wire.StartSpec:
    """Raises `TerminalEngineError` for a Config that names nothing to run."""
    config = record.config
    return wire.StartSpec(
        container=record.uid,
        run=run,
        run_directory=os.path.join(directory, "run"),
        root_path=os.path.join(directory, "root"),
        log_path=os.path.join(directory, "log") if config.logging.is_kept else os.devnull,
        log_bytes=config.logging.file_bytes or 0,
        log_files=config.logging.files,
        log_attributes=_attributes_of(record) if config.logging.is_json else "",
        argv=argv_of(config, defaults),
        overlays=overlays_of(record, directory),
        environment=environment_of(config, defaults),
        user=config.user or defaults.user,
        working_dir=config.working_dir or defaults.working_dir,
        mounts=tuple(mount_of(mount, content) for mount in config.mounts),
        files=(
            *(
                wire.Bind(file, f"/etc/{name}", config.read_only, is_ours=True)
                for name, file in etc_files(config, directory, sandbox)
            ),
            *(
                wire.Bind(given_file(directory, number), file.target, read_only=True, is_ours=True)
                for number, file in enumerate(config.files)
            ),
        ),
        cgroups=wire.Cgroups(cgroups.v2_directory or "", tuple(os.path.dirname(path) for path in cgroups.v1_tasks)),
        oom_counters=tuple(wire.OomCounter(path, key) for path, key in cgroups.oom_counters),
        confinement=confinement.of(config, seccomp_path),
        hostname=hostname_of(config, sandbox),
        shm_bytes=config.shm_bytes,
        read_only=config.read_only,
        sysctls=config.sysctls,
        devices=nodes.of(config),
        init=config.init,
        tty=config.tty,
        stdin_open=config.stdin_open,
        namespaces=namespaces,
        ids=wire.IdRange(config.ids.first, config.ids.length) if config.ids else None,
    )
