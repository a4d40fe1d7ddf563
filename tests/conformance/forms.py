"""Forms that a user may write: of each attribute of a service, of the other sections, and of files together. The oracle says what
each means; nothing is expected here."""

import pathlib
from collections.abc import Iterator, Mapping

from tests.conformance.comparing import Case

SERVICE = """
annotations: [a=b, c]
annotations: {a: 1, b: null, c: true}
attach: false
attach: "yes"
blkio_config: {weight: 300}
blkio_config: {weight: 0}
build: .
build: ./sub
build: https://example.org/x.git#main:dir
build: {context: sub, dockerfile: ../D, args: [A, B=1], labels: [x], target: t}
build: {dockerfile_inline: "FROM x\\nRUN $$y"}
build: {dockerfile: D, dockerfile_inline: x}
build: {additional_contexts: {a: ./a, b: docker-image://x, c: https://x.org/y}}
build: {additional_contexts: ["a=./a"]}
build: {additional_contexts: {a: "service:nobody"}}
build: {cache_from: [x, y], cache_to: [z], no_cache: true, pull: "true", network: host, isolation: x}
build: {extra_hosts: ["a:1.2.3.4"], shm_size: 2g, ulimits: {nofile: 3, core: {soft: 1, hard: 2}}}
build: {platforms: [linux/amd64, linux/amd64], tags: [a, a], entitlements: [x], privileged: true}
build: {provenance: true, sbom: mode=max}
build: {secrets: [s, {source: s, target: t, mode: 0400}]}
build: {secrets: [nobody]}
build: {context: ., x-a: 1}
build: {nothing: 1}
build: ""
build: {context: ""}
build: {args: {A: 1}}
build: {}
build: {args: {A: 1, B: null, C: "$$x"}}
build: {context: "a://b//c", additional_contexts: {x: "foo://bar//x"}}
cap_add: [A, A]
provider: {type: t, options: {a: [], b: 1, c: [x, 2], d: ""}}
provider: {type: t, options: {}}
mem_limit: 5m, deploy: {resources: {limits: {cpus: 1}}}
cpus: 1, deploy: {resources: {limits: {memory: 5m}}}
pids_limit: 5, deploy: {resources: {limits: {}}}
mem_reservation: 5m, deploy: {resources: {reservations: {}}}
scale: 5, deploy: {}
profiles: [""]
profiles: ["", b]
volumes: [{type: bind, target: /x}]
volumes: [{type: bind, source: "", target: /x}]
volumes: [{type: volume, source: "", target: /x}]
environment: ["$$x", "$$y=$$z"]
environment: {"": 1}
labels: {"": 1}
extra_hosts: {"": 1.1.1.1}
logging: {driver: x, options: {"": "1"}}
stop_grace_period: "3s "
stop_grace_period: " "
healthcheck: {test: x, interval: " 5s"}
mem_limit: "3m "
mem_limit: " 3m"
mem_limit: "3 "
ports: [{target: 80, mode: "", protocol: ""}]
cap_drop: [ALL]
cgroup: host
cgroup: other
cgroup_parent: a/b
command: a "b c" 'd $$e' f\\ g
command: "a | b"
command: "a 'b"
command: ""
command: []
command:
command: [a, 1]
configs: [c, {source: c, target: /t, uid: "1", gid: "2", mode: 0440}]
configs: [{source: c, mode: "0440"}]
configs: [{source: c, uid: 1}]
configs: [nobody]
container_name: x
container_name: a-b
cpu_count: "3"
cpu_count: -3
cpu_percent: 50
cpu_percent: 200
cpu_period: 100000
cpu_quota: "50000"
cpu_rt_runtime: 95000
cpu_shares: 1.5
cpus: "1.5"
cpus: 0
cpus: abc
cpuset: 0-1
credential_spec: {file: ./x}
depends_on: [b]
depends_on: [b, b]
depends_on: [nobody]
depends_on: {b: {condition: service_healthy, restart: true}}
depends_on: {b: {condition: service_started, required: false}}
depends_on: {b: {}}
depends_on: {b: {condition: sometime}}
depends_on: {nobody: {condition: service_started, required: false}}
depends_on: [a]
deploy:
deploy: {mode: global, endpoint_mode: vip, labels: [a=b]}
deploy: {replicas: 0}
deploy: {replicas: "3"}
deploy: {resources: {limits: {cpus: "0.5", memory: 1g, pids: 3}, reservations: {cpus: 0.25, memory: 512m}}}
deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: all}]}}}
deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 2, device_ids: [a]}]}}}
deploy: {resources: {reservations: {devices: [{count: 2}]}}}
deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: g, value: 2}}]}}}
deploy: {restart_policy: {condition: on-failure, delay: 5s, max_attempts: 0, window: 2m}}
deploy: {update_config: {parallelism: 0, delay: 1m, order: start-first, max_failure_ratio: "0.5"}}
deploy: {update_config: {order: sideways}}
deploy: {placement: {constraints: [a==b], preferences: [{spread: x}], max_replicas_per_node: 2}}
develop: {watch: [{path: ., action: rebuild}, {path: ./x, action: sync, target: /x, ignore: [a], include: b}]}
develop: {watch: [{path: ./x, action: sync}]}
develop: {watch: [{path: ./x, action: sync+exec, target: /t, exec: {command: a b}, initial_sync: true}]}
develop: {watch: [{action: rebuild}]}
develop:
device_cgroup_rules: ["c 1:3 mr"]
devices: [/dev/a, "/dev/a:/dev/b", "/dev/a:/dev/c:r", "vendor.com/class=x"]
devices: [{source: /dev/a, target: /dev/b, permissions: r}]
devices: [{target: /dev/b}]
dns: 1.1.1.1
dns: ["1.1.1.1", "1.1.1.1"]
dns: [1, 1]
dns_opt: [a, a]
dns_search: a.example
domainname: d
entrypoint: ''
entrypoint: [a]
environment: {A: 1.50, B: true, C: 1e3, D: null, E: 0x1F, F: 0777, G: "", H: HOME}
environment: [A=1, A=2, B, C=, HOME]
environment: ["A =1"]
environment: ["=1"]
environment:
environment: {A: [1]}
env_file: .env.none
env_file: [{path: .env.none, required: false}]
env_file: one.env
env_file: [one.env, {path: two.env, format: raw}]
env_file: [{required: false}]
expose: [80, "80", 90-92/tcp]
expose: ["a"]
expose: [80.5]
external_links: [a, b:c]
external_links: [a, a]
extra_hosts: ["b:1.1.1.1", "a=2.2.2.2", "c=[::1]", "d:::1", "h:host-gateway"]
extra_hosts: {b: [1.1.1.1, 2.2.2.2], a: "[::1]"}
extra_hosts: ["a"]
extra_hosts: ["a:"]
extra_hosts: {a: }
gpus: all
gpus: some
gpus: [{driver: nvidia, count: 2, capabilities: [gpu], options: {a: b}}]
group_add: [1, a]
group_add: [a, a]
healthcheck: {test: "curl $$x", interval: 90s, timeout: 500ms, retries: "3", start_period: 1h, start_interval: 5s}
healthcheck: {test: [CMD, a], disable: false}
healthcheck: {test: NONE}
healthcheck: {test: [a, b]}
healthcheck: {test: []}
healthcheck: {disable: true}
healthcheck: {interval: 5}
healthcheck: {interval: 0s}
hostname: "a b"
image: ""
init: "true"
init: false
ipc: "service:b"
ipc: "service:nobody"
isolation: x
labels: [a, b=c=d, "e: f"]
labels: {a: 1.0, b: null}
label_file: one.labels
label_file: [one.labels]
label_file: none.labels
links: [b, b, "b:c"]
links: [nobody]
logging: {driver: x, options: {a: 1, b: , c: "2"}}
logging: {options: {max-size: 1m}}
mac_address: x
mem_limit: 1.5g
mem_limit: 0
mem_limit: -1
mem_limit: foo
mem_limit: 1000000
mem_reservation: 64 mb
mem_swappiness: "60"
memswap_limit: -1
models: [m]
models: {m: {endpoint_var: A, model_var: B}}
models: [nobody]
network_mode: host
network_mode: "service:b"
network_mode: "service:nobody"
network_mode: "container:x"
networks: [n, default]
networks: []
networks: {}
networks: {n: , default: {}}
networks: {n: {aliases: [x, x], ipv4_address: 1.2.3.4, priority: 3, gw_priority: 2, driver_opts: {a: 1}, mac_address: x}}
networks: {n: {interface_name: eth7, link_local_ips: [169.254.1.1], ipv6_address: "::1"}}
networks: [nobody]
networks: {n: {nothing: 1}}
oom_kill_disable: true
oom_score_adj: 2000
oom_score_adj: "300"
pid: host
pid:
pids_limit: -1
pids_limit: "10"
platform: linux/amd64
ports: [80, "81", "82:83", "84:85/udp", "1.2.3.4:86:87", "1.2.3.4::88", "[::1]:89:90", "::1:91:92"]
ports: ["100-102:200-202", "103-105:203"]
ports: ["80-81:90-92"]
ports: ["80:80:80"]
ports: ["80/foo"]
ports: ["80/TCP"]
ports: ["70000"]
ports: ["0"]
ports: [80.5]
ports: ["80", "80"]
ports: ["${NOTHING:-}:80"]
ports: [{target: 80, published: 90, host_ip: 1.2.3.4, protocol: udp, mode: host, name: x, app_protocol: http}]
ports: [{target: 80, published: "90-91"}]
ports: [{published: 80}]
ports: [{target: "80"}]
ports: [{target: "80-81"}]
ports: [{target: 80, published: 0}]
ports:
ports: {a: b}
post_start: [{command: a b, user: x, privileged: true, working_dir: /w, environment: [A=1, B]}]
post_start: [{user: x}]
pre_stop: [{command: [a]}]
privileged: "on"
privileged: maybe
profiles: []
provider: {type: x, options: {a: b, c: [d, 1], e: true}}
provider: {options: {a: b}}
pull_policy: if_not_present
pull_policy: every_12h
pull_policy: sometimes
pull_refresh_after: 1h
read_only: true
restart: no
restart: "on-failure:3"
restart: [a]
runtime: runc
scale: 2
scale: "2"
scale: 1.0
scale: -1
scale: x
secrets: [s, {source: s, target: /x, mode: 0400}]
secrets: [nobody]
security_opt: [a, b]
security_opt: [a, a]
shm_size: "64 mb"
stdin_open: true
stop_grace_period: 1.5h
stop_grace_period: 0s
stop_grace_period: -1s
stop_grace_period: 1w2d
stop_grace_period: 5
stop_grace_period: soon
stop_signal: FOO
storage_opt: {size: 1g, b: 3}
sysctls: [a=1]
sysctls: {a: 1, b: "2"}
tmpfs: /a
tmpfs: [/a, "/b:size=1m", /a]
tty: "1"
tty: y
ulimits: {nofile: 3, nproc: {soft: 1, hard: "2"}}
ulimits: {nofile: {soft: 1}}
ulimits: {NOFILE: 3}
use_api_socket: true
user: 1000
user: "1000:x"
userns_mode: host
uts: host
uts: "service:b"
volumes: [/a, "named:/b", ".:/c", "~/x:/d:ro", "./y:/e:rw,z", "../z:/f:rshared,Z"]
volumes: ["named:/a:nocopy,ro", "/a:/b:nocopy"]
volumes: ["x:/a", "y:/b:ro", a]
volumes: ["C:\\\\a:/b"]
volumes: ["/a:/b:what"]
volumes: ["/a:/b:ro:rw"]
volumes: ["/a::/b"]
volumes: [""]
volumes: ["/a/:/b/", "/c/../d:/e"]
volumes: ["named:/a", "/x:/a"]
volumes: ["nobody:/a"]
volumes: [{type: bind, source: ./x, target: /x}, {type: bind, source: /y, target: /y, bind: {propagation: rslave, create_host_path: false}}]
volumes: [{type: volume, source: named, target: /x, read_only: "yes", volume: {nocopy: true, subpath: a, labels: [b=c]}}]
volumes: [{type: volume, target: /x}]
volumes: [{type: tmpfs, target: /x, tmpfs: {size: 10m, mode: 0700}}, {type: tmpfs, target: /y, tmpfs: {size: 100, mode: "700"}}]
volumes: [{type: image, source: x, target: /x, image: {subpath: a}}, {type: npipe, source: x, target: /y}, {type: cluster, source: x, target: /z}]
volumes: [{type: bind, source: ./x, target: /x, bind: {recursive: readonly, selinux: z}, consistency: cached}]
volumes: [{type: other, target: /x}]
volumes: [{target: /x}]
volumes: [{type: volume, source: named}]
volumes: [/a]
volumes_from: [b, "b:ro", "container:x"]
volumes_from: [nobody]
working_dir: x
x-anything: {a: [1, 2.5, {b: null}]}
nothing: 1
"""
"""One line each: what a service says beside its image."""

