"""The strict seccomp profile: the default one without what a service seldom needs and holes in kernels were often found in.

    debuggers       ptrace, process_vm_*: no look into another process, also not by the same user
    sockets         of unix, IPv4, IPv6 and netlink only
    what is left    of other times (personality, modify_ldt, remap_file_pages), and rare ways to memory and files

What the default profile gives to nobody without a capability (mounts, new namespaces, bpf, perf, keys, io_uring, userfaultfd) it
gives to nobody at all."""

import copy

from engine.rights import seccomp
from engine.rights.seccomp import Json

WITHOUT = frozenset(
    (
        *("ptrace", "process_vm_readv", "process_vm_writev", "process_mrelease", "uretprobe"),
        *("modify_ldt", "remap_file_pages", "memfd_secret", "vmsplice", "adjtimex", "clock_adjtime"),
        *("fanotify_mark", "name_to_handle_at", "listmount", "statmount"),
    )
)
SOCKETS = frozenset({1, 2, 10, 16})  # linux/socket.h: AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
PERSONALITIES = frozenset({0, 0xFFFFFFFF})  # linux/personality.h: PER_LINUX; and to ask which
_ONLY = {"socket": SOCKETS, "personality": PERSONALITIES}


def profile() -> Json:
    """In Docker's format, for a process with any capabilities."""
    strict = copy.deepcopy(seccomp.default_profile())
    rules = strict["syscalls"]
    assert isinstance(rules, list)
    strict["syscalls"] = [{**rule, "names": names} for rule in rules if (names := _kept(rule))]
    return strict


def _kept(rule: Json) -> list[str]:
    """The names of it that stay."""
    if "caps" in _table(rule.get("includes")):
        return []
    names = [str(name) for name in _list(rule["names"]) if name not in WITHOUT]
    only = _ONLY.get(names[0]) if names else None
    values = [_table(argument)["value"] for argument in _list(rule.get("args"))]
    return names if only is None or set(values) <= only else []


def _table(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
