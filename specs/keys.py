"""The keys of the Compose Specification, each with its shape, or among those that are not supported yet.

The source is compose-spec.schema.json of compose-go. To support a key: move it from `later` to the known ones here, spell
out its short forms in `short_forms`, give it to the model.
"""

import re

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
    Single,
    Unread,
)

NAME = re.compile(r"[a-zA-Z0-9._-]+")  # patternProperties of services, networks and volumes

_INTEGER_OR_TEXT = Single("a whole number or text", (int, str))
_COMMAND = Either((TEXT, TEXTS))

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
        "type": TEXT,
        "source": TEXT,
        "target": TEXT,
        "read_only": BOOLEAN,
        "consistency": TEXT,
        "bind": Keys({"create_host_path": BOOLEAN, "propagation": TEXT, "recursive": TEXT, "selinux": TEXT}),
        "volume": Keys({"labels": PAIRS, "nocopy": BOOLEAN, "subpath": TEXT}),
        "tmpfs": Keys({"size": QUANTITY, "mode": QUANTITY}),
    },
    later=frozenset({"image"}),
)

DEPENDENCY = Keys({"condition": TEXT, "required": BOOLEAN, "restart": BOOLEAN})

_OPTIONS = Entries(QUANTITY)  # of a driver

SERVICE_NETWORK = Keys(
    {
        "aliases": TEXTS,
        "driver_opts": _OPTIONS,
        "gw_priority": INTEGER,
        "interface_name": TEXT,
        "ipv4_address": TEXT,
        "ipv6_address": TEXT,
        "link_local_ips": TEXTS,
        "mac_address": TEXT,
        "priority": INTEGER,
    }
)

HEALTHCHECK = Keys(
    {
        "disable": BOOLEAN,
        "interval": TEXT,
        "retries": INTEGER,
        "start_interval": TEXT,
        "start_period": TEXT,
        "test": _COMMAND,
        "timeout": TEXT,
    }
)

GPU = Keys(
    {"capabilities": TEXTS, "driver": TEXT, "count": _INTEGER_OR_TEXT, "device_ids": TEXTS, "options": PAIRS},
)
_ROLL = Keys(
    {
        "parallelism": INTEGER,
        "delay": TEXT,
        "failure_action": TEXT,
        "monitor": TEXT,
        "max_failure_ratio": NUMBER,
        "order": TEXT,
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
                        "devices": Items(GPU),
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
    }
)

CONTENT_USE = Keys({"source": TEXT, "target": TEXT, "uid": _INTEGER_OR_TEXT, "gid": _INTEGER_OR_TEXT, "mode": QUANTITY})

_LOG_OPTIONS = """
cache-compress cache-disabled cache-max-file cache-max-size compress env env-regex labels labels-regex max-buffer-size
max-file max-size mode syslog-address syslog-facility syslog-format tag
"""
LOGGING = Keys({"driver": TEXT, "options": Keys(dict.fromkeys(_LOG_OPTIONS.split(), ANY_SCALAR))})

ENV_FILE = Keys({"path": TEXT, "required": BOOLEAN, "format": TEXT})

HOOK = Keys({"command": _COMMAND, "user": TEXT, "privileged": BOOLEAN, "working_dir": TEXT, "environment": PAIRS})
INIT_STEP = Keys({**HOOK.known, "image": TEXT, "per_replica": BOOLEAN})

LEAVE = Keys({**HOOK.known, "timeout": TEXT})
ONLY_OURS = Keys({"leave": LEAVE, "replica": Either((Unread(), Items(Unread())))})
"""What only corral knows of a service. A list of replica's: laid over each other, as of several files."""

_SERVICE_LATER = """
build develop extends models provider pull_refresh_after
"""

_RATES = Items(Keys({"path": TEXT, "rate": QUANTITY}))
BLOCK_IO = Keys(
    {
        "weight": INTEGER,
        "weight_device": Items(Keys({"path": TEXT, "weight": INTEGER})),
        "device_read_bps": _RATES,
        "device_read_iops": _RATES,
        "device_write_bps": _RATES,
        "device_write_iops": _RATES,
    }
)

DEVICE = Keys({"source": TEXT, "target": TEXT, "permissions": TEXT})

ULIMIT = Keys({"soft": INTEGER, "hard": INTEGER})

