"""What goes through a network: bytes through its bridge and through a published port, questions to its DNS.

Two networks with a server, a client and the name `peer` each. The client asks and sends from inside its container; through the
published port it sends from a machine of its own, a namespace behind a cable. The rivals' networks are there side by side, and the streams go
through one after the other: how fast a stream is differs more from one minute to the next than from rival to rival.
"""

import contextlib
import functools
import json
import pathlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

import rivals

SECONDS = 2
STREAMS = 12
"""Of one and the same road: which core its ends run on, and so its speed, differs from stream to stream by a third."""
BUSY_TRIES, BUSY_S = 20, 0.25
PUBLISHED = 25201
ROOM_ADDRESS, OUTSIDE_ADDRESS = "198.51.100.1", "198.51.100.2"  # RFC 5737
PROJECT = """\
name: bench
services:
  server:
    image: {image}
    command: [iperf3, -s]
    init: true
    networks: {{lab: {{ipv4_address: {lab}.10, aliases: [peer]}}}}
    ports: ["{port}:5201"]
  client:
    image: {image}
    command: [sleep, "1000"]
    init: true
    networks: {{lab: {{ipv4_address: {lab}.11}}}}
  other:
    image: {image}
    command: [sleep, "1000"]
    init: true
    networks: {{side: {{ipv4_address: {side}.10, aliases: [peer]}}}}
  asker:
    image: {image}
    command: [sleep, "1000"]
    init: true
    networks: {{side: {{ipv4_address: {side}.11}}}}
networks:
  lab: {{ipam: {{config: [{{subnet: {lab}.0/24}}]}}}}
  side: {{ipam: {{config: [{{subnet: {side}.0/24}}]}}}}
"""
QUESTION = "peer A"
SERVER = "$(awk '/^nameserver/ {print $2; exit}' /etc/resolv.conf)"
LOAD = f"echo {QUESTION} > /tmp/questions; dnsperf -d /tmp/questions -c 8 -q 40 -l {SECONDS} -s {SERVER}"


class Traffic:
    """Of one rival: its project, in networks that no other one has."""

    def __init__(self, rival: rivals.Rival, folder: pathlib.Path, number: int) -> None:
        self.rival, self.folder = rival, folder / f"{rival.name}-traffic"
        lab, side = f"10.78.{2 * number}", f"10.78.{2 * number + 1}"
        self.views = {"client": f"{lab}.10", "asker": f"{side}.10"}
        self.port = PUBLISHED + number
        self.folder.mkdir()
        text = PROJECT.format(image=rival.image, port=self.port, lab=lab, side=side)
        (self.folder / "compose.yaml").write_text(text)

    def run(self, *words: str) -> str:
        return rivals.run(self.rival, self.folder, *words)

    def bridge(self) -> str:
        return self.run(*_executing("client", *_iperf(self.views["client"], 5201)))

    def through_port(self, namespace: str) -> str:
        argv = ["ip", "netns", "exec", namespace, *_iperf(ROOM_ADDRESS, self.port)]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def measure(all_of_them: Sequence[Traffic]) -> Iterator[tuple[str, str, float]]:
    """(what, whose, value): Gbit/s through the `bridge` and a `port`; `dns` answers a second to two askers at once."""
    with contextlib.ExitStack() as after:
        for each in all_of_them:
            each.run("up", "-d")
            after.callback(each.run, "down")
        namespace = after.enter_context(outside())
        for _ in range(STREAMS):
            for each in all_of_them:
                yield "bridge", each.rival.name, _gigabits(each.bridge)
            for each in all_of_them:
                yield "port", each.rival.name, _gigabits(functools.partial(each.through_port, namespace))
        for each in all_of_them:
            yield "dns", each.rival.name, _answers(each)


def _answers(traffic: Traffic) -> float:
    """Answers a second to both askers together; each must be told its own network's `peer` meanwhile."""
    loads = [_begin(traffic.rival, traffic.folder, "sh", "-c", LOAD, service=service) for service in traffic.views]
    time.sleep(SECONDS / 2)
    for service, address in traffic.views.items():
        said = traffic.run(*_executing(service, "nslookup", "-type=a", "peer"))
        found = [words[1] for words in (line.split() for line in said.splitlines()) if words[:1] == ["Address:"]]
        if found[1:] != [address]:
            raise SystemExit(
                f"{traffic.rival.name}: {service} was told {found[1:]} is peer, which is {address}\n{said}"
            )
    return sum(_rate(each) for each in loads)


def _begin(rival: rivals.Rival, folder: pathlib.Path, *words: str, service: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        rival.command(*_executing(service, *words)),
        cwd=folder,
        env=rival.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def _rate(load: "subprocess.Popen[str]") -> float:
    out, _ = load.communicate(timeout=60)
    words = [line.split() for line in out.splitlines()]
    if lost := sum(int(line[2]) for line in words if line[:2] == ["Queries", "lost:"]):
        print(f"{lost} questions to the DNS were not answered", flush=True)
    if rate := [float(line[3]) for line in words if line[:3] == ["Queries", "per", "second:"]]:
        return rate[0]
    raise SystemExit(f"dnsperf said no rate:\n{out}")


def _executing(service: str, *words: str) -> tuple[str, ...]:
    return ("exec", "-T", service, *words)


def _iperf(address: str, port: int) -> tuple[str, ...]:
    return ("iperf3", "-c", address, "-p", str(port), "-t", str(SECONDS), "--connect-timeout", "3000", "-J")


def _gigabits(stream: Callable[[], str]) -> float:
    """Of one stream. A server that has not yet ended the one before says that it is busy."""
    for _ in range(BUSY_TRIES):
        told = json.loads(stream())
        if "busy" not in (error := told.get("error", "")):
            break
        time.sleep(BUSY_S)
    if error:
        raise SystemExit(f"iperf3 says: {error}")
    return float(told["end"]["sum_received"]["bits_per_second"]) / 1e9


@contextlib.contextmanager
def outside() -> Iterator[str]:
    """A machine with a cable to this one: a network namespace's name."""
    name = "bench-outside"
    lines = (
        f"ip netns add {name}",
        f"ip link add bench-in type veth peer name bench-out netns {name}",
        f"ip address add {ROOM_ADDRESS}/24 dev bench-in",
        "ip link set bench-in up",
        f"ip -n {name} address add {OUTSIDE_ADDRESS}/24 dev bench-out",
        f"ip -n {name} link set bench-out up",
    )
    try:
        for line in lines:
            subprocess.run(line.split(), check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
