"""What each key of a compose file does, and an edit of it, from which the planner tells what an edit costs.

A row stands for its path and for everything one level below that has no row of its own. An edit replaces keys of the
service `a`, or of the network `default`, the volume `data`, the config `c`, the secret `s` that it uses (by the first word of the
path); two are the state before and after.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Part = Mapping[str, Any]


NOTHING: Part = MappingProxyType({})


class Row(NamedTuple):
    """`refused`: what `up` says no to, and why; a row without `after` is about a key that is refused whatever it says, and then it
    stands for all that is below it. `is_kept`: it is for people and other programs to read, and asks for nothing. `since`: the
    version of corral."""

    path: str
    meaning: str
    after: Part
    before: Part = NOTHING
    refused: Part = NOTHING
    is_kept: bool = False
    since: str = "0.1.0"


BIND = {"type": "bind", "source": "/usr", "target": "/there"}
MOUNT = {"type": "volume", "source": "data", "target": "/data"}
CHECK = {"test": ["CMD", "true"]}


JOURNALD = {"labels": {"l": "1"}, "environment": {"E": "1"}, "logging": {"driver": "journald"}}


def _logging(driver: str, **options: Any) -> dict[str, Any]:
    server = {"syslog-address": "udp://127.0.0.1"} if driver == "syslog" else {}
    return {"logging": {"driver": driver, "options": {**server, **options}}}


def _hook(key: str, **fields: Any) -> dict[str, Any]:
    return {key: [{"command": "true", **fields}]}


def _check(**fields: Any) -> dict[str, Any]:
    return {"healthcheck": {**CHECK, **fields}}


SERVICE = (
    Row(
        "services.image",
        "`host`, or `rootfs:/some/directory` (relative: from the project's directory): [Images](#images)",
        {"image": "rootfs:/usr"},
    ),
    Row(
        "services.command",
        "a list, or text that is split into words. No shell reads it: what follows an unquoted `;` `\\|` `&` `<` `>` is cut off, as by Compose, with a note",
        {"command": "sleep 2"},
    ),
    Row("services.entrypoint", "likewise; the command becomes its arguments", {"entrypoint": ["env"]}),
    Row(
        "services.environment", "a map or a list; a name without a value takes the shell's", {"environment": {"A": "2"}}
    ),
    Row(
        "services.env_file",
        "files with the `path`, `required`, `format: raw`",
        {"env_file": [{"path": "./e", "required": False, "format": "raw"}], "environment": {"A": 2}},
    ),
    Row("services.user", "name or number, either with `:group`, looked up in the image", {"user": "1"}),
    Row("services.group_add", "names of the image's groups, or numbers", {"group_add": [29]}),
    Row("services.working_dir", "where the program starts; made if it is missing", {"working_dir": "/w"}),
    Row("services.container_name", "`PROJECT-SERVICE-N` unless given", {"container_name": "mine"}),
    Row("services.hostname", "[Names](#names)", {"hostname": "h"}),
    Row("services.domainname", "[Names](#names)", {"domainname": "d.example"}),
    Row("services.labels", "a map or a list", {"labels": {"l": "1"}}),
    Row(
        "services.extends",
        "a service, also of another `file`, that this one is laid over: [Files in files](compose.md#several-files-and-files-in-files)",
        {},
    ),
    Row("services.label_file", "files with more of them; `labels` goes before", {"label_file": "./file.labels"}),
    Row("services.annotations", "kept: a map or a list", {"annotations": {"l": "1"}}, is_kept=True),
    Row("services.attach", "`false`: `up` does not show its output", {"attach": False}),
    Row("services.platform", "this machine's own; another is refused", {"platform": "linux"}),
    Row(
        "services.runtime", "`runc` is noted; others are refused: corral starts containers itself", {"runtime": "runc"}
    ),
    Row("services.isolation", "`default`", {"isolation": "default"}),
    Row("services.pull_policy", "noted: no image is pulled yet", {"pull_policy": "always"}),
    Row("services.pull_refresh_after", "likewise noted", {"pull_refresh_after": "1h"}),
    Row(
        "services.build",
        "refused: images are not built yet; noted where the service has an `image` of corral's",
        {},
        refused={"build": ".", "image": None},
    ),
    Row(
        "services.provider",
        "a program of this machine makes the service: [What programs make](#what-programs-make)",
        {"provider": {"type": "p", "options": {"a": ["1", "2"]}}},
    ),
    Row("services.models", "refused: there is no model runner", {}, refused={"models": ["m"]}),
    Row("services.cpu_count", "refused: for Windows", {}, refused={"cpu_count": 2}),
    Row("services.cpu_percent", "refused: for Windows", {}, refused={"cpu_percent": 50}),
    Row("services.credential_spec", "refused: for Windows", {}, refused={"credential_spec": {"file": "x"}}),
    Row(
        "services.gpus",
        "refused: name the nodes under `devices`, and mount the maker's libraries",
        {},
        refused={"gpus": "all"},
    ),
    Row(
        "services.storage_opt",
        "refused: a writable layer has no size of its own",
        {},
        refused={"storage_opt": {"size": "1g"}},
    ),
    Row("services.use_api_socket", "refused: there is no API of Docker's", {}, refused={"use_api_socket": True}),
    Row(
        "services.develop",
        "noted: `watch` is not there yet",
        {"develop": {"watch": [{"path": "./x", "action": "restart"}]}},
    ),
    *(
        Row(f"services.develop.watch{key}", meaning, {})
        for key, meaning in (
            ("", "its rules are checked and printed, as docker compose does"),
            (".exec", "likewise"),
        )
    ),
    Row(
        "services.profiles",
        "the service is active only with one of them",
        {"profiles": ["p"]},
        {"profiles": ["p", "q"]},
    ),
    Row("services.scale", "how many containers", {"scale": 2}, {"scale": 1}),
    Row("services.init", "pid 1 is a small init of corral's that passes signals on and reaps", {"init": True}),
    Row("services.tty", "a terminal of its own", {"tty": True}),
    Row("services.stdin_open", "standard input stays open", {"stdin_open": True}),
    Row("services.stop_signal", "SIGTERM unless given", {"stop_signal": "SIGINT"}),
    Row("services.stop_grace_period", "10 s unless given", {"stop_grace_period": "1s"}),
    Row("services.restart", "`no`, `always`, `unless-stopped`, `on-failure`, `on-failure:N`", {"restart": "always"}),
    Row("services.depends_on", "a list or a map; it orders starts", {"depends_on": ["b"]}),
    Row(
        "services.depends_on.condition",
        "`service_started`, `service_healthy`, `service_completed_successfully`",
        {"depends_on": {"b": {"condition": "service_completed_successfully"}}},
    ),
    Row(
        "services.depends_on.required",
        "`false`: go on without it",
        {"depends_on": {"b": {"condition": "service_started", "required": False}}},
    ),
    Row(
        "services.depends_on.restart",
        "restarted with it",
        {"depends_on": {"b": {"condition": "service_started", "restart": True}}},
    ),
    Row(
        "services.healthcheck",
        "asked at once after the start, when only success counts. `ps` says why what is unhealthy is",
        _check(),
    ),
    Row("services.healthcheck.test", "`CMD`, `CMD-SHELL`, `NONE`, or text for a shell", _check(test="false"), _check()),
    Row("services.healthcheck.interval", "30 s", _check(interval="1s"), _check()),
    Row("services.healthcheck.timeout", "30 s", _check(timeout="1s"), _check()),
    Row("services.healthcheck.retries", "3", _check(retries=1), _check()),
    Row("services.healthcheck.start_period", "in which failures do not count", _check(start_period="1s"), _check()),
    Row("services.healthcheck.start_interval", "5 s, during the start period", _check(start_interval="1s"), _check()),
    Row("services.healthcheck.disable", "`true`: none", _check(disable=True), _check()),
    Row("services.logging", "what is kept of the output", {"logging": {"driver": "none"}}),
    Row(
        "services.logging.driver",
        "`json-file`: lines of JSON as Docker's, `local` and none named: of text; `none` keeps nothing; `syslog` and `journald` get the output, too: [Logs](#logs)",
        {"logging": {"driver": "none"}},
    ),
    Row(
        "services.logging.options",
        "`max-size` of one file (`-1`: no end) and `max-file`; two files of 50 MB unless given",
        {"logging": {"options": {"max-size": "1m"}}},
    ),
    Row(
        "services.logging.options.max-size",
        "of one file, as `10m` (ten million bytes); `-1`: no end",
        {"logging": {"options": {"max-size": "1m"}}},
    ),
    Row("services.logging.options.max-file", "how many of these are kept", {"logging": {"options": {"max-file": 3}}}),
    *(
        Row(
            f"services.logging.options.{key}",
            meaning,
            _logging(driver, **{key: value}),
            _logging(driver),
        )
        for driver, key, meaning, value in (
            (
                "syslog",
                "syslog-address",
                "`udp://HOST:514`, `tcp://HOST:514`, `unix:///PATH`; the machine's own unless given",
                "udp://x",
            ),
            ("syslog", "syslog-facility", "`daemon` unless given", "local0"),
            ("syslog", "syslog-format", "`rfc3164`, `rfc5424`, `rfc5424micro`", "rfc5424"),
            (
                "syslog",
                "tag",
                "with `{{.ID}}` (the default), `.FullID`, `.Name`, `.ImageName`, `.DaemonName`",
                "{{.Name}}",
            ),
            ("syslog", "cache-max-size", "as `max-size`, of what `corral logs` shows", "1m"),
            ("syslog", "cache-max-file", "as `max-file`", 3),
            ("syslog", "cache-disabled", "`false`; `true` is refused: the log is what is sent from", "false"),
            ("syslog", "cache-compress", "noted: no log is compressed", "true"),
            ("json-file", "compress", "likewise noted", "true"),
            ("json-file", "mode", "noted: output never waits, and nothing of it is left out", "non-blocking"),
            ("json-file", "max-buffer-size", "likewise noted", "1m"),
        )
    ),
    *(
        Row(
            f"services.logging.options.{key}",
            meaning,
            {**JOURNALD, "logging": {"driver": "journald", "options": {key: value}}},
            JOURNALD,
        )
        for key, meaning, value in (
            ("labels", "names of labels, with commas, that `journald` and `json-file` get with each line", "l"),
            ("env", "likewise of variables of the environment", "E"),
        )
    ),
    *(
        Row(
            f"services.logging.options.{key}",
            "refused: name them",
            {},
            refused={"logging": {"driver": "journald", "options": {key: "x"}}},
        )
        for key in ("labels-regex", "env-regex")
    ),
    Row("services.networks", "a list or a map", {"networks": ["other"]}),
    Row("services.networks.aliases", "more names in this network", {"networks": {"default": {"aliases": ["x"]}}}),
    Row("services.networks.ipv4_address", "a static address", {"networks": {"default": {"ipv4_address": "10.9.0.9"}}}),
    Row(
        "services.networks.ipv6_address",
        "the same of IPv6, in a network with `enable_ipv6`",
        {"networks": {"six": {"ipv6_address": "fd12::9"}}},
        {"networks": ["six"]},
    ),
    Row(
        "services.networks.link_local_ips",
        "addresses of 169.254.0.0/16 or fe80::/10 beside its own",
        {"networks": {"default": {"link_local_ips": ["169.254.1.1"]}}},
    ),
    Row(
        "services.networks.mac_address",
        "unless given, one that follows from the address",
        {"networks": {"default": {"mac_address": "02:42:ac:11:00:02"}}},
    ),
    Row(
        "services.networks.interface_name",
        "unless given, eth0, eth1 … in the order of joining",
        {"networks": {"default": {"interface_name": "lan0"}}},
    ),
    Row(
        "services.networks.gw_priority",
        "the highest carries the default route and the published ports; else the first by name that leads outside",
        {"networks": {"default": {}, "other": {"gw_priority": 5}}},
        {"networks": ["default", "other"]},
    ),
    Row(
        "services.networks.priority",
        "the highest is joined first: its interface has the lowest number. Counts for interfaces made from then on",
        {"networks": {"default": {"priority": 5}}},
    ),
    Row(
        "services.networks.driver_opts",
        "`com.docker.network.endpoint.sysctls` (`net.ipv4.conf.IFNAME.log_martians=1,…`), `…endpoint.ifname`",
        {
            "networks": {
                "default": {
                    "driver_opts": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"}
                }
            }
        },
    ),
    Row(
        "services.mac_address",
        "of its interface in the network that it joins first",
        {"mac_address": "02:42:ac:11:00:02"},
    ),
    Row(
        "services.network_mode",
        "`none`; `host` (the machine's network and name); `bridge` (the project's `default` network); `service:NAME`, `container:NAME`: [Shared namespaces](#shared-namespaces)",
        {"network_mode": "none"},
    ),
    Row(
        "services.pid",
        "`host`, `service:NAME`, `container:NAME`: [Shared namespaces](#shared-namespaces)",
        {"pid": "service:b"},
    ),
    Row(
        "services.ipc",
        "`private`, `shareable`, `none` (no `/dev/shm`), `host`, `service:NAME`, `container:NAME` (of one that says `shareable`). `/dev/shm` goes with it",
        {"ipc": "none"},
    ),
    Row("services.uts", "`host`: the machine's name, which `hostname` then cannot be given", {"uts": "host"}),
    Row("services.cgroup", "`private`; `host`: the machine's cgroup namespace", {"cgroup": "host"}),
    Row(
        "services.cgroup_parent",
        "names of cgroups, `a/b`, below corral's own: `corral/<instance>/_parents/a/b`. Shared by all who name it, gone with the last; what you write into it limits them together",
        {"cgroup_parent": "a/b"},
    ),
    Row("services.ports", "[Ports](#ports)", {"ports": ["18080:80"]}),
    Row(
        "services.ports.target",
        "the container's port",
        {"ports": [{"target": 81, "published": "18080"}]},
        {"ports": ["18080:80"]},
    ),
    Row(
        "services.ports.published",
        "the machine's port, or a range to choose one from; nothing: chosen by corral",
        {"ports": [{"target": 80, "published": "18081"}]},
        {"ports": ["18080:80"]},
    ),
    Row(
        "services.ports.host_ip",
        "the machine's address that it is open on",
        {"ports": ["127.0.0.1:18080:80"]},
        {"ports": ["18080:80"]},
    ),
    Row(
        "services.ports.protocol",
        "`tcp`, `udp`; `sctp` where the kernel has it",
        {"ports": ["18080:80/udp"]},
        {"ports": ["18080:80"]},
    ),
    Row(
        "services.ports.mode",
        "kept: both mean the same on one machine",
        {"ports": [{"target": 80, "published": "18080", "mode": "host"}]},
        {"ports": ["18080:80"]},
        is_kept=True,
    ),
    Row(
        "services.ports.name",
        "kept",
        {"ports": [{"target": 80, "published": "18080", "name": "n"}]},
        {"ports": ["18080:80"]},
        is_kept=True,
    ),
    Row(
        "services.ports.app_protocol",
        "kept",
        {"ports": [{"target": 80, "published": "18080", "app_protocol": "http"}]},
        {"ports": ["18080:80"]},
        is_kept=True,
    ),
    Row("services.expose", "shown by `ps`, opens nothing", {"expose": ["80"]}),
    Row("services.links", "`SERVICE` or `SERVICE:ALIAS`: a name that only this service sees", {"links": ["b:x"]}),
    Row(
        "services.external_links",
        "`CONTAINER` or `CONTAINER:ALIAS`: of a network that both are in, whoever made it; a name that only this service sees",
        {"external_links": ["q-x-1:x"]},
    ),
    Row(
        "services.extra_hosts",
        "lines of /etc/hosts; `host-gateway` is the machine, at the gateway of the network that leads outside",
        {"extra_hosts": ["x:10.1.1.1"]},
    ),
    Row("services.dns", "servers (IPv4) in place of corral's", {"dns": "10.1.1.1"}),
    Row("services.dns_search", "domains of /etc/resolv.conf", {"dns_search": "d"}),
    Row("services.dns_opt", "options of /etc/resolv.conf", {"dns_opt": ["ndots:2"]}),
    Row(
        "services.volumes",
        "bind, named volume, tmpfs, short and long. An empty volume is filled with what the image has there",
        {"volumes": [MOUNT, BIND]},
    ),
    Row(
        "services.volumes.type",
        "`bind`, `volume`, `tmpfs`, `image`; `npipe` (Windows) and `cluster` (Swarm) are refused",
        {"volumes": [{"type": "tmpfs", "target": "/data"}]},
        {"volumes": [MOUNT]},
    ),
    Row(
        "services.volumes.source",
        "a path, or the volume's key; none: an anonymous volume, the container's and its successors' until `down`",
        {"volumes": [{**BIND, "source": "/etc"}]},
        {"volumes": [BIND]},
    ),
    Row("services.volumes.target", "where in the container", {"volumes": [{**MOUNT, "target": "/d"}]}),
    Row("services.volumes.read_only", "", {"volumes": [{**MOUNT, "read_only": True}]}),
    Row(
        "services.volumes.consistency",
        "kept: it is for Docker Desktop",
        {"volumes": [{**MOUNT, "consistency": "cached"}]},
        {"volumes": [MOUNT]},
        is_kept=True,
    ),
    Row(
        "services.volumes.bind",
        "of a bind mount",
        {"volumes": [{**BIND, "bind": {"create_host_path": False}}]},
        {"volumes": [BIND]},
    ),
    Row(
        "services.volumes.bind.create_host_path",
        "`false`: a missing source is an error; else it is made, a directory",
        {"volumes": [{**BIND, "bind": {"create_host_path": False}}]},
        {"volumes": [BIND]},
    ),
    Row(
        "services.volumes.bind.propagation",
        "`rprivate` unless given; of a source that is shared `rslave` or `rshared`. The forms without `r` mean the same here",
        {"volumes": [{**BIND, "bind": {"propagation": "rslave"}}]},
        {"volumes": [BIND]},
    ),
    Row(
        "services.volumes.bind.recursive",
        "`disabled`: without what is mounted below the source; `writable`: which `read_only` leaves as it is; else both",
        {"volumes": [{**BIND, "bind": {"recursive": "disabled"}}]},
        {"volumes": [BIND]},
    ),
    Row(
        "services.volumes.bind.selinux",
        "noted, means nothing: no profile is applied",
        {"volumes": [{**BIND, "bind": {"selinux": "z"}}]},
        {"volumes": [BIND]},
    ),
    Row("services.volumes.volume", "of a volume", {"volumes": [{**MOUNT, "volume": {"nocopy": True}}]}),
    Row(
        "services.volumes.volume.nocopy",
        "`true`: an empty volume stays empty",
        {"volumes": [{**MOUNT, "volume": {"nocopy": True}}]},
    ),
    Row(
        "services.volumes.volume.subpath",
        "a part of the volume that exists; resolved inside the volume, nothing is copied into it",
        {"volumes": [{**MOUNT, "volume": {"subpath": "x"}}]},
    ),
    Row(
        "services.volumes.volume.labels",
        "of an anonymous volume",
        {"volumes": [MOUNT, {"type": "volume", "target": "/t", "volume": {"labels": {"l": "1"}}}]},
        {"volumes": [MOUNT, "/t"]},
    ),
    *(
        Row(
            f"services.volumes.image{key}",
            meaning,
            {"volumes": [{"type": "image", "source": "rootfs:/usr", "target": "/t", "image": {"subpath": "share"}}]},
            {"volumes": [{"type": "image", "source": "rootfs:/usr", "target": "/t"}]},
        )
        for key, meaning in (
            ("", "of the image that `source` names, as `rootfs:./tree`. Always read-only"),
            (".subpath", "a part of it"),
        )
    ),
    *(
        Row(
            f"services.volumes.tmpfs{key}",
            meaning,
            {"volumes": [{"type": "tmpfs", "target": "/t", "tmpfs": more}]},
            {"volumes": [{"type": "tmpfs", "target": "/t"}]},
        )
        for key, meaning, more in (
            ("", "memory, the container's own, empty at each start", {"size": "1m"}),
            (".size", "half of the machine's memory unless given", {"size": "1m"}),
            (".mode", "1777 unless given", {"mode": 0o700}),
        )
    ),
    Row(
        "services.pre_start",
        "steps that run to their end, each in a container of its own in the service's network, before its first start; once for each definition of the service",
        {"pre_start": [{"command": "true"}]},
    ),
    Row(
        "services.post_start",
        "commands run in the container, in order, after each start; whoever depends on it waits; one that fails stops it, and the restart policy is asked",
        {"post_start": [{"command": "true"}]},
    ),
    Row(
        "services.pre_stop",
        "commands run before a planned stop, within its grace; one that fails keeps it running, and the command that wanted it stopped fails",
        {"pre_stop": [{"command": "true"}]},
    ),
    *(
        Row(f"services.{key}.{field}", meaning, _hook(key, **{field: value}), _hook(key))
        for key in ("pre_start", "post_start", "pre_stop")
        for field, meaning, value in (
            ("command", "a list, or text that is split into words", "false"),
            ("user", "the service's unless given", "1"),
            ("privileged", "`true`: with every capability", True),
            ("working_dir", "the service's unless given", "/usr"),
            ("environment", "laid over the service's", {"A": "2"}),
        )
    ),
    Row(
        "services.pre_start.image",
        "the service's unless given; with its own a step is of that one's user",
        _hook("pre_start", image="rootfs:/usr"),
        _hook("pre_start"),
    ),
    Row(
        "services.pre_start.per_replica",
        "`true`: a step of each container of the service; otherwise one for all",
        _hook("pre_start", per_replica=True),
        _hook("pre_start"),
    ),
    Row("services.volumes_from", "`SERVICE`, `SERVICE:ro`, `container:NAME` of this project", {"volumes_from": ["b"]}),
    Row("services.tmpfs", "`/path`, `/path:size=64m,mode=1770,uid=1,gid=1,ro,noexec`", {"tmpfs": ["/t"]}),
    Row(
        "services.configs",
        "a read-only file. Another content makes the container anew, unless `x-corral.on_change` says otherwise: [Changed files](#changed-files)",
        {"configs": []},
    ),
    Row("services.configs.source", "which", {"configs": [{"source": "other"}]}),
    Row("services.configs.target", "`/NAME` unless given", {"configs": [{"source": "c", "target": "/t"}]}),
    Row("services.configs.uid", "0 unless given", {"configs": [{"source": "c", "uid": "1"}]}),
    Row("services.configs.gid", "0 unless given", {"configs": [{"source": "c", "gid": "1"}]}),
    Row("services.configs.mode", "0444 unless given", {"configs": [{"source": "c", "mode": 0o400}]}),
    Row("services.secrets", "likewise", {"secrets": []}),
    Row("services.secrets.source", "which", {"secrets": [{"source": "other"}]}),
    Row("services.secrets.target", "`/run/secrets/NAME` unless given", {"secrets": [{"source": "s", "target": "t"}]}),
    Row("services.secrets.uid", "0 unless given", {"secrets": [{"source": "s", "uid": "1"}]}),
    Row("services.secrets.gid", "0 unless given", {"secrets": [{"source": "s", "gid": "1"}]}),
    Row("services.secrets.mode", "0444 unless given", {"secrets": [{"source": "s", "mode": 0o400}]}),
    Row("services.mem_limit", "memory", {"mem_limit": "64m"}),
    Row(
        "services.memswap_limit",
        "memory and swap together; `-1`: as much swap as there is",
        {"mem_limit": "64m", "memswap_limit": "65m"},
        {"mem_limit": "64m"},
    ),
    Row("services.mem_reservation", "what is left to it when memory is short", {"mem_reservation": "8m"}),
    Row(
        "services.mem_swappiness",
        "0 to 100, where the memory controller is on cgroup v1; elsewhere an error",
        {"mem_swappiness": 1},
    ),
    Row("services.oom_kill_disable", "likewise", {"oom_kill_disable": True}),
    Row(
        "services.oom_score_adj",
        "a score below corral's own needs CAP_SYS_RESOURCE: an error where corral has not got it",
        {"oom_score_adj": 5},
    ),
    Row("services.cpus", "CPUs, as a number", {"cpus": 0.5}),
    Row(
        "services.cpu_period",
        "with `cpu_quota` the exact way to write `cpus`: not both",
        {"cpu_period": 50000, "cpu_quota": 1000},
    ),
    Row("services.cpu_quota", "microseconds in each period", {"cpu_quota": 50000}),
    Row(
        "services.cpu_rt_runtime",
        "what real-time processes get of each period, as `400ms` or in microseconds; where the cpu controller is on cgroup v1 and the"
        " kernel has such budgets, elsewhere an error",
        {"cpu_rt_runtime": "1ms"},
    ),
    Row("services.cpu_rt_period", "a second unless given", {"cpu_rt_runtime": 500, "cpu_rt_period": "10ms"}),
    Row("services.cpu_shares", "weight beside others; 1024 unless given", {"cpu_shares": 5}),
    Row("services.cpuset", "CPUs by number", {"cpuset": "0"}),
    Row("services.pids_limit", "processes and threads", {"pids_limit": 50}),
    Row(
        "services.blkio_config",
        "limits of block devices",
        {"blkio_config": {"device_read_bps": [{"path": "/dev/a", "rate": "1m"}]}},
    ),
    Row(
        "services.blkio_config.weight",
        "10 to 1000, where the kernel and the scheduler have any",
        {"blkio_config": {"weight": 50}},
    ),
    Row(
        "services.blkio_config.weight_device",
        "for one device",
        {"blkio_config": {"weight_device": [{"path": "/dev/a", "weight": 50}]}},
    ),
    Row(
        "services.blkio_config.device_read_bps",
        "bytes a second",
        {"blkio_config": {"device_read_bps": [{"path": "/dev/a", "rate": "1m"}]}},
    ),
    Row(
        "services.blkio_config.device_write_bps",
        "bytes a second",
        {"blkio_config": {"device_write_bps": [{"path": "/dev/a", "rate": "1m"}]}},
    ),
    Row(
        "services.blkio_config.device_read_iops",
        "operations a second",
        {"blkio_config": {"device_read_iops": [{"path": "/dev/a", "rate": 100}]}},
    ),
    Row(
        "services.blkio_config.device_write_iops",
        "operations a second",
        {"blkio_config": {"device_write_iops": [{"path": "/dev/a", "rate": 100}]}},
    ),
    Row(
        "services.deploy",
        "another way to write the limits and `scale`; given in both places they must be equal",
        {"deploy": {"resources": {"limits": {"cpus": 0.5}}}},
    ),
    Row("services.deploy.replicas", "as `scale`", {"deploy": {"replicas": 2}}, {"deploy": {"replicas": 1}}),
    Row(
        "services.deploy.resources",
        "`limits`, `reservations`",
        {"deploy": {"resources": {"limits": {"cpus": 0.5}}}},
    ),
    Row(
        "services.deploy.resources.reservations",
        "`memory`, as `mem_reservation`; `cpus` and `generic_resources` are noted; `devices` are refused",
        {"deploy": {"resources": {"reservations": {"memory": "32m"}}}},
    ),
    Row(
        "services.deploy.resources.reservations.devices",
        "refused: see `gpus`",
        {},
        refused={"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}},
    ),
    *(
        Row(
            f"services.deploy.resources.reservations.generic_resources{key}",
            "noted: for clusters, means nothing here",
            {
                "deploy": {
                    "resources": {"reservations": {"generic_resources": [{"discrete_resource_spec": {"kind": "x"}}]}}
                }
            },
        )
        for key in ("", ".discrete_resource_spec")
    ),
    Row(
        "services.deploy.restart_policy",
        "as `restart`, which it goes before: `condition` (`none`, `on-failure`, `any`), `max_attempts` of either, `delay` between an exit and the next start (unless given: 0.1 s, 0.2 s … 60 s after hasty ones), `window`: who lived that long was restarted with success, and the attempts are counted anew",
        {"deploy": {"restart_policy": {"condition": "any", "delay": "5s"}}},
    ),
    *(
        Row(f"services.deploy.{key}", "noted: for clusters, means nothing here", {"deploy": {key: value}})
        for key, value in (
            ("endpoint_mode", "dnsrr"),
            ("labels", {"l": "1"}),
            ("mode", "global"),
            ("placement", {"constraints": ["x==y"]}),
            ("rollback_config", {"order": "stop-first"}),
            ("update_config", {"parallelism": 2}),
        )
    ),
    Row(
        "services.deploy.placement.preferences",
        "likewise noted",
        {"deploy": {"placement": {"preferences": [{"spread": "x"}]}}},
    ),
    Row(
        "services.deploy.resources.limits",
        "`cpus`, `memory`, `pids`",
        {"deploy": {"resources": {"limits": {"memory": "64m"}}}},
    ),
    Row(
        "services.ulimits",
        "`NAME: N` or `soft` and `hard`; `-1` is none. A hard limit above corral's own needs CAP_SYS_RESOURCE: an error where corral has not got it",
        {"ulimits": {"nofile": 5}},
    ),
    Row("services.shm_size", "of /dev/shm; 64m unless given", {"shm_size": "1m"}),
    Row(
        "services.read_only",
        "the root is read-only; mounts are as they say, `/dev` and `/dev/shm` stay writable",
        {"read_only": True},
    ),
    Row(
        "services.sysctls",
        "those that a container has for itself: `net.…` (not with `network_mode: host`), `kernel.msg*`, `kernel.shm*`, `kernel.sem`, `fs.mqueue.…`. Others are the machine's, and refused",
        {"sysctls": {"kernel.msgmax": 5}},
    ),
    Row(
        "services.cap_add",
        "with or without `CAP_`; `ALL`: all that corral itself has. A single one that it has not is an error",
        {"cap_add": ["SYS_TIME"]},
    ),
    Row("services.cap_drop", "likewise", {"cap_drop": ["ALL"]}),
    Row(
        "services.security_opt",
        "`no-new-privileges[:false]`, `seccomp=unconfined`, `seccomp=FILE` (Docker's JSON, read with your rights), `systempaths=unconfined`, `corral:strict` ([the strict profile](#user-namespaces)), "
        "`apparmor=PROFILE` (one that this machine's kernel has loaded: an error where there is none of this name, or no AppArmor); `apparmor=unconfined` and `label=disable`, which change nothing: none of these is applied unasked",
        {"security_opt": ["no-new-privileges"]},
    ),
    Row(
        "services.userns_mode",
        "`auto`: a user namespace of its own, with 65,536 ids; `host`: none. Unless given, what `x-corral` or the machine says: [User namespaces](#user-namespaces)",
        {"userns_mode": "auto"},
    ),
    Row(
        "services.privileged",
        "every capability that corral has less `cap_drop`, no seccomp (unless a profile is given), nothing hidden in `/proc` and `/sys`, all devices, `/sys` and the cgroups writable",
        {"privileged": True},
    ),
    Row(
        "services.devices",
        "`SOURCE[:TARGET][:rwm]` or a map; a folder stands for the devices in it",
        {"devices": ["/dev/null:/dev/n"]},
    ),
    Row(
        "services.device_cgroup_rules",
        "`c 1:3 rwm`; `a` is both kinds, `*` any number",
        {"device_cgroup_rules": ["c 1:3 r"]},
    ),
)

ONLY_OURS = (
    Row("services.x-corral", "what only corral knows of a service", {"x-corral": {}}),
    Row(
        "services.x-corral.replica",
        "a partial service, laid over it for each of its replicas: [Replicas that differ](#replicas-that-differ)",
        {},
    ),
    Row(
        "services.x-corral.leave",
        "a command that runs in a replica that goes because of a smaller scale, before it is stopped: [Hooks](#hooks)",
        {"x-corral": {"leave": {"command": ["true"]}}},
    ),
    Row(
        "services.x-corral.on_change",
        "what another content of a config, a secret or an env file does: `recreate`, `restart`, `signal:HUP`, `ignore`; or a map of these: [Changed files](#changed-files)",
        {"x-corral": {"on_change": "restart"}},
    ),
    Row("services.x-corral.leave.timeout", "10 minutes unless given", {}),
    Row(
        "services.x-corral.pages",
        'what it serves to browsers, by title: a port of the container, or `"PORT/PATH"`: [Pages](#pages)',
        {"x-corral": {"pages": {"Status": 80}}},
    ),
)

NETWORK = (
    Row("networks.name", "`PROJECT_KEY` unless given", {"name": "n"}),
    Row(
        "networks.driver",
        "`bridge` or `default`; who joins one of `host` or `none` has that `network_mode`",
        {"driver": "bridge"},
    ),
    Row("networks.driver_opts", "[Networks](#networks)", {"driver_opts": {"com.docker.network.driver.mtu": "1400"}}),
    Row("networks.attachable", "changes nothing: others may always join", {"attachable": True}),
    Row(
        "networks.enable_ipv4",
        "unless `false`; then `enable_ipv6` is needed",
        {"enable_ipv4": False, "enable_ipv6": True, "ipam": None},
        {"enable_ipv6": True},
    ),
    Row("networks.enable_ipv6", "[Networks](#networks)", {"enable_ipv6": True}),
    Row(
        "networks.external",
        "one that a command or another project has made: joined, never made, changed or removed",
        {"external": True, "name": "there", "ipam": None},
    ),
    Row("networks.internal", "no way out, and nothing is published into it", {"internal": True}),
    Row("networks.labels", "", {"labels": {"l": "1"}}),
    Row("networks.ipam", "`config` with one pool of each family", {"ipam": {"config": [{"subnet": "10.8.0.0/24"}]}}),
    Row("networks.ipam.driver", "`default`", {"ipam": {"driver": "default"}}),
    Row(
        "networks.ipam.config.subnet",
        "a /24 that the machine does not route unless given",
        {"ipam": {"config": [{"subnet": "10.8.0.0/24"}]}},
    ),
    Row(
        "networks.ipam.config.gateway",
        "the first address unless given",
        {"ipam": {"config": [{"subnet": "10.9.0.0/24", "gateway": "10.9.0.200"}]}},
    ),
    Row(
        "networks.ipam.config.ip_range",
        "from where addresses are chosen",
        {"ipam": {"config": [{"subnet": "10.9.0.0/24", "ip_range": "10.9.0.128/25"}]}},
    ),
    Row(
        "networks.ipam.config.aux_addresses",
        "given to nobody",
        {"ipam": {"config": [{"subnet": "10.9.0.0/24", "aux_addresses": {"printer": "10.9.0.9"}}]}},
    ),
    Row(
        "networks.ipam.options",
        "noted: the driver has none",
        {"ipam": {"options": {"x": "y"}}},
        {"ipam": {}},
    ),
)
VOLUME = (
    Row("volumes.name", "`PROJECT_KEY` unless given", {"name": "n"}),
    Row("volumes.driver", "`local`", {"driver": "local"}),
    Row(
        "volumes.driver_opts",
        "[What a volume is made of](#what-a-volume-is-made-of)",
        {"driver_opts": {"type": "tmpfs", "device": "tmpfs"}},
    ),
    Row("volumes.external", "one that a command or another project has made", {"external": True, "name": "there"}),
    Row("volumes.labels", "", {"labels": {"l": "1"}}),
    Row("volumes.x-corral", "what only corral knows of a volume", {}),
    Row(
        "volumes.x-corral.each",
        "`replica`: one volume for each replica of the services that mount it: [Replicas that differ](#replicas-that-differ)",
        {"x-corral": {"each": "replica"}},
    ),
)
CONTENT = (
    Row("configs.name", "kept", {"name": "n"}, is_kept=True),
    Row("configs.file", "read by the command line with your rights; at most 1 MB", {"file": "./file", "content": None}),
    Row("configs.environment", "a variable's value", {"environment": "V", "content": None}),
    Row("configs.content", "text, in which variables are filled in", {"content": "other"}),
    Row("configs.labels", "kept", {"labels": {"l": "1"}}, is_kept=True),
    Row("configs.external", "refused: nothing keeps any", {}, refused={"external": True, "content": None}),
    Row("configs.template_driver", "refused: templates are for clusters", {}, refused={"template_driver": "golang"}),
    Row("secrets.name", "kept", {"name": "n"}, is_kept=True),
    Row("secrets.file", "as of configs", {"file": "./file", "environment": None}),
    Row("secrets.environment", "a variable's value", {"environment": "W"}),
    Row("secrets.labels", "kept", {"labels": {"l": "1"}}, is_kept=True),
    Row("secrets.external", "refused: nothing keeps any", {}, refused={"external": True, "environment": None}),
    Row("secrets.template_driver", "refused: templates are for clusters", {}, refused={"template_driver": "golang"}),
    Row("secrets.driver", "refused: there are no plugins", {}, refused={"driver": "vault", "environment": None}),
    Row("secrets.driver_opts", "kept: means nothing without a driver", {"driver_opts": {"a": "b"}}, is_kept=True),
)
TOP = (
    Row("name", "the project's name; the folder's unless given", {}),
    Row("version", "noted, means nothing", {"version": "3"}),
    Row(
        "include",
        "other projects that belong to this one: [Files in files](compose.md#several-files-and-files-in-files)",
        {},
    ),
    Row("include.path", "a file, or several that are laid over each other", {}),
    Row("include.env_file", "in place of the other project's `.env`", {}),
    Row("include.project_directory", "the file's folder unless given", {}),
    Row(
        "models",
        "kept: nothing here serves them, and a service that uses one is refused",
        {"models": {"m": {"model": "x"}}},
        is_kept=True,
    ),
    Row("x-corral", "what only corral knows", {}),
    Row(
        "x-corral.memory",
        "`guaranteed`: `up` is refused where the `mem_limit`s of what would run do not fit into the machine: [Memory](#memory)",
        {},
    ),
    Row("x-corral.userns", "`userns_mode` of the services that say nothing", {}),
    Row("services", "", {}),
    Row("networks", "those that no active service uses are not made", {}),
    Row("volumes", "likewise", {}),
    Row("configs", "", {}),
    Row("secrets", "", {}),
)
ROWS = (*SERVICE, *ONLY_OURS, *NETWORK, *VOLUME, *CONTENT, *TOP)
BY_PATH = {row.path: row for row in ROWS}


def is_whole(path: str) -> bool:
    """Whether its row is about all that is below it, too."""
    row = BY_PATH.get(path)
    return row is not None and bool(row.refused) and not row.after
