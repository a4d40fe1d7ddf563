"""What the processes of a container may do, from its Config to what a shim enforces; and what corral itself may not hand on.

A machine may have given corral less than root usually has: no capability and no limit comes from nowhere, so what is asked for
beyond it is refused before anything is made."""

import functools
import json
import logging
import os
import platform
from dataclasses import dataclass

from engine import errors
from engine.errors import TerminalEngineError
from engine.process import capabilities, syscalls, wire
from engine.records import store, trusted
from engine.rights import apparmor, seccomp, strictness
from engine.types.configs import ContainerConfig
from engine.types.parts import DEFAULT_CAPABILITIES

log = logging.getLogger(__name__)

SECCOMP_BYTES_MAX = 1 << 20
UNCONFINED = "unconfined"
SECCOMP_FILE = "seccomp.bpf"  # in a container's directory


@dataclass(frozen=True, slots=True)
class DefaultFilter:
    """The program that most containers have, and the file in which shims find it."""

    path: str
    program: bytes

    def in_place(self) -> str:
        """The path; the file is as we wrote it."""
        try:
            if trusted.content(self.path, SECCOMP_BYTES_MAX) == self.program:
                return self.path
            log.warning("put %s right: somebody has changed it", self.path)
        except (errors.RecordError, FileNotFoundError) as error:
            log.warning("put it right: %s", error)
        store.replace(self.path, self.program, durable=False)
        return self.path


def check(config: ContainerConfig) -> None:
    """Raise TerminalEngineError for what cannot be given to the container's processes, naming it."""
    ours = _ours()
    if config.ids is None:
        _check_capabilities(config, ours)
    if config.security.seccomp not in ("", UNCONFINED):
        _program(config)
    if profile := config.security.apparmor:
        _check_apparmor(config.name, profile)
    if not ours & capabilities.mask(("SYS_RESOURCE",)):
        _check_ulimits(config)


@functools.cache
def _ours() -> int:
    return capabilities.ours()


def of(config: ContainerConfig, seccomp_path: str) -> wire.Confinement:
    security = config.security
    unmasked = () if security.unmasked or security.privileged else None
    return wire.Confinement(
        capabilities=security.capabilities,
        no_new_privileges=security.no_new_privileges,
        masked_paths=unmasked,
        read_only_paths=unmasked,
        writable_kernel=security.privileged,
        seccomp_path=seccomp_path,
        rlimits=tuple((limit.name.upper(), limit.soft, limit.hard) for limit in config.ulimits),
        oom_score_adj=config.oom_score_adj,
        groups=config.groups,
        apparmor=apparmor.of(security.apparmor),
    )


def filter_of(config: ContainerConfig, directory: str, default: DefaultFilter) -> str:
    """The file with the program that filters the container's system calls. One that is not everybody's is written into the
    container's directory: what a profile allows depends on the capabilities. Raises TerminalEngineError."""
    security = config.security
    if security.seccomp == UNCONFINED:
        return ""
    if not security.seccomp and security.capabilities == DEFAULT_CAPABILITIES:
        return default.in_place()
    path = os.path.join(directory, SECCOMP_FILE)
    store.replace(path, _program(config), durable=False)
    return path


def _program(config: ContainerConfig) -> bytes:
    """In a user namespace every capability can be had."""
    security, ours = config.security, capabilities.EVERY if config.ids else capabilities.ours()
    held = frozenset(f"CAP_{name}" for name in security.capabilities if ours & capabilities.mask((name,)))
    match security.seccomp:
        case "":
            profile = seccomp.default_profile()
        case "strict":
            profile = strictness.profile()
        case text:
            profile = json.loads(text)
    return seccomp.compile(profile, held, platform.machine())


def _check_capabilities(config: ContainerConfig, ours: int) -> None:
    wanted = () if config.security.every_capability else config.security.capabilities
    for name in wanted:
        if name not in DEFAULT_CAPABILITIES and not ours & capabilities.mask((name,)):
            raise TerminalEngineError(
                f"cannot give container {config.name} the capability {name}: corral itself does not have it here"
            )


def _check_apparmor(name: str, profile: str) -> None:
    why, way_out = apparmor.refusal(profile)
    if why:
        raise TerminalEngineError(f"cannot give container {name} the AppArmor profile {profile}: {why} ({way_out})")


def _check_ulimits(config: ContainerConfig) -> None:
    """Without CAP_SYS_RESOURCE a hard limit can only be lowered."""
    for limit in config.ulimits:
        most = syscalls.getrlimit(syscalls.RLIMITS[limit.name.upper()])[1]
        if most >= 0 and not 0 <= limit.hard <= most:
            asked = "no limit" if limit.hard < 0 else f"a limit of {limit.hard}"
            raise TerminalEngineError(
                f"cannot give container {config.name} {asked} for {limit.name}: corral's own is {most}, "
                "and it has no CAP_SYS_RESOURCE to raise it"
            )
