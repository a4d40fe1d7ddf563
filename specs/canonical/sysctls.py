"""Which settings of the kernel a container may have of its own: those of its network namespace and of its ipc namespace."""

from specs.patterns import pattern

IPC = frozenset(  # docker's reference of `run`, "Currently supported sysctls"; linux/ipc_namespace.h
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_NAME = pattern(r"[a-z0-9_-]+(\.[a-zA-Z0-9_-]+)+")
_ELSEWHERE = {"kernel.hostname": "hostname", "kernel.domainname": "domainname"}


def of_network(name: str) -> bool:
    """Of the network namespace, which the containers of one sandbox share."""
    return name.startswith("net.")


def of_ipc(name: str) -> bool:
    """Of the ipc namespace, which each container has for itself."""
    return name in IPC or name.startswith("fs.mqueue.")


def refusal(name: str, value: str) -> tuple[str, str]:
    """Why it cannot be set, and the way out; both "" if it can."""
    if _NAME.fullmatch(name) is None:
        return f"'{name}' is not a sysctl such as net.core.somaxconn", ""
    if "\n" in value or "\0" in value:
        return f"the value of {name} is not one line", ""
    if name in _ELSEWHERE:
        return f"{name} is not set as a sysctl", f"write {_ELSEWHERE[name]}"
    if not of_network(name) and not of_ipc(name):
        message = f"{name} is the machine's, not a container's: only net.…, fs.mqueue.… and kernel.sem, msg*, shm* are"
        return message, f"set it on the machine: sysctl -w {name}={value}"
    return "", ""