SECTIONS = """
secrets: {s: {environment: ""}}
secrets: {s: {file: ""}}
secrets: {s: {environment: "", file: ""}}
configs: {c: {file: ""}}
configs: {c: {content: ""}}
networks: {m: {ipam: {options: {"": x}}}}
networks: {m: {ipam: {config: [{aux_addresses: {"": 1.1.1.1}}]}}}
networks: {m: }
networks: {m: {driver: bridge, driver_opts: {a: 1}, enable_ipv6: true, enable_ipv4: false, internal: "true", attachable: yes}}
networks: {m: {ipam: {driver: x, config: [{subnet: 10.0.0.0/8, ip_range: 10.1.0.0/16, gateway: 10.0.0.1, aux_addresses: {a: 10.0.0.2}}], options: {a: b}}}}
networks: {m: {ipam: {}}}
networks: {m: {external: true}}
networks: {m: {external: true, name: real}}
networks: {m: {external: {name: real}}}
networks: {m: {external: true, driver: bridge}}
networks: {m: {name: other, labels: [a=b, c]}}
networks: {m: {nothing: 1}}
networks: {"m!": {}}
volumes: {named: {driver: local, driver_opts: {type: none, o: bind, device: ./here}}}
volumes: {named: {driver_opts: {type: nfs, o: "addr=x", device: ":/x"}}}
volumes: {named: {external: true}}
volumes: {named: {external: true, labels: [a]}}
volumes: {named: {external: "yes"}}
volumes: {named: {labels: {a: 1}}}
secrets: {s: {file: ./x}}
secrets: {s: {environment: HOME}}
secrets: {s: {}}
secrets: {s: {file: ./x, environment: HOME}}
secrets: {s: {external: true}}
secrets: {s: {external: true, file: ./x}}
secrets: {s: {file: ./x, driver: d, driver_opts: {a: 1}, template_driver: t, labels: [a]}}
secrets: {s: }
configs: {c: {content: "a $$b"}}
configs: {c: {file: ~/x}}
configs: {c: {environment: HOME}}
configs: {c: {external: true, name: real}}
configs: {c: {file: ./x, content: y}}
configs: {c: {}}
models: {m: {model: x, context_size: 3, runtime_flags: [a]}}
models: {m: {}}
version: "3.8"
version: 3
name: other
name: Not A Name
x-a: {b: c}
nothing: {}
"""
"""One line each: what a document says beside a service that uses all of it."""

