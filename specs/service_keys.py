"""The keys of a service, each with its shape. The source is compose-spec.schema.json of compose-go."""

import re
from collections.abc import Callable

from specs.node import Scalar
from specs.shapes import (
    ANY_SCALAR,
    BOOLEAN,
    INTEGER,
    NUMBER,
    PAIRS,
    QUANTITY,
    TEXT,
    TEXT_OR_TEXTS,
    TEXTS,
    Either,
    Entries,
    Items,
    Keys,
    Shape,
    Single,
    Unread,
    to_integer,
)

NAME = re.compile(r"[a-zA-Z0-9._-]+")  # patternProperties of services, networks and volumes


def one_of(*words: str) -> Callable[[Scalar], None]:
    """Of these only."""

    def check(value: Scalar) -> None:
        if value not in words:
            raise ValueError(f"'{value}' is not one of {', '.join(words)}")

    return check


def like(pattern: str, words: str) -> Callable[[Scalar], None]:
    """What the schema's pattern is somewhere in."""
    compiled = re.compile(pattern)

    def check(value: Scalar) -> None:
        if not compiled.search(str(value)):
            raise ValueError(f"'{value}' is not {words}")

    return check


def is_text(value: Scalar) -> None:
    """What may also be a number for us."""
    if not isinstance(value, str):
        raise ValueError(f'must be text: write "{value}"')


def between(least: int, most: int) -> Callable[[Scalar], None]:
    def check(value: Scalar) -> None:
        if isinstance(value, int) and not least <= value <= most:
            raise ValueError(f"{value} is not between {least} and {most}")

    return check


_INTEGER_OR_TEXT = Single("a whole number or text", (int, str))
_COMMAND = Either((TEXT, TEXTS), can_be_null=True)
_NULLABLE = TEXT._replace(can_be_null=True)
ONE_EACH = Items(TEXT, unique=True)
_TEXT_OR_EACH = Either((TEXT, ONE_EACH))
_WHOLE = Single("a whole number", (int, float), to_integer)
_NUMBER_OR_TEXT = Single("a number or text", (int, float, str))

PORT = Keys(
    {
        "name": TEXT,
        "mode": TEXT,
        "host_ip": TEXT,
        "target": INTEGER,
        "published": _INTEGER_OR_TEXT,
        "protocol": TEXT,
        "app_protocol": TEXT,
    }
)

MOUNT = Keys(
    {
        "type": TEXT._replace(check=one_of("bind", "volume", "tmpfs", "cluster", "npipe", "image")),
        "source": TEXT,
        "target": TEXT,
        "read_only": BOOLEAN,
        "consistency": TEXT,
        "bind": Keys(
            {
                "create_host_path": BOOLEAN,
                "propagation": TEXT,
                "recursive": TEXT._replace(check=one_of("enabled", "disabled", "writable", "readonly")),
                "selinux": TEXT._replace(check=one_of("z", "Z")),
            }
        ),
        "volume": Keys({"labels": PAIRS, "nocopy": BOOLEAN, "subpath": TEXT}),
        "tmpfs": Keys({"size": _INTEGER_OR_TEXT, "mode": QUANTITY}),
    },
    later={"image": Keys({"subpath": TEXT})},
    needs=("type",),
)

_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
DEPENDENCY = Keys(
    {"condition": TEXT._replace(check=one_of(*_CONDITIONS)), "required": BOOLEAN, "restart": BOOLEAN},
    needs=("condition",),
)

OPTIONS = Entries(QUANTITY)  # of a driver

SERVICE_NETWORK = Keys(
    {
        "aliases": TEXTS,
        "driver_opts": OPTIONS,
        "gw_priority": INTEGER,
        "interface_name": TEXT,
        "ipv4_address": TEXT,
        "ipv6_address": TEXT,
        "link_local_ips": TEXTS,
        "mac_address": TEXT,
        "priority": INTEGER,
    },
    can_be_null=True,
)

HEALTHCHECK = Keys(
    {
        "disable": BOOLEAN,
        "interval": TEXT,
        "retries": INTEGER,
        "start_interval": TEXT,
        "start_period": TEXT,
        "test": TEXT_OR_TEXTS,
        "timeout": TEXT,
    }
)

