"""What newer kernels have, and what corral does without it; and what a kernel may be built or booted without."""

import os
from collections.abc import Iterator

from engine import errors
from engine.cgroups import layout
from engine.process import init_program, page_program, syscalls
from engine.rights import apparmor
from orchestrator.command_line import trials
from orchestrator.command_line.findings import Finding, Verdict

WITHOUT = {
    "pidfs": "no pidfs (Linux 6.9): processes are known again by pid and start time",
    "overlay-api": "overlay takes no layers one by one (Linux 6.7): all together, in a text of one page",
    "detached-mounts": "nothing can be mounted on what has no place yet (Linux 6.15): it is given its place first",
    "clone-into-cgroup": "no v2 tree to be born in: containers join their cgroups afterwards",
    "cgroup-kill": "no cgroup.kill: containers are killed process by process",
    "small-init": "no init in machine code for this processor: `init: true` is a Python process of some MB",
    "idmap": "the state's file system shows no other owners",
    "shared-pages": "no machine code for this processor to give pages back: each shim keeps more memory",
}
"""What is done without each of `syscalls.FEATURES`: nothing that a user sees, but of idmap."""

assert WITHOUT.keys() == set(syscalls.FEATURES)
PRESSURE = "/proc/pressure/memory"
NO_IDMAP = "userns_mode: auto and corral:strict will be refused where a container has data there"


def findings(directory: str) -> Iterator[Finding]:
    """`directory`: on the file system that the state is on, or will be."""
    lacking = set(_lacking())
    if os.geteuid() == 0:
        try:
            failed = trials.failed(directory)
        except OSError as error:
            yield Finding(Verdict.UNKNOWN, "newer kernels", f"nothing could be tried: {error}")
            return
        lacking |= {name for name in failed if name in syscalls.FEATURES}
        yield from _user_namespaces(failed, directory)
        yield _guard(failed)
    else:
        yield Finding(Verdict.UNKNOWN, "newer kernels", "only root can try all", "sudo corral doctor")
    found = [name for name in syscalls.FEATURES if name not in lacking]
    if os.geteuid() == 0 and found:
        yield Finding(Verdict.OK, "newer kernels", f"in use: {', '.join(found)}")
    for name in syscalls.FEATURES:
        if name in lacking and name != trials.IDMAP:
            yield Finding(Verdict.OK, "newer kernels", WITHOUT[name])
    yield _pressure()
    yield _apparmor()


def _lacking() -> Iterator[str]:
    """What nobody has to try."""
    yield from syscalls.missing & set(syscalls.FEATURES)
    pidfd = os.pidfd_open(os.getpid())
    try:
        if syscalls.filesystem_type(pidfd) != syscalls.PIDFS_MAGIC:
            yield "pidfs"
    finally:
        os.close(pidfd)
    try:
        has_v2 = bool(layout.detect().v2)
    except errors.EngineError:
        has_v2 = False
    if not has_v2:
        yield from ("clone-into-cgroup", "cgroup-kill")
    if not init_program.image(1):
        yield "small-init"
    if not page_program.code():
        yield "shared-pages"


def _user_namespaces(failed: dict[str, str], directory: str) -> Iterator[Finding]:
    if why := failed.get(trials.USERNS):
        words = f"none can be made: {why}: userns_mode: auto and corral:strict will be refused"
        yield Finding(Verdict.LIMITED, "user namespaces", words, "sysctl user.max_user_namespaces=15000")
    elif why := failed.get(trials.IDMAP):
        words = f"{WITHOUT[trials.IDMAP]} ({directory}: {why}): {NO_IDMAP}"
        yield Finding(Verdict.LIMITED, "user namespaces", words, "keep the state on ext4, xfs or btrfs: CORRAL_ROOT")
    else:
        yield Finding(Verdict.OK, "user namespaces", f"can be made, and {directory} is shown in them with its owners")


def _guard(failed: dict[str, str]) -> Finding:
    if why := failed.get(trials.GUARD):
        words = f"believed: members of a network can claim each other's: the kernel lacks clsact or cls_bpf: {why}"
        return Finding(
            Verdict.LIMITED, trials.GUARD, words, "use a kernel with CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS"
        )
    return Finding(Verdict.OK, trials.GUARD, "checked: no member of a network can claim another's")


def _pressure() -> Finding:
    try:
        with open(PRESSURE, encoding="ascii") as file:
            file.read()
    except OSError:
        return Finding(Verdict.OK, "pressure", "not counted: `stats` shows none", "boot with psi=1")
    return Finding(Verdict.OK, "pressure", "counted: `stats` shows it")


def _apparmor() -> Finding:
    if apparmor.is_on():
        return Finding(Verdict.OK, "AppArmor", "on: security_opt apparmor=PROFILE applies one that is loaded")
    return Finding(Verdict.OK, "AppArmor", "not there: security_opt apparmor=PROFILE will be refused")
