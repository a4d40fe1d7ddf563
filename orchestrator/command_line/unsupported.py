"""What docker compose has and corral does not have yet: refused by name, so that nobody thinks it did something.

# docker/compose docs/reference, v5.5
"""

WITH_IMAGES = frozenset({"build", "commit", "export", "publish", "pull", "push"})
IMAGES_HINT = "until there are images, a service's is `host`, this machine's own programs, or `rootfs:DIR`"
COMMANDS = frozenset({"alpha", "bridge", "generate", "viz", "watch"}) | WITH_IMAGES

FLAGS: dict[str, frozenset[str]] = {
    command: frozenset(flags.split())
    for command, flags in {
        "up": "",
        "create": "",
        "run": "",
        "rm": "",
        "scale": "",
        "plan": "",
        "down": "",
        "ps": "",
        "logs": "",
        "exec": "",
        "config": "--lock-image-digests --resolve-image-digests",
        "attach": "",
        "cp": "",
        "stop": "",
        "start": "",
        "restart": "",
        "kill": "",
        "urls": "",
        "hosts": "",
        "port": "",
        "pause": "",
        "unpause": "",
        "update": "--cpuset-mems --kernel-memory",
        "top": "",
        "events": "",
        "stats": "",
        "wait": "",
        "ls": "",
        "images": "",
        "volumes": "",
        "network": "",
        "network create": "--config-from --config-only --ingress --ipam-opt --scope",
        "network connect": "--link",
        "volume": "",
        "volume create": "--availability --group --limit-bytes --required-bytes --scope --secret --sharing"
        " --topology-preferred --topology-required --type",
        "volume ls": "--cluster",
        "version": "",
        "completion": "",
        "daemon": "",
        "doctor": "",
        "init": "",
    }.items()
}
"""Also of what is below a command: "network create"."""


def flags_of(command: str) -> frozenset[str]:
    """Those of the command, and of what is below it."""
    return frozenset().union(*(flags for name, flags in FLAGS.items() if f"{name} ".startswith(f"{command} ")))