GPU = Keys(
    {"capabilities": ONE_EACH, "driver": TEXT, "count": _INTEGER_OR_TEXT, "device_ids": ONE_EACH, "options": PAIRS},
)
_ROLL = Keys(
    {
        "parallelism": INTEGER,
        "delay": TEXT,
        "failure_action": TEXT,
        "monitor": TEXT,
        "max_failure_ratio": NUMBER,
        "order": TEXT._replace(check=one_of("start-first", "stop-first")),
    }
)
DEPLOY = Keys(
    {
        "endpoint_mode": TEXT,
        "labels": PAIRS,
        "mode": TEXT,
        "placement": Keys(
            {
                "constraints": TEXTS,
                "preferences": Items(Keys({"spread": TEXT})),
                "max_replicas_per_node": INTEGER,
            }
        ),
        "replicas": INTEGER,
        "resources": Keys(
            {
                "limits": Keys({"cpus": NUMBER, "memory": TEXT, "pids": INTEGER}),
                "reservations": Keys(
                    {
                        "cpus": NUMBER,
                        "memory": TEXT,
                        "devices": Items(GPU._replace(needs=("capabilities",))),
                        "generic_resources": Items(
                            Keys({"discrete_resource_spec": Keys({"kind": TEXT, "value": QUANTITY})})
                        ),
                    }
                ),
            }
        ),
        "restart_policy": Keys({"condition": TEXT, "delay": TEXT, "max_attempts": INTEGER, "window": TEXT}),
        "rollback_config": _ROLL,
        "update_config": _ROLL,
    },
    can_be_null=True,
)

_ID = _INTEGER_OR_TEXT._replace(check=is_text)
CONTENT_USE = Keys({"source": TEXT, "target": TEXT, "uid": _ID, "gid": _ID, "mode": QUANTITY})

_LOG_OPTIONS = """
cache-compress cache-disabled cache-max-file cache-max-size compress env env-regex labels labels-regex max-buffer-size
max-file max-size mode syslog-address syslog-facility syslog-format tag
"""
_LOG_OPTION = Single("text or a number", (int, float, str), can_be_null=True)
LOGGING = Keys({"driver": TEXT, "options": Keys(dict.fromkeys(_LOG_OPTIONS.split(), _LOG_OPTION), others=_LOG_OPTION)})

ENV_FILE = Keys({"path": TEXT, "required": BOOLEAN, "format": TEXT}, needs=("path",), extensions=False)

HOOK = Keys(
    {"command": _COMMAND, "user": TEXT, "privileged": BOOLEAN, "working_dir": TEXT, "environment": PAIRS},
    needs=("command",),
)
INIT_STEP = Keys({**HOOK.known, "image": TEXT, "per_replica": BOOLEAN})

LEAVE = Keys({**HOOK.known, "timeout": TEXT})
ONLY_OURS = Keys({"leave": LEAVE, "pages": Entries(_INTEGER_OR_TEXT), "replica": Either((Unread(), Items(Unread())))})
"""What only corral knows of a service. A list of replica's: laid over each other, as of several files."""

ULIMITS = Entries(
    Either((INTEGER, Keys({"soft": INTEGER, "hard": INTEGER}, needs=("soft", "hard")))),
    re.compile(r"[a-z]+"),
)
_FLAG_OR_TEXT = Single("a boolean or text", (bool, str))
EXTRA_HOSTS = Either((Entries(TEXT_OR_TEXTS), ONE_EACH))
BUILD = Keys(
    {
        "additional_contexts": PAIRS,
        "args": PAIRS,
        "cache_from": TEXTS,
        "cache_to": TEXTS,
        "context": TEXT,
        "dockerfile": TEXT,
        "dockerfile_inline": TEXT,
        "entitlements": TEXTS,
        "extra_hosts": EXTRA_HOSTS,
        "isolation": TEXT,
        "labels": PAIRS,
        "network": TEXT,
        "no_cache": BOOLEAN,
        "no_cache_filter": _TEXT_OR_EACH,
        "platforms": TEXTS,
        "privileged": BOOLEAN,
        "provenance": _FLAG_OR_TEXT,
        "pull": BOOLEAN,
        "sbom": _FLAG_OR_TEXT,
        "secrets": Items(Either((TEXT, CONTENT_USE))),
        "shm_size": _INTEGER_OR_TEXT,
        "ssh": PAIRS,
        "tags": TEXTS,
        "target": TEXT,
        "ulimits": ULIMITS,
    }
)
DEVELOP = Keys(
    {
        "watch": Items(
            Keys(
                {
                    "action": TEXT._replace(check=one_of("rebuild", "sync", "restart", "sync+restart", "sync+exec")),
                    "exec": HOOK,
                    "ignore": _TEXT_OR_EACH,
                    "include": _TEXT_OR_EACH,
                    "initial_sync": BOOLEAN,
                    "path": TEXT,
                    "target": TEXT,
                },
                needs=("path", "action"),
            )
        )
    },
    can_be_null=True,
)
_SCALARS = Items(ANY_SCALAR)
_MODEL_USE = Keys({"endpoint_var": TEXT, "model_var": TEXT}, can_be_null=True)
_LATER: dict[str, Shape] = {
    "build": Either((TEXT, BUILD)),
    "develop": DEVELOP,
    "models": Either((ONE_EACH, Entries(_MODEL_USE, NAME))),
    "provider": Keys({"type": TEXT, "options": Entries(Either((ANY_SCALAR, _SCALARS)))}, needs=("type",)),
    "pull_refresh_after": TEXT,
}