_BASE = """
services:
  a: {{image: x, {}}}
  b: {{image: x}}
networks: {{n: }}
volumes: {{named: }}
secrets: {{s: {{file: ./s}}}}
configs: {{c: {{content: c}}}}
models: {{m: {{model: m}}}}
"""
_USER = """
services:
  a: {{image: x, networks: [{}], volumes: ["named:/v"], secrets: [s], configs: [c], models: [m]}}
"""
_DECLARED = {
    "networks": "networks: {m: }",
    "volumes": "volumes: {named: }",
    "secrets": "secrets: {s: {file: ./s}}",
    "configs": "configs: {c: {content: c}}",
    "models": "models: {m: {model: m}}",
}
BESIDE = {
    "one.env": "A=1\nexport B='two $A'\nC=\"$A ${HOME} \\n x\"\nD: colon # said\nE\nF=${A:-x}#y\n",
    "two.env": "G=$A 'x'\n# none\nH=\n",
    "one.labels": "a=1\nb=two\n",
}

FILES: Mapping[str, Mapping[str, str]] = {
    "extends a service of the same file": {
        "compose.yaml": "services: {a: {extends: b, command: x}, b: {extends: {service: c}, image: y}, c: {ports: ['80'], environment: {A: 1}}}"
    },
    "extends a service of another file": {
        "compose.yaml": "services: {a: {extends: {file: sub/other.yaml, service: o}, environment: [B=2]}}",
        "sub/other.yaml": "services: {o: {image: x, build: ., volumes: ['./v:/v'], env_file: o.env, environment: {A: 1, B: 1}, extends: p}, p: {extends: {file: ../third.yaml, service: q}}}",
        "sub/o.env": "FROM_FILE=1\n",
        "third.yaml": "services: {q: {labels: [q], volumes: ['./w:/w']}}",
    },
    "extends what is not there": {"compose.yaml": "services: {a: {image: x, extends: nobody}}"},
    "extends in a circle": {"compose.yaml": "services: {a: {image: x, extends: b}, b: {extends: a}}"},
    "extends a file that is not there": {"compose.yaml": "services: {a: {extends: {file: no.yaml, service: b}}}"},
    "extends, and resets": {
        "compose.yaml": "services: {a: {extends: b, ports: !reset [], command: !override [z]}, b: {image: x, ports: ['80'], command: [y]}}"
    },
    "includes": {
        "compose.yaml": "include: [sub/compose.yaml]\nservices: {a: {image: x, depends_on: [s]}}",
        "sub/compose.yaml": "services: {s: {image: '${TAG:-none}', build: ., volumes: ['./d:/d'], networks: [n], environment: [IN]}}\nnetworks: {n: }",
        "sub/.env": "TAG=y\nIN=1\n",
    },
    "includes, and says more": {
        "compose.yaml": "include: [{path: sub/compose.yaml, project_directory: .}]\nservices: {s: {environment: {B: 2}}}",
        "sub/compose.yaml": "services: {s: {image: y, build: ., environment: {A: 1}}}",
    },
    "includes several, one over the other": {
        "compose.yaml": "include: [{path: [sub/one.yaml, sub/two.yaml], env_file: x.env}]",
        "sub/one.yaml": "services: {s: {image: '$TAG', ports: ['80']}}",
        "sub/two.yaml": "services: {s: {ports: ['81']}}",
        "x.env": "TAG=z\n",
    },
    "includes in a circle": {
        "compose.yaml": "include: [other.yaml]\nservices: {a: {image: x}}",
        "other.yaml": "include: [compose.yaml]\nservices: {b: {image: x}}",
    },
    "includes what is not there": {"compose.yaml": "include: [no.yaml]\nservices: {a: {image: x}}"},
    "a network that only a provider names": {
        "compose.yaml": "services: {a: {image: x, provider: {type: t}, networks: [default]}}",
    },
    "what two files say is said twice": {
        "compose.yaml": "services: {a: {image: x, device_cgroup_rules: ['c 1:3 r'], external_links: [x]}}",
        "compose.override.yaml": "services: {a: {device_cgroup_rules: ['c 1:3 r']}}",
    },
    "what two files say of each is said twice": {
        "compose.yaml": "services: {a: {image: x, external_links: [x], group_add: [a], security_opt: [x], volumes_from: [b]}, b: {image: x}}",
        "compose.override.yaml": "services: {a: {group_add: [a]}}",
    },
    "an override of what is built": {
        "compose.yaml": "services: {a: {build: {context: sub}}, b: {build: {args: {A: 1}}}, c: {extends: {file: sub/c.yaml, service: c}}}",
        "compose.override.yaml": "services: {a: {build: {dockerfile: D}}}",
        "sub/c.yaml": "services: {c: {build: {dockerfile: D}}}",
    },
    "an override": {
        "compose.yaml": "services: {a: {image: x, command: [a], ports: ['80:80'], environment: {A: 1}, volumes: ['/a:/v'], dns: 1.1.1.1, depends_on: [b]}, b: {image: x}}",
        "compose.override.yaml": "services: {a: {command: [b], ports: ['81:80'], environment: [A=2, B], volumes: ['/b:/v'], dns: [2.2.2.2], depends_on: {b: {condition: service_healthy}}}}",
    },
    "an override that resets": {
        "compose.yaml": "services: {a: {image: x, ports: ['80'], environment: {A: 1, B: 2}, networks: [n]}}\nnetworks: {n: }",
        "compose.override.yaml": "services: {a: {ports: !reset [], environment: {A: !reset null}, networks: !override [default]}}",
    },
    "profiles": {
        "compose.yaml": "services: {a: {image: x}, b: {image: x, profiles: [p]}, c: {image: x, profiles: [q], depends_on: [a]}}"
    },
    "needs what is not active": {
        "compose.yaml": "services: {a: {image: x, depends_on: [b]}, b: {image: x, profiles: [p]}}"
    },
    "does not need what is not active": {
        "compose.yaml": "services: {a: {image: x, depends_on: {b: {condition: service_started, required: false}}}, b: {image: x, profiles: [p]}}"
    },
    "fragments": {
        "compose.yaml": "x-e: &e {A: 1, B: 2}\nx-s: &s\n  image: x\n  environment: &f {<<: *e, B: 3}\nservices:\n  a: {<<: *s, command: b}\n  b: {<<: [*s], environment: {<<: [*f, *e], C: 1}}\n"
    },
    "several documents": {
        "compose.yaml": "services: {a: {image: x, ports: ['80']}}\n---\nservices: {a: {ports: ['81']}}\n"
    },
    "variables": {
        "compose.yaml": "services: {a: {image: \"$A${A}${B:-b}${B-b}${E:-e}${E-e}${A:+a}${E:+a}${E+a}$$A${N:-${A:-x}}\", mem_limit: \"${M}\", tty: '${T}', scale: '${S}'}}",
        ".env": "A=a\nE=\nM=1g\nT=true\nS=2\n",
    },
    "a variable that is required": {"compose.yaml": "services: {a: {image: '${NO:?say it}'}}"},
    "a variable that is none": {"compose.yaml": "services: {a: {image: '${A B}'}}"},
    "braces with nothing in them": {"compose.yaml": "services: {a: {image: 'x${}'}}"},
    "an empty file": {"compose.yaml": ""},
    "nothing": {"compose.yaml": "{}"},
    "no services": {"compose.yaml": "volumes: {a: }"},
    "a list": {"compose.yaml": "[a]"},
    "a service that is nothing": {"compose.yaml": "services: {a: }"},
    "limits in two places": {
        "compose.yaml": "services: {a: {image: x, mem_limit: 1g, cpus: 1, deploy: {resources: {limits: {memory: 1024m, cpus: '1'}}}}}"
    },
    "limits that differ": {
        "compose.yaml": "services: {a: {image: x, mem_limit: 1g, deploy: {resources: {limits: {memory: 2g}}}}}"
    },
    "scales that differ": {"compose.yaml": "services: {a: {image: x, scale: 2, deploy: {replicas: 3}}}"},
    "one name for two": {
        "compose.yaml": "services: {a: {image: x, container_name: one}, b: {image: x, container_name: one}}"
    },
    "a name for several": {"compose.yaml": "services: {a: {image: x, container_name: one, scale: 2}}"},
    "a mode and networks": {
        "compose.yaml": "services: {a: {image: x, network_mode: host, networks: [n]}}\nnetworks: {n: }"
    },
    "mounted twice": {"compose.yaml": "services: {a: {image: x, volumes: ['/a:/b'], tmpfs: [/b]}}"},
    "a circle": {"compose.yaml": "services: {a: {image: x, depends_on: [b]}, b: {image: x, links: [a]}}"},
}


