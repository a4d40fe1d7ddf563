"""A service's words for one of its containers, as the engine's ContainerConfig. They have been validated by `specs`."""

import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace

from engine.types import parts
from engine.types.configs import ContainerConfig
from engine.types.parts import GivenFile, Limits, OnChange, PortMap, Restart, RestartPolicy
from reconciler import definitions, host_ports, naming, sharing
from reconciler.kinds import container_mounts
from reconciler.slots import Slot
from reconciler.wish import Wish
from specs.canonical import capabilities, isolation, log_options, on_change, security_options, sysctls
from specs.canonical import namespaces as spec_namespaces
from specs.model import content
from specs.model.service import BlockIo, DeviceRate, Hook, Service

DEFAULT_GRACE_S = 10.0  # compose-spec 05-services.md, stop_grace_period
STRICT = "strict"
STRICT_CAPABILITIES = (  # what start scripts of common images need to become their user; they count inside only
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"),
)


def of_slot(wish: Wish, slot: Slot, service: Service) -> ContainerConfig:
    return ContainerConfig(
        name=naming.container_name(wish.project.name, slot, service),
        project=wish.project.name,
        service=slot.service,
        number=slot.number,
        slot=slot.name,
        sandbox=sharing.sandbox_of(wish, slot),
        image=service.image,
        entrypoint=service.entrypoint,
        command=service.command,
        environment=tuple(sorted(service.environment.items())),
        user=service.user or "",
        groups=service.group_add,
        working_dir=service.working_dir or "",
        read_only=service.read_only or isolation.is_strict(service),
        shm_bytes=service.shm_size or parts.DEFAULT_SHM_BYTES,
        mounts=container_mounts.mounts_of(wish, slot),
        files=tuple(files_of(wish, slot, service)),
        on_change=(policy := on_change_of_variables(wish, slot)),
        file_variables=() if policy is OnChange.RECREATE else tuple(sorted(service.file_variables)),
        ports=ports_of(wish, slot, service),
        expose=service.expose,
        limits=limits_of(service),
        block_io=block_io_of(service.blkio_config),
        ulimits=tuple(sorted(parts.Ulimit(name, it.soft, it.hard) for name, it in service.ulimits.items())),
        oom_score_adj=service.oom_score_adj,
        sysctls=tuple(sorted((key, value) for key, value in service.sysctls.items() if sysctls.of_ipc(key))),
        security=security_of(service),
        ids=sharing.ids_of(wish, slot, service),
        devices=tuple(parts.Device(it.source, it.target, it.permissions) for it in service.devices),
        device_rules=service.device_cgroup_rules,
        restart=restart_of(service),
        healthcheck=healthcheck_of(service),
        logging=logging_of(service),
        init=service.init,
        tty=service.tty,
        stdin_open=service.stdin_open,
        stop_signal=signal_of(service.stop_signal),
        stop_grace_s=DEFAULT_GRACE_S if service.stop_grace_period is None else service.stop_grace_period,
        post_start=tuple(hook_of(hook) for hook in service.post_start),
        pre_stop=tuple(hook_of(hook) for hook in service.pre_stop),
        labels=tuple(sorted(service.labels.items())),
        annotations=tuple(sorted(service.annotations.items())),
        namespaces=sharing.namespaces_of(wish, slot, service),
        cgroup_parent="/".join(spec_namespaces.parent_parts(service.cgroup_parent or "")),
        definition=definitions.digest_of(service.pre_start) if service.pre_start else "",
        nonce=wish.overlay.nonce.get(slot.service, 0),
        paused=slot.service in wish.overlay.paused,
        run_of=wish.overlay.run_of(slot.service),
    )


def limits_of(service: Service) -> Limits:
    return Limits(
        service.mem_limit,
        service.memswap_limit,
        service.cpus,
        service.cpu_shares,
        service.cpuset or "",
        service.pids_limit,
        service.mem_reservation,
        service.mem_swappiness,
        service.oom_kill_disable,
        service.cpu_period,
        service.cpu_quota,
        service.cpu_rt_runtime,
        service.cpu_rt_period,
    )


def block_io_of(said: BlockIo) -> parts.BlockIo:
    def rates(limits: tuple[DeviceRate, ...]) -> parts.DeviceLimits:
        return tuple((limit.path, limit.rate) for limit in limits)

    return parts.BlockIo(
        said.weight,
        tuple((limit.path, limit.weight) for limit in said.weight_device),
        rates(said.device_read_bps),
        rates(said.device_write_bps),
        rates(said.device_read_iops),
        rates(said.device_write_iops),
    )