_RATES = Items(Keys({"path": TEXT, "rate": _INTEGER_OR_TEXT}, extensions=False))
BLOCK_IO = Keys(
    {
        "weight": INTEGER,
        "weight_device": Items(Keys({"path": TEXT, "weight": INTEGER}, extensions=False)),
        "device_read_bps": _RATES,
        "device_read_iops": _RATES,
        "device_write_bps": _RATES,
        "device_write_iops": _RATES,
    },
    extensions=False,
)

DEVICE = Keys({"source": TEXT, "target": TEXT, "permissions": TEXT}, needs=("source",))

_PULL_POLICIES = "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+"
SERVICE = Keys(
    {
        "annotations": PAIRS,
        "attach": BOOLEAN,
        "blkio_config": BLOCK_IO,
        "cap_add": TEXTS,
        "cap_drop": TEXTS,
        "cgroup": TEXT._replace(check=one_of("host", "private")),
        "cgroup_parent": TEXT,
        "command": _COMMAND,
        "configs": Items(Either((TEXT, CONTENT_USE))),
        "container_name": TEXT._replace(check=like("[a-zA-Z0-9][a-zA-Z0-9_.-]+", "a container's name")),
        "cpu_count": INTEGER._replace(check=between(0, 2**63)),
        "cpu_percent": INTEGER._replace(check=between(0, 100)),
        "cpu_period": _WHOLE,
        "cpu_quota": _WHOLE,
        "cpu_rt_period": _NUMBER_OR_TEXT,
        "cpu_rt_runtime": _NUMBER_OR_TEXT,
        "cpu_shares": _WHOLE,
        "cpus": NUMBER,
        "cpuset": TEXT,
        "credential_spec": Keys({"config": TEXT, "file": TEXT, "registry": TEXT}),
        "depends_on": Either((Items(TEXT, unique=True), Entries(DEPENDENCY, NAME))),
        "deploy": DEPLOY,
        "device_cgroup_rules": ONE_EACH,
        "devices": Items(Either((TEXT, DEVICE))),
        "dns": TEXT_OR_TEXTS,
        "dns_opt": TEXTS,
        "dns_search": TEXT_OR_TEXTS,
        "domainname": TEXT,
        "entrypoint": _COMMAND,
        "env_file": Either((TEXT, Items(Either((TEXT, ENV_FILE))))),
        "environment": PAIRS,
        "expose": Items(_NUMBER_OR_TEXT),
        "extends": Either((TEXT, Keys({"service": TEXT, "file": TEXT}, needs=("service",), extensions=False))),
        "external_links": ONE_EACH,
        "extra_hosts": EXTRA_HOSTS,
        "gpus": Either((TEXT._replace(check=one_of("all")), Items(GPU))),
        "group_add": Items(_NUMBER_OR_TEXT, unique=True),
        "healthcheck": HEALTHCHECK,
        "hostname": TEXT,
        "image": TEXT,
        "init": BOOLEAN,
        "ipc": TEXT,
        "isolation": TEXT,
        "label_file": TEXT_OR_TEXTS,
        "labels": PAIRS,
        "links": TEXTS,
        "logging": LOGGING,
        "mac_address": TEXT,
        "mem_limit": QUANTITY,
        "mem_reservation": _INTEGER_OR_TEXT,
        "mem_swappiness": _INTEGER_OR_TEXT,
        "memswap_limit": QUANTITY,
        "network_mode": TEXT,
        "networks": Either((Items(TEXT, unique=True), Entries(SERVICE_NETWORK, NAME))),
        "oom_kill_disable": BOOLEAN,
        "oom_score_adj": INTEGER._replace(check=between(-1000, 1000)),
        "pid": _NULLABLE,
        "pids_limit": _WHOLE,
        "platform": TEXT,
        "ports": Items(Either((_NUMBER_OR_TEXT, PORT))),
        "post_start": Items(HOOK),
        "pre_start": Items(INIT_STEP),
        "pre_stop": Items(HOOK),
        "privileged": BOOLEAN,
        "profiles": TEXTS,
        "pull_policy": TEXT._replace(check=like(_PULL_POLICIES, "a policy: always, never, missing, build, daily …")),
        "read_only": BOOLEAN,
        "restart": TEXT,
        "runtime": TEXT,
        "scale": INTEGER._replace(check=between(0, 2**63)),
        "secrets": Items(Either((TEXT, CONTENT_USE))),
        "security_opt": ONE_EACH,
        "shm_size": QUANTITY,
        "stdin_open": BOOLEAN,
        "stop_grace_period": TEXT,
        "stop_signal": TEXT,
        "storage_opt": Entries(ANY_SCALAR),
        "sysctls": PAIRS,
        "tmpfs": TEXT_OR_TEXTS,
        "tty": BOOLEAN,
        "use_api_socket": BOOLEAN,
        "ulimits": ULIMITS,
        "user": TEXT,
        "userns_mode": TEXT,
        "uts": TEXT,
        "volumes": Items(Either((TEXT, MOUNT))),
        "volumes_from": Items(TEXT, unique=True),
        "working_dir": TEXT,
        "x-corral": ONLY_OURS,
    },
    later=_LATER,
)