ENV_FILES = (
    *(
        "A=1",
        "A = 1",
        "A= 1",
        "A =1",
        "export A=1",
        "export  A=1",
        "exportA=1",
        "export HOME",
        "HOME",
        "A",
        "A=",
        "A=\nB=2",
    ),
    *('A="x" # c', 'A="x"y', "A='x'y", "A=x #c", "A=x#c", "A=#c", "A= # c", 'A="x # y"', "A='x # y'", "# none", "#A=1"),
    *(
        'A="two\nlines"',
        "A='two\nlines'",
        'A="a\\"b"',
        "A='it\\'s'",
        r"A=a\nb",
        r'A="a\nb\tc\\d"',
        r"A='a\nb'",
        r'A="\q\x"',
    ),
    *(
        "A=b\nC=$A",
        "A=b\nC='$A'",
        'A=b\nC="$A"',
        "A=$HOME/${HOME:-x}",
        "A=${NO:-x}",
        "A=${NO:?x}",
        "A=${NO+x}",
        "A=${",
        "A=$",
    ),
    *(
        r"A=\$B",
        r'A="\$B"',
        "A=$$B",
        'A="$$B"',
        'A="${HOME}"',
        "A: yaml",
        "A:yaml",
        "A:",
        "=x",
        "A B=1",
        "A-B=1",
        "A.B=1",
    ),
    *(
        "A[0]=1",
        "1A=1",
        'A="open',
        "A='open",
        "A=1\r\nB=2\r\n",
        "A=  spaced  ",
        "A=`x`",
        "A=é",
        "É=1",
        "A=b=c",
        "  A=1",
        "\tA=1",
    ),
    *("A=1\n\n\nB=2", "A=1\n B=2", "A='x'\nB", "A=1\nA=2", "\ufeffA=1", "A=x\\", 'A="x" y', "A!=1", "A=(x)", "A=a b"),
)
"""What env files say, but for the last line's end."""


