"""The keys of the Compose Specification, each with its shape, or among those that are not supported yet.

The source is compose-spec.schema.json of compose-go. To support a key: move it from `later` to the known ones here, spell
out its short forms in `short_forms`, give it to the model.
"""

import re

from specs.shapes import (
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
        "bind": Keys({"create_host_path": BOOLEAN}, later=frozenset({"propagation", "recursive", "selinux"})),
        "volume": Keys({"nocopy": BOOLEAN}, later=frozenset({"labels", "subpath"})),
        "tmpfs": Keys({"size": QUANTITY, "mode": QUANTITY}),
    },
    later=frozenset({"consistency", "image"}),
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

DEPLOY = Keys(
    {
        "replicas": INTEGER,
        "resources": Keys(
            {"limits": Keys({"cpus": NUMBER, "memory": TEXT, "pids": INTEGER})}, later=frozenset({"reservations"})
        ),
    },
    later=frozenset(
        {"endpoint_mode", "labels", "mode", "placement", "restart_policy", "rollback_config", "update_config"}
    ),
)

CONTENT_USE = Keys({"source": TEXT, "target": TEXT, "uid": _INTEGER_OR_TEXT, "gid": _INTEGER_OR_TEXT, "mode": QUANTITY})

LOGGING = Keys(
    {
        "driver": TEXT,
        "options": Keys(
            {"max-size": _INTEGER_OR_TEXT, "max-file": _INTEGER_OR_TEXT},
            later=frozenset(
                {"compress", "env", "env-regex", "labels", "labels-regex", "max-buffer-size", "mode", "tag"}
            ),
        ),
    }
)

ENV_FILE = Keys({"path": TEXT, "required": BOOLEAN, "format": TEXT})

_SERVICE_LATER = """
attach build cpu_count cpu_percent cpu_rt_period cpu_rt_runtime credential_spec
develop extends external_links gpus isolation label_file models platform post_start pre_start
pre_stop provider pull_policy pull_refresh_after runtime storage_opt use_api_socket
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
        "blkio_config": BLOCK_IO,
        "cap_add": Items(TEXT, unique=True),
        "cap_drop": Items(TEXT, unique=True),
        "cgroup": TEXT,
        "cgroup_parent": TEXT,
        "command": _COMMAND,
        "configs": Items(Either((TEXT, CONTENT_USE))),
        "container_name": TEXT,
        "cpu_period": INTEGER,
        "cpu_quota": INTEGER,
        "cpu_shares": INTEGER,
        "cpus": NUMBER,
        "cpuset": TEXT,
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
        "extra_hosts": Either((Entries(TEXT_OR_TEXTS), TEXTS)),
        "group_add": Items(_INTEGER_OR_TEXT, unique=True),
        "healthcheck": HEALTHCHECK,
        "hostname": TEXT,
        "image": TEXT,
        "init": BOOLEAN,
        "ipc": TEXT,
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
        "ports": Items(Either((Single("a number or text", (int, str)), PORT))),
        "privileged": BOOLEAN,
        "profiles": TEXTS,
        "read_only": BOOLEAN,
        "restart": TEXT,
        "scale": INTEGER,
        "secrets": Items(Either((TEXT, CONTENT_USE))),
        "security_opt": Items(TEXT, unique=True),
        "shm_size": QUANTITY,
        "stdin_open": BOOLEAN,
        "stop_grace_period": TEXT,
        "stop_signal": TEXT,
        "sysctls": PAIRS,
        "tmpfs": TEXT_OR_TEXTS,
        "tty": BOOLEAN,
        "ulimits": Entries(Either((INTEGER, ULIMIT))),
        "user": TEXT,
        "userns_mode": TEXT,
        "uts": TEXT,
        "volumes": Items(Either((TEXT, MOUNT))),
        "volumes_from": Items(TEXT, unique=True),
        "working_dir": TEXT,
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
    {"name": TEXT, "driver": TEXT, "external": _EXTERNAL, "labels": PAIRS},
    later=frozenset({"driver_opts"}),
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
