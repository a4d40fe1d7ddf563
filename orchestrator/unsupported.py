"""What docker compose has and corral does not have yet: refused by name, so that nobody thinks it did something.

# docker/compose docs/reference, v5.5
"""

COMMANDS = frozenset(
    {
        "alpha",
        "bridge",
        "build",
        "commit",
        "convert",
        "create",
        "export",
        "generate",
        "images",
    }
    | {
        "publish",
        "pull",
        "push",
        "rm",
        "run",
        "scale",
        "viz",
        "volumes",
    }
    | {"watch"}
)

GLOBAL_FLAGS = frozenset({"--all-resources", "--ansi", "--compatibility", "--dry-run", "--parallel", "--verbose"})

FLAGS: dict[str, frozenset[str]] = {
    command: frozenset(flags.split()) | {"--dry-run"}
    for command, flags in {
        "up": "--build --no-build --no-recreate --always-recreate-deps --no-start --pull --quiet-pull --quiet-build -V"
        " --renew-anon-volumes --timestamps --abort-on-container-exit --abort-on-container-failure"
        " --exit-code-from --attach --no-attach --attach-dependencies --no-color --menu -y --yes",
        "plan": "",
        "down": "--rmi",
        "ps": "--filter --no-trunc --orphans --status",
        "logs": "--index --until",
        "exec": "-d --detach --privileged",
        "config": "--lock-image-digests --resolve-image-digests",
        "attach": "",
        "cp": "",
        "stop": "",
        "start": "",
        "restart": "",
        "kill": "--remove-orphans",
        "urls": "",
        "hosts": "",
        "port": "",
        "pause": "",
        "unpause": "",
        "update": "--blkio-weight --cpuset-mems --kernel-memory",
        "top": "",
        "events": "",
        "stats": "-a --all --no-trunc",
        "wait": "",
        "ls": "--filter",
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