def cases(scratch: pathlib.Path) -> Iterator[Case]:
    """Each form as a project, written below the folder."""
    for number, form in enumerate(SERVICE.strip().splitlines()):
        text = _BASE.format(form) if not form.startswith("image:") else _BASE.format("").replace("image: x, ", form, 1)
        yield _written(scratch / f"service-{number}", form, {"compose.yaml": text, **BESIDE})
    for number, form in enumerate(SECTIONS.strip().splitlines()):
        rest = [text for section, text in _DECLARED.items() if not form.startswith(f"{section}:")]
        used = "m" if form.startswith("networks: {m") or not form.startswith("networks") else "default"
        text = "\n".join([_USER.format(used), form, *rest])
        yield _written(scratch / f"section-{number}", form, {"compose.yaml": text, "s": "s", "x": "x"})
    for number, text in enumerate(ENV_FILES):
        for form in ("{path: e}", "{path: e, format: raw}"):
            service = f"services: {{a: {{image: x, env_file: [{form}]}}}}"
            name = f"env file {text!r} {form}"
            yield _written(scratch / f"env-{number}-{len(form)}", name, {"compose.yaml": service, "e": f"{text}\n"})
    for number, (name, files) in enumerate(FILES.items()):
        yield _written(scratch / f"files-{number}", name, files)


def _written(folder: pathlib.Path, name: str, files: Mapping[str, str]) -> Case:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Case(name, folder)