def security_of(service: Service) -> parts.Security:
    """`privileged` is every capability less what is dropped, and no seccomp unless a profile is given. The strict profile has
    nothing that could be added to."""
    add = (capabilities.ALL,) if service.privileged else service.cap_add
    options = security_options.parse(service.security_opt)
    if options.strict:
        kept = capabilities.selected(STRICT_CAPABILITIES, (), service.cap_drop)
        return parts.Security(kept, no_new_privileges=True, seccomp=STRICT, apparmor=options.apparmor)
    return parts.Security(
        capabilities.selected(parts.DEFAULT_CAPABILITIES, add, service.cap_drop),
        capabilities.ALL in add,
        options.no_new_privileges,
        options.seccomp or (security_options.UNCONFINED if service.privileged else ""),
        options.unmasked,
        service.privileged,
        options.apparmor,
    )


def healthcheck_of(service: Service) -> parts.Healthcheck | None:
    check = service.healthcheck
    if check is None:
        return None
    return parts.Healthcheck(
        check.test, check.interval, check.timeout, check.retries, check.start_period, check.start_interval
    )


def said_on_change(wish: Wish, slot: Slot) -> Mapping[str, str]:
    """Of the whole service, also where its replicas differ."""
    return wish.project.services[slot.service].x_corral.on_change


def on_change_of_variables(wish: Wish, slot: Slot) -> OnChange:
    return OnChange(on_change.word_of(said_on_change(wish, slot), on_change.ENV_FILE)[0])


def files_of(wish: Wish, slot: Slot, service: Service) -> Iterator[GivenFile]:
    """Its configs and secrets, by target."""
    said = said_on_change(wish, slot)
    for section, uses, declared in (
        ("configs", service.configs, wish.project.configs),
        ("secrets", service.secrets, wish.project.secrets),
    ):
        for use in uses:
            target = content.target_of(section, use)
            word, signal_name = on_change.word_of(said, use.source)
            policy = OnChange(word), signal_of(signal_name) if signal_name else 0
            yield GivenFile(target, declared[use.source].data, int(use.uid), int(use.gid), use.mode, *policy)


def logging_of(service: Service) -> parts.Logging:
    """What the file leaves open is the engine's: a log never fills the disk unless somebody asks for that."""
    said = log_options.parse(service.logging.driver, service.logging.options)
    if not said.is_kept:
        return parts.Logging(is_kept=False, file_bytes=None, files=1)
    forward = forward_of(service, said.forward) if said.forward else None
    usual = parts.Logging(forward=forward, is_json=said.is_json, attributes=attributes_of(service, said.attributes))
    if said.file_bytes == -1:
        return replace(usual, file_bytes=None, files=1)
    return replace(usual, file_bytes=said.file_bytes or usual.file_bytes, files=said.files or usual.files)


def forward_of(service: Service, said: log_options.Forward) -> parts.Forward:
    attributes = attributes_of(service, said.attributes)
    return parts.Forward(said.driver, said.address, said.facility, said.format, said.tag, attributes)


def attributes_of(service: Service, said: log_options.Attributes) -> parts.Pairs:
    labels = {name: service.labels[name] for name in said.labels if name in service.labels}
    variables = {name: service.environment[name] for name in said.variables if name in service.environment}
    tag = {"tag": said.tag} if said.tag else {}
    return tuple(sorted({**tag, **labels, **variables}.items()))


def hook_of(said: Hook) -> parts.Hook:
    variables = tuple(sorted(said.environment.items()))
    return parts.Hook(said.command, variables, said.user, said.working_dir, said.privileged)


def restart_of(service: Service) -> RestartPolicy:
    """ "no", "always", "unless-stopped", "on-failure", "on-failure:N"; None: no."""
    policy, _, attempts = (service.restart or "no").partition(":")
    more = service.restart_policy
    count = int(attempts or 0) or more.max_attempts  # moby: 0 is no end
    return RestartPolicy(Restart(policy), count, more.delay, more.window)


def signal_of(text: str | None) -> int:
    """ "SIGTERM", "TERM", "15" or "SIGRTMIN+3"; None: SIGTERM."""
    word = (text or "TERM").upper().removeprefix("SIG")
    base, _, more = word.partition("+")
    return int(word) if word.isdecimal() else signal.Signals[f"SIG{base}"] + int(more or 0)


def ports_of(wish: Wish, slot: Slot, service: Service) -> tuple[PortMap, ...]:
    found = set()
    for port in service.ports:
        hosts = host_ports.host_ips(wish.project, service, port, wish.external)
        found |= set(host_ports.port_maps(port, hosts, wish.leases.ports[host_ports.port_key(slot, port)]))
    return tuple(sorted(found))
