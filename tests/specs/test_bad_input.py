"""What bad input gets: golden texts, as the user sees them. Nothing has been touched by then."""

from typing import Any

import pytest

from specs import errors, validate

COMPLAINTS = {
    "a cycle": (
        """services:
  a: {image: host, depends_on: [b]}
  b: {image: host, depends_on: [c]}
  c: {image: host, links: [a]}
""",
        [
            "compose.yaml:2:33: services.a.depends_on.b: a cycle: a → b → c → a",
        ],
    ),
    "a service that waits for itself": (
        """services:
  a: {image: host, depends_on: [a]}
""",
        [
            "compose.yaml:2:33: services.a.depends_on.a: a cycle: a → a",
        ],
    ),
    "an unknown network": (
        """services:
  a:
    image: host
    networks: [lab]
""",
        [
            "compose.yaml:4:16: services.a.networks.lab: there is no network lab (declare it below the top's networks)",
        ],
    ),
    "an unknown volume": (
        """services:
  a:
    image: host
    volumes: ['data:/d']
""",
        [
            "compose.yaml:4:15: services.a.volumes[0]: there is no volume data (declare it below the top's volumes)",
        ],
    ),
    "an unknown service": (
        """services:
  a:
    image: host
    depends_on: [b]
    volumes_from: [c:ro]
""",
        [
            "compose.yaml:4:18: services.a.depends_on.b: there is no service b",
            "compose.yaml:5:20: services.a.depends_on.c: there is no service c",
            "compose.yaml:5:20: services.a.volumes_from[0]: there is no service c",
        ],
    ),
    "an address outside its subnet": (
        """services:
  a:
    image: host
    networks:
      lab:
        ipv4_address: 172.33.2.9
networks:
  lab:
    ipam: {config: [{subnet: 172.33.1.0/24}]}
""",
        [
            "compose.yaml:6:9: services.a.networks.lab.ipv4_address: 172.33.2.9 is not in 172.33.1.0/24 (network lab)",
        ],
    ),
    "an address that is the gateway by default": (
        """services:
  a:
    image: host
    networks: {lab: {ipv4_address: 172.33.1.1}}
networks: {lab: {ipam: {config: [{subnet: 172.33.1.0/24}]}}}
""",
        [
            "compose.yaml:4:22: services.a.networks.lab.ipv4_address: 172.33.1.1 is the gateway of 172.33.1.0/24 (network lab)",
        ],
    ),
    "an address that is the given gateway": (
        """services:
  a:
    image: host
    networks: {lab: {ipv4_address: 172.33.1.254}}
networks: {lab: {ipam: {config: [{subnet: 172.33.1.0/24, gateway: 172.33.1.254}]}}}
""",
        [
            "compose.yaml:4:22: services.a.networks.lab.ipv4_address: 172.33.1.254 is the gateway of 172.33.1.0/24 (network lab)",
        ],
    ),
    "the broadcast address": (
        """services:
  a:
    image: host
    networks: {lab: {ipv4_address: 172.33.1.255}}
networks: {lab: {ipam: {config: [{subnet: 172.33.1.0/24}]}}}
""",
        [
            "compose.yaml:4:22: services.a.networks.lab.ipv4_address: 172.33.1.255 is the broadcast address of 172.33.1.0/24 (network lab)",
        ],
    ),
    "an address taken twice": (
        """services:
  a: {image: host, networks: {lab: {ipv4_address: 172.33.1.5}}}
  b: {image: host, networks: {lab: {ipv4_address: 172.33.1.5}}}
networks: {lab: {ipam: {config: [{subnet: 172.33.1.0/24}]}}}
""",
        [
            "compose.yaml:3:37: services.b.networks.lab.ipv4_address: 172.33.1.5 is taken already, by services.a (network lab)",
        ],
    ),
    "an address without a subnet": (
        """services:
  a:
    image: host
    networks: {lab: {ipv4_address: 172.33.1.5}}
networks: {lab: }
""",
        [
            "compose.yaml:4:22: services.a.networks.lab.ipv4_address: 172.33.1.5 needs a subnet that is declared (network lab) (give networks.lab a subnet: ipam: {config: [{subnet: 172.20.0.0/24}]})",
        ],
    ),
    "overlapping subnets": (
        """services:
  a:
    image: host
    networks: [x, y]
networks:
  x: {ipam: {config: [{subnet: 10.1.0.0/16}]}}
  y: {ipam: {config: [{subnet: 10.1.2.0/24}]}}
""",
        [
            "compose.yaml:7:24: networks.y.ipam.config[0].subnet: 10.1.2.0/24 overlaps 10.1.0.0/16 (network x)",
        ],
    ),
    "subnets and gateways that are none": (
        """services:
  a:
    image: host
    networks: [x, y, z]
networks:
  x: {ipam: {config: [{subnet: 10.1.0.1/16}]}}
  y: {ipam: {config: [{subnet: foo}]}}
  z: {ipam: {config: [{subnet: 10.9.0.0/24, gateway: 10.8.0.1, ip_range: 10.8.0.0/28}]}}
""",
        [
            "compose.yaml:6:24: networks.x.ipam.config[0].subnet: '10.1.0.1/16' is not a subnet: its host bits are not 0",
            "compose.yaml:7:24: networks.y.ipam.config[0].subnet: 'foo' is not a subnet: write it like 172.20.0.0/24",
            "compose.yaml:8:45: networks.z.ipam.config[0].gateway: 10.8.0.1 is not in 10.9.0.0/24",
            "compose.yaml:8:64: networks.z.ipam.config[0].ip_range: 10.8.0.0/28 is not in 10.9.0.0/24",
        ],
    ),
    "two services on one host port": (
        """services:
  a: {image: host, ports: ['8080:80']}
  b: {image: host, ports: ['127.0.0.1:8080:80']}
""",
        [
            "compose.yaml:3:28: services.b.ports[0]: host port 8080/tcp is taken already, by ports[0] of services.a",
        ],
    ),
    "more host ports than a range has": (
        """services:
  a: {image: host, ports: ['8000-8001:80']}
  b: {image: host, ports: ['8000:80', '8001:81']}
""",
        [
            "compose.yaml:2:28: services.a.ports[0]: host port 8000-8001/tcp is taken already, by ports[0] of services.b",
        ],
    ),
    "one container name for several": (
        """services:
  a:
    image: host
    container_name: foo
    scale: 2
""",
        [
            "compose.yaml:4:5: services.a.container_name: 'foo' cannot be the name of 2 containers (scale is 2)",
        ],
    ),
    "one address for several": (
        """services:
  a:
    image: host
    scale: 2
    networks: {lab: {ipv4_address: 172.33.1.5}}
networks: {lab: {ipam: {config: [{subnet: 172.33.1.0/24}]}}}
""",
        [
            "compose.yaml:5:22: services.a.networks.lab.ipv4_address: 172.33.1.5 cannot be the address of 2 containers (scale is 2)",
        ],
    ),
    "one host port for several": (
        """services:
  a:
    image: host
    scale: 3
    ports: ['8080:80', '9000-9001:90', '91']
""",
        [
            "compose.yaml:5:13: services.a.ports[0]: host port 8080 cannot be that of 3 containers (give a range of at least 3, or no host port)",
            "compose.yaml:5:24: services.a.ports[1]: host port 9000-9001 cannot be that of 3 containers (give a range of at least 3, or no host port)",
        ],
    ),
    "a mount target given twice": (
        """services:
  a:
    image: host
    tmpfs: /d
    volumes: ['./x:/d/', './y:/e', {type: tmpfs, target: /e/}]
""",
        [
            "compose.yaml:5:15: services.a.volumes[0]: /d is mounted already, by tmpfs[0]",
        ],
    ),
    "network_mode beside networks": (
        """services:
  a:
    image: host
    network_mode: host
    networks: [x]
networks: {x: }
""",
        [
            "compose.yaml:4:5: services.a.network_mode: cannot be given together with networks",
        ],
    ),
    "a healthcheck without a test": (
        """services:
  a:
    image: host
    healthcheck: {test: [FOO, x]}
  b:
    image: host
    healthcheck: {interval: 5s}
  c:
    image: host
    depends_on: {a: {condition: service_healthy}, d: {condition: service_healthy}}
  d: {image: host}
""",
        [
            "compose.yaml:7:5: services.b.healthcheck: a healthcheck needs a test, as no image brings one yet",
        ],
    ),
    "attributes of what is external": (
        """services:
  a:
    image: host
    networks: [x]
    volumes: ['v:/v']
networks: {x: {external: true, internal: true}}
volumes: {v: {external: true, labels: {a: b}}}
""",
        [
            "compose.yaml:6:32: networks.x.internal: internal cannot be given for what is external: who made it has said it",
            "compose.yaml:7:31: volumes.v.labels: labels cannot be given for what is external: who made it has said it",
        ],
    ),
    "a service called like a replica": (
        """services:
  web: {image: host, scale: 2}
  web-2: {image: host}
""",
        [
            "compose.yaml:3:3: services.web-2: 'web-2' is also what a replica of the service web is called",
        ],
    ),
    "a name that is none": (
        """services:
  a b: {image: host}
""",
        [
            "compose.yaml:2:3: services.a b: 'a b' is not a name: letters, digits, '.', '_' and '-' only",
        ],
    ),
    "words that are none": (
        """services:
  -a: {image: host, hostname: 'x y', container_name: x, stop_signal: FOO, restart: maybe, cpuset: x, cpu_shares: 1, working_dir: rel}
""",
        [
            "compose.yaml:2:3: services.-a: '-a' does not begin with a letter, a digit or '_'",
            "compose.yaml:2:21: services.-a.hostname: 'x y' is not a host's name",
            "compose.yaml:2:38: services.-a.container_name: 'x' is not a container's name: two or more letters, digits, '.', '_', '-'",
            "compose.yaml:2:57: services.-a.stop_signal: 'FOO' is not a signal",
            "compose.yaml:2:75: services.-a.restart: 'maybe' is not a policy: no, always, unless-stopped, on-failure or on-failure:N",
            "compose.yaml:2:91: services.-a.cpuset: 'x' is not a list of CPUs such as 0-3,5",
            "compose.yaml:2:102: services.-a.cpu_shares: 1 is not between 2 and 262144",
            "compose.yaml:2:117: services.-a.working_dir: 'rel' is not an absolute path",
        ],
    ),
    "a missing env file": (
        """services:
  a:
    image: host
    env_file:
      - nope.env
""",
        [
            "compose.yaml:5:9: services.a.env_file[0]: the env file /here/nope.env does not exist (or say required: false)",
        ],
    ),
    "what is no yaml": (
        """services:
  a:
    image: host
   b: c
""",
        [
            "compose.yaml:4:4: this is not YAML: did not find expected key",
        ],
    ),
    "tabs": (
        """services:
\ta: b
""",
        [
            "compose.yaml:2:1: this is not YAML: found character that cannot start any token (indent with spaces, not tabs)",
        ],
    ),
    "an alias bomb": (
        """a: &a [x,x,x,x,x,x,x,x,x,x]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: [*e,*e,*e]
""",
        [
            "compose.yaml:5:29: e[7]: the aliases of this file expand to more than 100000 nodes",
        ],
    ),
    "keys that ask for what is not here": (
        """services:
  a:
    image: x
    build: .
    models: [x]
  b: {provider: {type: compose}}
  c: {build: .}
models: {x: {model: y}}
""",
        [
            "compose.yaml:3:5: services.a.image: the image 'x' is not supported yet: images are host and rootfs:/a/directory",
            "compose.yaml:4:5: services.a.build: images are not built yet (say image: rootfs:DIR beside it, a directory with the files that it would have)",
            "compose.yaml:5:5: services.a.models: there is no model runner here to serve them (run one as a service, and say its address under environment)",
            "compose.yaml:6:18: services.b.provider.type: compose is what asks providers, and none itself",
            "compose.yaml:7:7: services.c.build: images are not built yet (say image: rootfs:DIR beside it, a directory with the files that it would have)",
        ],
    ),
    "content that is kept elsewhere": (
        """services: {a: {image: host, secrets: [s, t], configs: [c]}}
configs:
  c: {external: true}
  unused: {external: true}
secrets:
  s: {file: x, template_driver: golang}
  t: {driver: vault, driver_opts: {a: b}}
""",
        [
            "compose.yaml:3:7: configs.c.external: is not supported for a config: nothing here keeps one (give file or content or environment)",
            "compose.yaml:6:16: secrets.s.template_driver: is not supported for a secret: templates are for clusters, and docker compose takes none either (give file or environment)",
            "compose.yaml:7:7: secrets.t.driver: is not supported for a secret: corral has no plugins, and docker compose takes no driver either (give file or environment)",
        ],
    ),
    "rights that are half said": (
        """services:
  a:
    image: host
    network_mode: host
    cap_add: [NET_ADMN, CAP_CHOWN]
    cap_drop: [all, cap_x]
    group_add: ["a:b", 4294967295]
    oom_score_adj: 1001
    ulimits:
      nofiles: 1
      nproc: {soft: 9, hard: 8}
      core: {soft: 1}
      cpu: -2
    sysctls: {net.core.somaxconn: 1, kernel.panic: 9, kernel.hostname: x, x: 1, kernel.sem: "1\\n2", kernel.msgmax: }
""",
        [
            "compose.yaml:12:7: services.a.ulimits.core: hard is missing",
            "compose.yaml:14:101: services.a.sysctls.kernel.msgmax: kernel.msgmax needs a value",
        ],
    ),
    "rights that no container can have": (
        """services:
  a:
    image: host
    network_mode: host
    cap_add: [NET_ADMN, CAP_CHOWN]
    cap_drop: [all, cap_x]
    group_add: ["a:b", 4294967295]
    oom_score_adj: 1001
    ulimits:
      nofiles: 1
      nproc: {soft: 9, hard: 8}
      core: {soft: -1, hard: 8}
      cpu: -2
    sysctls: {net.core.somaxconn: 1, kernel.panic: 9, kernel.hostname: x, x: 1, kernel.sem: "1\\n2"}
""",
        [
            "compose.yaml:5:15: services.a.cap_add[0]: 'NET_ADMN' is not a capability (did you mean NET_ADMIN?)",
            "compose.yaml:6:21: services.a.cap_drop[1]: 'X' is not a capability",
            "compose.yaml:7:17: services.a.group_add[0]: 'a:b' is not a group",
            "compose.yaml:7:24: services.a.group_add[1]: '4294967295' is not a group",
            "compose.yaml:8:5: services.a.oom_score_adj: 1001 is not between -1000 and 1000",
            "compose.yaml:10:7: services.a.ulimits.nofiles: 'nofiles' is not a limit: core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack (did you mean nofile?)",
            "compose.yaml:11:7: services.a.ulimits.nproc: the soft limit 9 is more than the hard limit 8",
            "compose.yaml:12:7: services.a.ulimits.core: the soft limit -1 is more than the hard limit 8",
            "compose.yaml:13:7: services.a.ulimits.cpu: -2 is not a limit: 0 or more, or -1 for none",
            "compose.yaml:14:15: services.a.sysctls.net.core.somaxconn: net.core.somaxconn cannot be set with network_mode host: it is the machine's then",
            "compose.yaml:14:38: services.a.sysctls.kernel.panic: kernel.panic is the machine's, not a container's: only net.…, fs.mqueue.… and kernel.sem, msg*, shm* are (set it on the machine: sysctl -w kernel.panic=9)",
            "compose.yaml:14:55: services.a.sysctls.kernel.hostname: kernel.hostname is not set as a sysctl (write hostname)",
            "compose.yaml:14:75: services.a.sysctls.x: 'x' is not a sysctl such as net.core.somaxconn",
            "compose.yaml:14:81: services.a.sysctls.kernel.sem: the value of kernel.sem is not one line",
        ],
    ),
    "security options that are none": (
        """services:
  a:
    image: host
    security_opt: ["no-new-privileges:yes", secomp=x, seccomp=none.json, label=type:x, apparmor=docker-default, systempaths=x]
""",
        [
            "compose.yaml:4:55: services.a.security_opt[2]: cannot read the seccomp profile /here/none.json: No such file or directory",
        ],
    ),
    "security options that no container can have": (
        """services:
  a:
    image: host
    security_opt: ["no-new-privileges:yes", secomp=x, label=type:x, "apparmor=a\tb", systempaths=x, 'seccomp={"a":1}']
""",
        [
            "compose.yaml:4:20: services.a.security_opt[0]: 'yes' is neither true nor false",
            "compose.yaml:4:45: services.a.security_opt[1]: 'secomp=x' is not a security option: no-new-privileges, seccomp, systempaths, label, apparmor, corral",
            "compose.yaml:4:55: services.a.security_opt[2]: label=type:x is not supported: corral applies no such profile (label=disable is how every container runs)",
            "compose.yaml:4:69: services.a.security_opt[3]: 'a\\tb' is not the name of an AppArmor profile: one that is loaded, or unconfined",
            "compose.yaml:4:85: services.a.security_opt[4]: 'x' is not supported: systempaths=unconfined",
            "compose.yaml:4:100: services.a.security_opt[5]: it has no defaultAction",
        ],
    ),
    "a user namespace that is none": (
        """x-corral: {userns: private}
services:
  a:
    image: host
    userns_mode: keep-id
""",
        [
            "compose.yaml:1:12: x-corral.userns: 'private' is not supported: auto (a user namespace of its own) or host (none)",
            "compose.yaml:5:5: services.a.userns_mode: 'keep-id' is not supported: auto (a user namespace of its own) or host (none)",
        ],
    ),
    "pages that nobody could open": (
        """services:
  a:
    image: host
    x-corral:
      page: 1
      pages: {NameNode: 0, Logs: "80/a b", " ": 80, Not: true, Empty: , List: [80]}
""",
        [
            "compose.yaml:5:7: services.a.x-corral.page: unknown key 'page' (did you mean pages?)",
            """compose.yaml:6:53: services.a.x-corral.pages.Not: must be a whole number or text, true is a boolean (write "true")""",
            "compose.yaml:6:64: services.a.x-corral.pages.Empty: is empty: give it a port",
            "compose.yaml:6:73: services.a.x-corral.pages.List: must be a whole number or text, this is a list",
        ],
    ),
    "pages whose ports are none": (
        """services:
  a:
    image: host
    network_mode: none
    x-corral:
      pages: {NameNode: 0, Logs: "80/a b", " ": 80}
""",
        [
            "compose.yaml:6:7: services.a.x-corral.pages: no page can be opened with network_mode none",
            "compose.yaml:6:15: services.a.x-corral.pages.NameNode: '0' is not a port (1 to 65535), nor PORT/PATH",
            "compose.yaml:6:28: services.a.x-corral.pages.Logs: 'a b' is not the path of a page: spaces, and what is not ASCII, are written as %XX",
            "compose.yaml:6:44: services.a.x-corral.pages. : a page needs a title",
        ],
    ),
    "what needs the machine's root in a user namespace": (
        """x-corral: {userns: auto}
services:
  a:
    image: host
    privileged: true
  b:
    image: host
    network_mode: host
    pid: host
    ipc: host
    uts: host
  c:
    image: host
    user: "70000:80000"
    group_add: [65535, 65536]
    tmpfs: /x:uid=99999
  d:
    image: host
    userns_mode: host
    privileged: true
""",
        [
            "compose.yaml:5:5: services.a.privileged: cannot be given in a user namespace: it is to be the machine's root (userns_mode: host does without a user namespace)",
            *(
                f"compose.yaml:{line}:5: services.b.{key}: cannot be given in a user namespace: the machine's is its root's (userns_mode: host does without a user namespace)"
                for line, key in ((8, "network_mode"), (9, "pid"), (10, "ipc"), (11, "uts"))
            ),
            "compose.yaml:14:5: services.c.user: 70000 is not among the 65536 ids of a user namespace (userns_mode: host does without a user namespace)",
            "compose.yaml:14:5: services.c.user: 80000 is not among the 65536 ids of a user namespace (userns_mode: host does without a user namespace)",
            "compose.yaml:15:24: services.c.group_add[1]: 65536 is not among the 65536 ids of a user namespace (userns_mode: host does without a user namespace)",
            "compose.yaml:16:5: services.c.tmpfs[0]: 99999 is not among the 65536 ids of a user namespace (userns_mode: host does without a user namespace)",
        ],
    ),
    "what undoes the strict profile": (
        """services:
  a:
    image: host
    security_opt: ["corral:strict", seccomp=unconfined, "no-new-privileges:false", systempaths=unconfined]
    cap_add: [SYS_ADMIN]
    devices: [/dev/fuse]
    userns_mode: host
    privileged: true
  b:
    image: host
    security_opt: ["corral:lax"]
""",
        [
            "compose.yaml:4:37: services.a.security_opt[1]: cannot be given with corral:strict: it has a seccomp profile of its own (leave it out, or leave out corral:strict)",
            "compose.yaml:4:57: services.a.security_opt[2]: cannot be given with corral:strict: it gains no privileges (leave it out, or leave out corral:strict)",
            "compose.yaml:4:84: services.a.security_opt[3]: cannot be given with corral:strict: files of the kernel's stay hidden (leave it out, or leave out corral:strict)",
            "compose.yaml:5:5: services.a.cap_add: cannot be given with corral:strict: it has few capabilities, and no others (leave it out, or leave out corral:strict)",
            "compose.yaml:6:5: services.a.devices: cannot be given with corral:strict: it has no device of the machine's (leave it out, or leave out corral:strict)",
            "compose.yaml:7:5: services.a.userns_mode: cannot be given with corral:strict: it has a user namespace (leave it out, or leave out corral:strict)",
            "compose.yaml:8:5: services.a.privileged: cannot be given with corral:strict: it is to be the machine's root (leave it out, or leave out corral:strict)",
            "compose.yaml:11:20: services.b.security_opt[0]: 'lax' is not a profile of corral's: corral:strict",
        ],
    ),
    "devices that are none": (
        """services:
  a:
    image: host
    devices: ["a:b:c:d", {target: /x}, ":/x"]
""",
        [
            "compose.yaml:4:15: services.a.devices[0]: 'a:b:c:d' is not SOURCE, SOURCE:TARGET or SOURCE:TARGET:rwm",
            "compose.yaml:4:26: services.a.devices[1]: source is missing",
            "compose.yaml:4:40: services.a.devices[2]: ':/x' is not SOURCE, SOURCE:TARGET or SOURCE:TARGET:rwm",
        ],
    ),
    "devices that no container can have": (
        """services:
  a:
    image: host
    devices: [dev/a, {source: /dev/b, permissions: x}, vendor.com/gpu=0]
    device_cgroup_rules: ['c 1:3', 'c 1:3 rwx', 'c 1:3 r']
""",
        [
            "compose.yaml:4:15: services.a.devices[0].source: 'dev/a' is not the absolute path of a device",
            "compose.yaml:4:15: services.a.devices[0].target: 'dev/a' is not the absolute path of a device",
            "compose.yaml:4:22: services.a.devices[1].permissions: 'x' is not of r, w and m",
            "compose.yaml:4:56: services.a.devices[2]: 'vendor.com/gpu=0' is a device of CDI, whose descriptions nothing here reads (name its nodes)",
            "compose.yaml:5:27: services.a.device_cgroup_rules[0]: 'c 1:3' is not a rule such as 'c 1:3 rwm': a, c or b, MAJOR:MINOR (or *), and of r, w, m",
            "compose.yaml:5:36: services.a.device_cgroup_rules[1]: 'c 1:3 rwx' is not a rule such as 'c 1:3 rwm': a, c or b, MAJOR:MINOR (or *), and of r, w, m",
        ],
    ),
    "limits that no kernel knows": (
        """services:
  a:
    image: host
    mem_limit: 1m
    mem_reservation: 2m
    mem_swappiness: 101
    cpus: 1
    cpu_period: 999
    cpu_quota: 10
    cpu_rt_runtime: 2ms
    cpu_rt_period: 1000
    blkio_config: {weight: 9, weight_device: [{path: x, weight: 1001}], device_read_bps: [{path: /x, rate: 0}]}
""",
        [
            "compose.yaml:5:5: services.a.mem_reservation: 2097152 is more than mem_limit",
            "compose.yaml:6:5: services.a.mem_swappiness: 101 is not between 0 and 100",
            "compose.yaml:8:5: services.a.cpu_period: cannot be given together with cpus (give one of them)",
            "compose.yaml:8:5: services.a.cpu_period: 999 is not between 1000 and 1000000 microseconds",
            "compose.yaml:9:5: services.a.cpu_quota: cannot be given together with cpus (give one of them)",
            "compose.yaml:9:5: services.a.cpu_quota: 10 is less than 1000 microseconds",
            "compose.yaml:10:5: services.a.cpu_rt_runtime: 2000 is more than a period, 1000 microseconds",
            "compose.yaml:12:20: services.a.blkio_config.weight: 9 is not between 10 and 1000",
            "compose.yaml:12:47: services.a.blkio_config.weight_device[0]: 1001 is not between 10 and 1000",
            "compose.yaml:12:47: services.a.blkio_config.weight_device[0]: 'x' is not the absolute path of a device",
            "compose.yaml:12:91: services.a.blkio_config.device_read_bps[0]: 0 is not more than 0",
        ],
    ),
    "no times": (
        """services:
  a:
    image: host
    cpu_rt_runtime: soon
    cpu_rt_period: -5
""",
        [
            "compose.yaml:4:5: services.a.cpu_rt_runtime: 'soon' is neither a number of microseconds nor a duration such as 400ms",
            "compose.yaml:5:5: services.a.cpu_rt_period: '-5' is neither a number of microseconds nor a duration such as 400ms",
        ],
    ),
    "unknown keys": (
        """servces: {}
services:
  a:
    image: host
    comand: x
    healthcheck: {retrys: 3}
    x-foo: bar
""",
        [
            "compose.yaml:1:1: servces: unknown key 'servces' (did you mean services?)",
            "compose.yaml:5:5: services.a.comand: unknown key 'comand' (did you mean command?)",
            "compose.yaml:6:19: services.a.healthcheck.retrys: unknown key 'retrys' (did you mean retries?)",
        ],
    ),
    "values of the wrong kind": (
        """services:
  a:
    image: host
    user: 1000
    command: [sleep, 10]
    ports: 80
    environment: {A: [b]}
    init: maybe
    scale: x
    hostname: 2024-01-01
""",
        [
            'compose.yaml:4:5: services.a.user: must be text, 1000 is a number (write "1000")',
            'compose.yaml:5:22: services.a.command[1]: must be text, 10 is a number (write "10")',
            "compose.yaml:6:5: services.a.ports: must be a list, 80 is a number",
            "compose.yaml:7:19: services.a.environment.A: must be text, a number or a boolean, this is a list",
            "compose.yaml:8:5: services.a.init: 'maybe' is not a boolean",
            "compose.yaml:9:5: services.a.scale: 'x' is not a whole number",
            'compose.yaml:10:5: services.a.hostname: must be text, 2024-01-01 is a date (write "2024-01-01")',
        ],
    ),
    "empty values": (
        """services:
  a:
  b:
    image: host
    ports:
""",
        [
            "compose.yaml:2:3: services.a: is empty: a service needs an image",
            "compose.yaml:5:5: services.b.ports: is empty: give it a value or remove it",
        ],
    ),
    "no image": (
        """services:
  a: {command: x}
""",
        [
            "compose.yaml:2:3: services.a: a service needs an image",
        ],
    ),
    "an image that is not supported yet": (
        """services:
  a: {image: nginx}
""",
        [
            "compose.yaml:2:7: services.a.image: the image 'nginx' is not supported yet: images are host and rootfs:/a/directory",
        ],
    ),
    "sizes and durations that are none": (
        """services:
  a:
    image: host
    mem_limit: 5x
    stop_grace_period: 10
    cpus: '-1'
    healthcheck: {test: x, interval: 10}
  b:
    image: host
    stop_grace_period: '10'
""",
        [
            "compose.yaml:4:5: services.a.mem_limit: '5x' is not a size such as 512m",
            'compose.yaml:5:5: services.a.stop_grace_period: must be text, 10 is a number (write "10")',
            "compose.yaml:6:5: services.a.cpus: -1.0 is not a number of CPUs",
            'compose.yaml:7:28: services.a.healthcheck.interval: must be text, 10 is a number (write "10")',
            "compose.yaml:10:5: services.b.stop_grace_period: '10' is not a duration such as 1m30s",
        ],
    ),
    "limits given twice": (
        """services:
  a:
    image: host
    scale: 2
    cpus: 1
    mem_limit: 1g
    deploy: {replicas: 3, resources: {limits: {cpus: 2, memory: 2g}}}
""",
        [
            "compose.yaml:4:5: services.a.scale: scale is 2, but deploy.replicas is 3 (give one of them)",
            "compose.yaml:5:5: services.a.cpus: cpus is 1.0, but deploy.resources.limits.cpus is 2.0 (give the limits in one of the two places)",
            "compose.yaml:6:5: services.a.mem_limit: mem_limit is 1073741824, but deploy.resources.limits.memory is 2147483648 (give the limits in one of the two places)",
        ],
    ),
    "ports that are none": (
        """services:
  a:
    image: host
    ports: ['a:80', '80:80:80:80', '8000-8002:80-81', '70000:80', '80/sctp', '[::1]:80:80', '80:', {published: 80}, 0]
""",
        [
            "compose.yaml:4:13: services.a.ports[0]: 'a' is not a host port or range",
            "compose.yaml:4:21: services.a.ports[1]: '80:80' is not an address",
            "compose.yaml:4:36: services.a.ports[2]: the ranges 8000-8002 and 80-81 are not equally long",
            "compose.yaml:4:55: services.a.ports[3]: host port 70000 is not between 1 and 65535",
            "compose.yaml:4:93: services.a.ports[6]: '' is not a container port or range",
            "compose.yaml:4:100: services.a.ports[7]: target is missing",
            "compose.yaml:4:117: services.a.ports[8]: container port 0 is not between 1 and 65535",
        ],
    ),
    "mounts that are none": (
        """services:
  a:
    image: host
    volumes: ['/data', 'a:b', '/a:/b:foo', 'a:/b:rslave', 'a:b:c:d', '/a::/b', {type: bind, target: /x}, {type: image, target: /y}, {source: x, target: /z}]
""",
        [
            "compose.yaml:4:59: services.a.volumes[4]: 'a:b:c:d' has too many colons",
            "compose.yaml:4:70: services.a.volumes[5]: '/a::/b' has an empty part",
            "compose.yaml:4:133: services.a.volumes[8]: type is missing",
        ],
    ),
    "options of mounts and volumes that are none": (
        """services:
  a:
    image: host
    volumes:
      - {type: bind, source: /a, target: /b, bind: {propagation: everywhere}}
      - {type: bind, source: /a, target: /c, bind: {recursive: readonly}}
      - {type: bind, source: /a, target: /d, bind: {recursive: "no", selinux: x}}
      - {type: volume, source: v, target: /e, volume: {subpath: ../x}}
      - {type: cluster, source: v, target: /f}
volumes:
  v: {driver_opts: {type: none, device: ./x}}
  w: {driver_opts: {type: tmpfs, device: tmpfs, o: "size=1m,bind=3"}}
  x: {driver_opts: {type: nfs, device: ":/x"}}
  y: {driver_opts: {type: tmpfs, o: size=1m, size: 1m}}
""",
        [
            "compose.yaml:5:53: services.a.volumes[0].bind.propagation: 'everywhere' is not one of private, rprivate, shared, rshared, slave, rslave",
            "compose.yaml:6:53: services.a.volumes[1].bind.recursive: readonly is for a mount that is read_only: true",
            "compose.yaml:7:53: services.a.volumes[2].bind.recursive: 'no' is not one of enabled, disabled, writable, readonly",
            "compose.yaml:7:70: services.a.volumes[2].bind.selinux: 'x' is not one of z, Z",
            "compose.yaml:8:56: services.a.volumes[3].volume.subpath: '../x' is not a path inside the volume",
            "compose.yaml:9:10: services.a.volumes[4].type: a cluster's volumes are Swarm's: this is one machine",
            "compose.yaml:11:7: volumes.v.driver_opts: type is missing, or `o: bind` for a directory of this machine's",
            "compose.yaml:12:7: volumes.w.driver_opts: a tmpfs has no option 'bind=3'",
            "compose.yaml:13:7: volumes.x.driver_opts: the server's address is missing: o: addr=192.0.2.1",
            "compose.yaml:14:7: volumes.y.driver_opts: device is missing: write device: tmpfs",
            "compose.yaml:14:46: volumes.y.driver_opts.size: the driver local has no option 'size': type, device, o (a size is an option of `o`: size=100m)",
        ],
    ),
    "variables that are missing": (
        """services:
  a:
    image: host
    hostname: ${X:?give it}
    user: ${}
""",
        [
            "compose.yaml:4:5: services.a.hostname: required variable X is missing a value: give it",
            "compose.yaml:5:5: services.a.user: '${}' has a '${' that begins no variable; write $$ for a dollar sign",
        ],
    ),
    "a key given twice": (
        """services:
  a:
    image: host
    image: y
""",
        [
            "compose.yaml:4:5: services.a.image: the key 'image' is given twice, first at compose.yaml:3:5",
        ],
    ),
    "a dependency on an inactive service": (
        """services:
  a: {image: host, depends_on: [b]}
  b: {image: host, profiles: [dev]}
""",
        [
            "compose.yaml:2:33: services.a.depends_on.b: b is not active, it is of profile dev (add --profile dev)",
        ],
    ),
    "memory and swap": (
        """services:
  a:
    image: host
    memswap_limit: 1g
  b: {image: host, mem_limit: 2g, memswap_limit: 1g}
""",
        [
            "compose.yaml:4:5: services.a.memswap_limit: needs a mem_limit, which it includes",
            "compose.yaml:5:35: services.b.memswap_limit: 1073741824 is less than mem_limit, which it includes",
        ],
    ),
    "hosts that are none": (
        """services:
  a:
    image: host
    extra_hosts: [foo, 'a=b']
    dns: [foo]
""",
        [
            "compose.yaml:4:19: services.a.extra_hosts[0]: 'foo' is not NAME=ADDRESS",
        ],
    ),
    "options of a tmpfs": (
        """services:
  a:
    image: host
    tmpfs: ['/x:foo=1', 'y']
""",
        [
            "compose.yaml:4:13: services.a.tmpfs[0]: tmpfs option 'foo=1' is not supported",
            "compose.yaml:4:25: services.a.tmpfs[1]: 'y' is not an absolute path",
        ],
    ),
    "links that are none": (
        """services:
  a:
    image: host
    network_mode: none
    links: ['b:c:d', b]
  b: {image: host}
""",
        [
            "compose.yaml:5:13: services.a.links[0]: 'b:c:d' is not SERVICE or SERVICE:ALIAS",
        ],
    ),
    "a text": (
        """foo
""",
        [
            "compose.yaml:1:1: a compose file is a mapping, this is text",
        ],
    ),
    "a list": (
        """- a
""",
        [
            "compose.yaml:1:1: a compose file is a mapping, this is a list",
        ],
    ),
    "nothing": (
        "",
        [
            "compose.yaml:1:1: the file is empty",
        ],
    ),
    "drivers that there are not": (
        """services:
  a:
    image: host
    networks: [x]
networks: {x: {driver: overlay}}
volumes: {v: {driver: nfs}}
""",
        [
            "compose.yaml:5:16: networks.x.driver: the driver 'overlay' is not supported: its networks span machines, and corral is one machine's (there are bridge, default, host, none)",
            "compose.yaml:6:15: volumes.v.driver: the driver 'nfs' is not supported: corral has no plugins, and local of its own",
        ],
    ),
    "two networks with one name": (
        """services:
  a:
    image: host
    networks: [x, y]
networks: {x: {name: n}, y: {name: n}}
""",
        [
            "compose.yaml:5:26: networks.y: has the name 'n', as networks.x has",
        ],
    ),
    "a mistake behind an anchor": (
        """x-b: &b {user: 5}
services:
  a: {<<: *b, image: host}
  c: {<<: *b, image: host}
""",
        [
            'compose.yaml:1:10: services.a.user: must be text, 5 is a number (write "5")',
            'compose.yaml:1:10: services.c.user: must be text, 5 is a number (write "5")',
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), COMPLAINTS.values(), ids=[name.replace(" ", "-") for name in COMPLAINTS])
def test_what_the_user_is_told(folder: Any, text: str, expected: list[str]) -> None:
    folder.write({"compose.yaml": text})
    assert folder.complaint("", environment={}).splitlines() == expected


def test_everything_is_reported_at_once_but_nothing_that_only_follows(folder: Any) -> None:
    text = "services:\n  a:\n    image: 5\n    foo: 1\n    mem_limit: 5x\n    ports: ['x:80']\n    hostname: ${X:?}\n"
    assert [line.split(": ")[1] for line in folder.complaint(text, environment={}).splitlines()] == [
        "services.a.image",
        "services.a.foo",
        "services.a.mem_limit",
        "services.a.ports[0]",
        "services.a.hostname",
    ]


def test_a_long_ring_is_found_without_recursion(folder: Any) -> None:
    services = "".join(f"  s{i}: {{image: host, depends_on: [s{(i + 1) % 3000}]}}\n" for i in range(3000))
    assert "a cycle: s0 → s1 → s2 →" in folder.complaint("services:\n" + services)


def test_a_wide_ladder_is_not_walked_twice(folder: Any) -> None:
    services = "  s0a: {image: host}\n  s0b: {image: host}\n"
    for level in range(1, 60):
        below = f"depends_on: [s{level - 1}a, s{level - 1}b]"
        services += f"  s{level}a: {{image: host, {below}}}\n  s{level}b: {{image: host, {below}}}\n"
    assert len(folder.project("services:\n" + services).services) == 120


@pytest.mark.parametrize(
    "canonical",
    [
        {"name": "p", "services": {"a": {"image": "host", "user": 5}}},
        {"name": "p", "services": {"a": {"image": "host", "build": "."}}},
        {"name": "p", "services": {"a": {}}},
        {"name": "P", "services": {}},
        {"name": "p", "services": {"..": {"image": "host"}}},
        {
            "name": "p",
            "services": {"a": {"image": "host", "volumes": [{"type": "bind", "source": "x", "target": "/y"}]}},
        },
        {"name": "p", "services": {"a": {"image": "host", "networks": {"x": {}}}}},
        {"name": "p", "services": {"a": {"image": "host", "scale": -1}}},
        {"name": "p", "services": {"a": {"image": "host", "ports": [{"target": 80, "published": "x"}]}}},
        {"name": "p", "services": {"a": {"image": "host", "expose": ["x"]}}},
        {"name": "p", "services": {"a": {"image": "host", "cpus": float("nan")}}},
        {"name": "p", "services": {}, "networks": {"x": {"name": "n", "external": True, "internal": True}}},
        {"name": "p", "services": {}, "networks": {"x": {"name": "../n"}}},
        "text",
    ],
)
def test_the_daemon_trusts_nothing_it_is_sent(canonical: Any) -> None:
    with pytest.raises(errors.SpecErrors):
        validate.project(canonical)


def test_what_was_right_before_lets_nothing_pass_that_only_equals_it() -> None:
    """The last document is remembered: in Python 1 and true are the same, in a document they are not."""
    validate.project({"name": "p", "services": {"a": {"image": "host", "init": True}}})
    with pytest.raises(errors.SpecErrors):
        validate.project({"name": "p", "services": {"a": {"image": "host", "init": 1}}})


def test_paths_that_were_not_written_are_placed_at_their_nearest_parent(folder: Any) -> None:
    loaded = folder.load("services:\n  a:\n    image: host\n")
    assert loaded.locate(("services", "a", "ports", 3)) == ("compose.yaml", 2, 3)
    assert loaded.locate(()) is None


PORTS = "services:\n  a: {{image: host, scale: {scale}, ports: ['{one}']}}\n  b: {{image: host, ports: ['{other}']}}\n"


@pytest.mark.parametrize(
    ("scale", "one", "other", "fits"),
    [
        (1, "8080:80", "8081:80", True),
        (1, "8080:80", "8080:80/udp", True),
        (1, "127.0.0.1:8080:80", "127.0.0.2:8080:80", True),
        (1, "127.0.0.1:8080:80", "8080:80", False),
        (1, "127.0.0.1:8080:80", "0.0.0.0:8080:80", False),
        (1, "8000-8001:80", "8000:80", True),
        (2, "8000-8001:80", "8000:80", False),
        (2, "8000-8002:80", "8001:80", True),
        (2, "8000-8001:80", "8002:80", True),
        (0, "8080:80", "8080:80", True),
        (1, "80", "80", True),
        (1, "8000-8001:80-81", "8001-8002:80-81", False),
    ],
)
def test_host_ports_are_enough_for_all_or_it_is_an_error(
    folder: Any, scale: int, one: str, other: str, fits: bool
) -> None:
    text = PORTS.format(scale=scale, one=one, other=other)
    if fits:
        folder.project(text)
    else:
        assert "is taken already" in folder.complaint(text)


def test_an_external_networks_subnet_is_not_known_here(folder: Any) -> None:
    folder.project(
        "services: {a: {image: host, networks: {x: {ipv4_address: 10.0.0.5}}}}\nnetworks: {x: {external: true}}"
    )


def test_any_image_can_be_looked_at(folder: Any) -> None:
    assert folder.project("services: {a: {image: nginx}}", any_image=True).services["a"].image == "nginx"
