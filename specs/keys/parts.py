"""The keys of what a service has: its ports, mounts, networks, builds … The source is compose-spec.schema.json of compose-go."""

from specs.keys.shapes import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    PAIRS,
    QUANTITY,
    SOME_NAME,
    TEXT,
    TEXT_OR_TEXTS,
    TEXTS,
    Either,
    Entries,
    Items,
    Keys,
    Single,
    Unread,
)
from specs.keys.words import COMMAND, COUNT, INTEGER_OR_TEXT, ONE_EACH, TEXT_OR_EACH, TRUTH, is_text, not_blank, one_of

PORT = Keys(
    {
        "name": TEXT,
        "mode": TEXT,
        "host_ip": TEXT,
        "target": INTEGER,
        "published": INTEGER_OR_TEXT,
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
        "tmpfs": Keys({"size": INTEGER_OR_TEXT, "mode": QUANTITY}),
        "image": Keys({"subpath": TEXT}),
    },
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
        "retries": COUNT,
        "start_interval": TEXT,
        "start_period": TEXT,
        "test": TEXT_OR_TEXTS,
        "timeout": TEXT,
    }
)

GPU = Keys(
    {"capabilities": ONE_EACH, "driver": TEXT, "count": INTEGER_OR_TEXT, "device_ids": ONE_EACH, "options": PAIRS},
)
_ROLL = Keys(
    {
        "parallelism": COUNT,
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
                "max_replicas_per_node": COUNT,
            }
        ),
        "replicas": COUNT,
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
        "restart_policy": Keys({"condition": TEXT, "delay": TEXT, "max_attempts": COUNT, "window": TEXT}),
        "rollback_config": _ROLL,
        "update_config": _ROLL,
    },
    can_be_null=True,
)

_ID = INTEGER_OR_TEXT._replace(check=is_text)
CONTENT_USE = Keys({"source": TEXT, "target": TEXT, "uid": _ID, "gid": _ID, "mode": QUANTITY})

_LOG_OPTIONS = """
cache-compress cache-disabled cache-max-file cache-max-size compress env env-regex labels labels-regex max-buffer-size
max-file max-size mode syslog-address syslog-facility syslog-format tag
"""
_LOG_OPTION = Single("text or a number", (int, float, str), can_be_null=True)
LOGGING = Keys({"driver": TEXT, "options": Keys(dict.fromkeys(_LOG_OPTIONS.split(), _LOG_OPTION), others=_LOG_OPTION)})

ENV_FILE = Keys({"path": TEXT, "required": BOOLEAN, "format": TEXT}, needs=("path",), extensions=False)

HOOK = Keys(
    {"command": COMMAND, "user": TEXT, "privileged": BOOLEAN, "working_dir": TEXT, "environment": PAIRS},
    needs=("command",),
)
INIT_STEP = Keys({**HOOK.known, "image": TEXT, "per_replica": BOOLEAN})

LEAVE = Keys({**HOOK.known, "timeout": TEXT})
ONLY_OURS = Keys(
    {
        "leave": LEAVE,
        "on_change": Either((TEXT, Entries(TEXT))),
        "pages": Entries(INTEGER_OR_TEXT),
        "replica": Either((Unread(), Items(Unread()))),
    }
)
"""What only corral knows of a service. A list of replica's: laid over each other, as of several files."""

ULIMITS = Entries(Either((INTEGER, Keys({"soft": INTEGER, "hard": INTEGER}, needs=("soft", "hard")))))
_FLAG_OR_TEXT = Single("a boolean or text", (bool, str))
EXTRA_HOSTS = Either((Entries(TEXT_OR_TEXTS, SOME_NAME), ONE_EACH))
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
        "no_cache_filter": TEXT_OR_EACH,
        "platforms": TEXTS,
        "privileged": BOOLEAN,
        "provenance": _FLAG_OR_TEXT,
        "pull": BOOLEAN,
        "sbom": _FLAG_OR_TEXT,
        "secrets": Items(Either((TEXT, CONTENT_USE))),
        "shm_size": INTEGER_OR_TEXT,
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
                    "ignore": TEXT_OR_EACH,
                    "include": TEXT_OR_EACH,
                    "initial_sync": TRUTH,
                    "path": TEXT._replace(check=not_blank),
                    "target": TEXT,
                },
                needs=("path", "action"),
            )
        )
    },
    can_be_null=True,
)

_RATES = Items(Keys({"path": TEXT, "rate": INTEGER_OR_TEXT}, extensions=False))
BLOCK_IO = Keys(
    {
        "weight": COUNT,
        "weight_device": Items(Keys({"path": TEXT, "weight": COUNT}, extensions=False)),
        "device_read_bps": _RATES,
        "device_read_iops": _RATES,
        "device_write_bps": _RATES,
        "device_write_iops": _RATES,
    },
    extensions=False,
)

DEVICE = Keys({"source": TEXT, "target": TEXT, "permissions": TEXT}, needs=("source",))
