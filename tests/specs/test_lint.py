"""`config --lint`: what is allowed and bites later, with its place and the way out."""

import ipaddress
from typing import Any

import pytest

from specs import history, loader
from specs.normal import document as normal
from specs.telling import lint

ROUTES = (
    lint.Route(ipaddress.ip_network("10.8.0.0/16"), "tun0"),
    lint.Route(ipaddress.ip_network("10.9.0.0/24"), "br-lab", is_bridge=True),
    lint.Route(ipaddress.ip_network("fd00::/16"), "wg0"),
)


def lines(folder: Any, text: str, *, memory_gib: int = 8, **options: Any) -> list[str]:
    folder.write({"compose.yaml": text})
    past = history.History()
    given = loader.LoadOptions(cwd=str(folder.path), environment={"HOME": "/h"}, project_name="p", **options)
    prepared = loader.prepare(given, history=past)
    found = normal.of(prepared)
    machine = lint.Machine(ROUTES, memory_gib << 30, lambda path: path.endswith("there.conf"))
    told = lint.warnings(lint.Subject(found.document, prepared.document, past.written, machine))
    return [str(each).replace(str(folder.path), "/here") for each in told]


A = "services:\n  a: {image: host, "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            A + "depends_on: {b: {condition: service_healthy}}}\n  b: {image: host}\n",
            [
                "compose.yaml:2:37: services.a.depends_on.b.condition: waits until b is healthy, which has no healthcheck: "
                "unless its image brings one, it never is (give b a healthcheck)"
            ],
        ),
        (
            A + "depends_on: [b], links: [c]}\n  b: &it {image: host, healthcheck: {test: x}}\n  c: *it\n",
            [
                "compose.yaml:2:33: services.a.depends_on.b: waits for the start of b only, though that has a healthcheck "
                "(condition: service_healthy)"
            ],
        ),
        (
            A + "healthcheck: {test: CMD curl x}}\n",
            [
                "compose.yaml:2:34: services.a.healthcheck.test: as text it is for a shell, which looks for a program CMD "
                '(write a list: ["CMD", …])'
            ],
        ),
        (
            "services:\n  my_db: {image: host, networks: {default: {aliases: [b_c]}}}\n  a: {image: host, hostname: x_y}\n",
            [
                "compose.yaml:2:3: services.my_db: 'my_db': java.net.URI and browsers take no _ in the name of a host "
                "(call it my-db; corral knows it by that name too, docker compose does not)",
                "compose.yaml:2:55: services.my_db.networks.default.aliases[0]: 'b_c': java.net.URI and browsers take no _ "
                "in the name of a host (b-c)",
                "compose.yaml:3:20: services.a.hostname: 'x_y': java.net.URI and browsers take no _ in the name of a host (x-y)",
            ],
        ),
        (
            A
            + 'networks: [n, m]}\nnetworks:\n  n: {ipam: {config: [{subnet: 10.8.3.0/24}, {subnet: "fd00:1::/64"}]}}\n'
            "  m: {ipam: {config: [{subnet: 10.9.0.0/24}]}}\n",
            [
                "compose.yaml:4:24: networks.n.ipam.config[0].subnet: 10.8.3.0/24 overlaps 10.8.0.0/16, which this machine "
                "reaches by tun0 (take another subnet, or leave it out: corral chooses one that is free)",
                "compose.yaml:4:47: networks.n.ipam.config[1].subnet: fd00:1::/64 overlaps fd00::/16, which this machine "
                "reaches by wg0 (take another subnet, or leave it out: corral chooses one that is free)",
            ],
        ),
        (
            A + 'ports: ["80:81", "127.0.0.1:82:82", "83"]}\n',
            [
                "compose.yaml:2:28: services.a.ports[0]: port 80 is open on every address of this machine, for whoever reaches "
                'it ("127.0.0.1:80:81" is for this machine only)',
                "compose.yaml:2:56: services.a.ports[2]: port 83 is open on every address of this machine, for whoever reaches "
                'it ("127.0.0.1::83" is for this machine only)',
            ],
        ),
        (
            A + "mem_limit: 3g, scale: 2}\n  b: {image: host, deploy: {resources: {limits: {memory: 3g}}}}\n",
            [
                "compose.yaml:2:20: services.a.mem_limit: the limits of all services add up to 9.0 GiB, and this machine has "
                "8.0: whoever comes last is ended by the kernel (x-corral: {memory: guaranteed} refuses that)"
            ],
        ),
        (
            A + "volumes: [v:/v], configs: [c]}\nvolumes: {v: , w: }\nnetworks: {n: , default: }\n"
            "configs: {c: {content: x}, d: {content: x}}\nsecrets: {s: {file: x}}\n",
            [
                "compose.yaml:3:16: volumes.w: no service uses the volume w (take it out, or name it in a service)",
                "compose.yaml:4:12: networks.n: no service uses the network n (take it out, or name it in a service)",
                "compose.yaml:5:28: configs.d: no service uses the config d (take it out, or name it in a service)",
                "compose.yaml:6:11: secrets.s: no service uses the secret s (take it out, or name it in a service)",
            ],
        ),
        (
            A + "volumes: [./no.conf:/a, ./there.conf:/b, ./folder:/c]}\n",
            [
                "compose.yaml:2:30: services.a.volumes[0]: there is no /here/no.conf: a folder of that name will be made and "
                "mounted (make the file, or say create_host_path: false)"
            ],
        ),
        (
            A + "configs: [{source: c, mode: 440}, {source: c, target: /x, mode: 0440}]}\nconfigs: {c: {content: x}}\n",
            [
                "compose.yaml:2:42: services.a.configs[0].mode: 440 is a decimal number, which is the mode 0670 (write 0440)"
            ],
        ),
        (
            "services: {a: {image: nginx}, b: {image: 'r:5000/x:latest'}, c: {image: 'x:1'}, d: {image: 'x@sha256:1'}}",
            [
                "compose.yaml:1:16: services.a.image: 'nginx' is whatever is latest when it is pulled (name a version: "
                "nginx:1.2.3)",
                "compose.yaml:1:35: services.b.image: latest is another image tomorrow (name a version: r:5000/x:1.2.3)",
            ],
        ),
        (
            A + "environment: {MODE: x}, command: [echo, $MODE, $$MODE, $OTHER]}\n",
            [
                "compose.yaml:2:44: services.a.command: $MODE is filled in from where this is run, not from the service's "
                "environment (write $$MODE)"
            ],
        ),
        (
            A + "command: sh -c 'prepare && serve'}\n  b: {image: host, command: sh -c 'prepare && exec serve'}\n",
            [
                "compose.yaml:2:20: services.a.command: the shell passes no signal on: each stop takes its whole grace, 10 s "
                "unless given, and then kills (exec the last program, or say init: true)"
            ],
        ),
        (A + "init: true, command: sh -c 'prepare && serve', ports: ['[::1]:80:80']}\n", []),
    ],
)
def test_what_bites(folder: Any, text: str, expected: list[str]) -> None:
    assert lines(folder, text) == expected


def test_every_rule_bites_somewhere(folder: Any) -> None:
    """A rule that is never broken in the test above is not tested."""
    [mark] = [mark for mark in test_what_bites.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    kept = lint.RULES
    try:
        for rule in kept:
            lint.RULES = (rule,)
            assert any(lines(folder, text) for text, _ in mark.args[1]), rule
    finally:
        lint.RULES = kept


def test_what_only_an_inactive_service_uses_is_used(folder: Any) -> None:
    assert lines(folder, A + "profiles: [p], volumes: [v:/v]}\nvolumes: {v: }\n") == []
