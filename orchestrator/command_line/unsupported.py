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
        "update": "--blkio-weight --cpuset-mems --kernel-memory",
        "top": "",
        "events": "",
        "stats": "",
        "wait": "",
        "ls": "",
        "images": "",
        "volumes": "",
        "network": "--attachable --aux-address --config-from --config-only --ingress --ipam-driver --ipam-opt --ipv4 --ipv6"
        " --scope --driver-opt --link --link-local-ip --gw-priority --ip6 -v --verbose",
        "volume": "--availability --cluster --group --limit-bytes --required-bytes --scope --secret --sharing"
        " --topology-preferred --topology-required --type",
        "version": "",
        "completion": "",
        "daemon": "",
        "doctor": "",
        "init": "",
    }.items()
}