SERVICE = Keys(
    {
        "annotations": PAIRS,
        "attach": BOOLEAN,
        "blkio_config": BLOCK_IO,
        "cap_add": Items(TEXT, unique=True),
        "cap_drop": Items(TEXT, unique=True),
        "cgroup": TEXT,
        "cgroup_parent": TEXT,
        "command": _COMMAND,
        "configs": Items(Either((TEXT, CONTENT_USE))),
        "container_name": TEXT,
        "cpu_count": _INTEGER_OR_TEXT,
        "cpu_percent": QUANTITY,
        "cpu_period": INTEGER,
        "cpu_quota": INTEGER,
        "cpu_rt_period": QUANTITY,
        "cpu_rt_runtime": QUANTITY,
        "cpu_shares": INTEGER,
        "cpus": NUMBER,
        "cpuset": TEXT,
        "credential_spec": Keys({"config": TEXT, "file": TEXT, "registry": TEXT}),
        "depends_on": Either((Items(TEXT, unique=True), Entries(DEPENDENCY, NAME))),
        "deploy": DEPLOY,
        "device_cgroup_rules": TEXTS,
        "devices": Items(Either((TEXT, DEVICE))),
        "dns": TEXT_OR_TEXTS,
        "dns_opt": TEXTS,
        "dns_search": TEXT_OR_TEXTS,
        "domainname": TEXT,
        "entrypoint": _COMMAND,
        "env_file": Either((TEXT, Items(Either((TEXT, ENV_FILE))))),
        "environment": PAIRS,
        "expose": Items(Single("a number or text", (int, str))),
        "external_links": Items(TEXT, unique=True),
        "extra_hosts": Either((Entries(TEXT_OR_TEXTS), TEXTS)),
        "gpus": Either((TEXT, Items(GPU))),
        "group_add": Items(_INTEGER_OR_TEXT, unique=True),
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
        "mem_reservation": QUANTITY,
        "mem_swappiness": INTEGER,
        "memswap_limit": QUANTITY,
        "network_mode": TEXT,
        "networks": Either((Items(TEXT, unique=True), Entries(SERVICE_NETWORK, NAME))),
        "oom_kill_disable": BOOLEAN,
        "oom_score_adj": INTEGER,
        "pid": TEXT,
        "pids_limit": INTEGER,
        "platform": TEXT,
        "ports": Items(Either((Single("a number or text", (int, str)), PORT))),
        "post_start": Items(HOOK),
        "pre_start": Items(INIT_STEP),
        "pre_stop": Items(HOOK),
        "privileged": BOOLEAN,
        "profiles": TEXTS,
        "pull_policy": TEXT,
        "read_only": BOOLEAN,
        "restart": TEXT,
        "runtime": TEXT,
        "scale": INTEGER,
        "secrets": Items(Either((TEXT, CONTENT_USE))),
        "security_opt": Items(TEXT, unique=True),
        "shm_size": QUANTITY,
        "stdin_open": BOOLEAN,
        "stop_grace_period": TEXT,
        "stop_signal": TEXT,
        "storage_opt": Entries(_INTEGER_OR_TEXT),
        "sysctls": PAIRS,
        "tmpfs": TEXT_OR_TEXTS,
        "tty": BOOLEAN,
        "use_api_socket": BOOLEAN,
        "ulimits": Entries(Either((INTEGER, ULIMIT))),
        "user": TEXT,
        "userns_mode": TEXT,
        "uts": TEXT,
        "volumes": Items(Either((TEXT, MOUNT))),
        "volumes_from": Items(TEXT, unique=True),
        "working_dir": TEXT,
        "x-corral": ONLY_OURS,
    },
    later=frozenset(_SERVICE_LATER.split()),
)

_EXTERNAL = Either((BOOLEAN, Keys({"name": TEXT})))

POOL = Keys({"subnet": TEXT, "gateway": TEXT, "ip_range": TEXT, "aux_addresses": Entries(TEXT)})

NETWORK = Keys(
    {
        "name": TEXT,
        "attachable": BOOLEAN,
        "driver": TEXT,
        "driver_opts": _OPTIONS,
        "enable_ipv4": BOOLEAN,
        "enable_ipv6": BOOLEAN,
        "external": _EXTERNAL,
        "internal": BOOLEAN,
        "ipam": Keys({"driver": TEXT, "config": Items(POOL), "options": Entries(TEXT)}),
        "labels": PAIRS,
    }
)

VOLUME = Keys(
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": Entries(_INTEGER_OR_TEXT),
        "external": _EXTERNAL,
        "labels": PAIRS,
        "x-corral": Keys({"each": TEXT}),
    }
)

CONTENT = Keys(
    {"name": TEXT, "file": TEXT, "environment": TEXT, "external": _EXTERNAL, "labels": PAIRS},
    later=frozenset({"driver", "driver_opts", "template_driver"}),
)
CONFIG = Keys({**CONTENT.known, "content": TEXT}, later=CONTENT.later - {"driver", "driver_opts"})

DOCUMENT = Keys(
    {
        "version": QUANTITY,
        "name": TEXT,
        "services": Entries(SERVICE, NAME),
        "networks": Entries(NETWORK, NAME),
        "volumes": Entries(VOLUME, NAME),
        "configs": Entries(CONFIG, NAME),
        "secrets": Entries(CONTENT, NAME),
        "x-corral": Keys({"userns": TEXT}),
    },
    later=frozenset({"include", "models"}),
)
