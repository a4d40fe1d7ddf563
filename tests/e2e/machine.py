"""The machine that a test's corral lives on, read and touched without any code of ours: the judge of all that is claimed.

A `Machine` is a network and a mount namespace of the suite's own, with a neighbour: what a lab does to links, rules and
ports is seen exactly, whatever else runs on the real machine, and a test may flush and forbid what it likes.

    machine   203.0.113.1 and 3fff:c::1 on ext0, the way out; resolv.conf names the neighbour
    lan       203.0.113.2 and 3fff:c::2, another machine in its network

A process in a namespace is a `Place`: `with place.inside()` makes sockets there, in the test's own process.
"""

import contextlib
import os
import pathlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator

from engine.process import syscalls
from tests import slowness

EXTERNAL, LAN = "203.0.113.1", "203.0.113.2"
EXTERNAL6, LAN6 = "3fff:c::1", "3fff:c::2"
REFUSED, SILENCE = "ConnectionRefusedError", "TimeoutError"
NAMESPACES = (("mnt", syscalls.CLONE_NEWNS), ("net", syscalls.CLONE_NEWNET))


def run(*argv: str, check: bool = True, timeout: float = 20, stdin: str | None = None) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=slowness.scaled(timeout), check=False, input=stdin
    )
    assert not check or done.returncode == 0, f"{' '.join(argv)}: {done.stderr}{done.stdout}"
    return done.stdout


class Place:
    """The network namespace that a process is in."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be there while the context lasts: sockets that are made belong there."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(there, syscalls.CLONE_NEWNET)
            try:
                yield
            finally:
                syscalls.setns(own, syscalls.CLONE_NEWNET)
        finally:
            os.close(own)
            os.close(there)

    def sh(self, command: str, *, check: bool = True, timeout: float = 20) -> str:
        """A shell command of this machine's in the network namespace."""
        return run("nsenter", "-t", str(self.pid), "-n", "sh", "-c", command, check=check, timeout=timeout)

    def processes(self, having: str) -> dict[int, str]:
        """Of those here: mapping from pid to command line of the processes whose command line has this text."""
        here = namespace(self.pid, "net")
        return {pid: line for pid, line in processes(having).items() if namespace(pid, "net") == here}

    def open(self, kind: int, address: tuple[str, int] | None = None) -> socket.socket:
        """Closed by `close_sockets`."""
        with self.inside():
            made = socket.socket(family_of(address[0] if address else ""), kind)
        self._sockets.append(made)
        if address:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
        return made

    # ---------------------------------------------------------------------------------------------------- asking

    def tcp(self, address: str, port: int, timeout: float = 3.0) -> str:
        """What a server that says who calls (`serve`, or /cgi-bin/who of the busybox image) says; or how it failed."""
        with self.inside(), socket.socket(family_of(address)) as caller:
            caller.settimeout(slowness.scaled(timeout))
            try:
                caller.connect((address, port))
                caller.sendall(b"GET /cgi-bin/who HTTP/1.0\r\n\r\n")
                said = b""
                while data := caller.recv(4096):
                    said += data
            except OSError as error:
                return type(error).__name__
        text = said.decode().rpartition("\n\n")[2].rpartition("\r\n\r\n")[2].strip()
        return text.removeprefix("[").removeprefix("::ffff:").removesuffix("]")  # how busybox writes addresses

    def udp(self, address: str, port: int, timeout: float = 3.0) -> str:
        """The same by one datagram."""
        with self.inside(), socket.socket(family_of(address), socket.SOCK_DGRAM) as caller:
            caller.settimeout(slowness.scaled(timeout))
            try:
                caller.connect((address, port))
                caller.send(b"?")
                return caller.recv(99).decode()
            except OSError as error:
                return type(error).__name__

    # --------------------------------------------------------------------------------------------------- serving

    def serve(self, port: int, kind: int = socket.SOCK_STREAM, address: str = "0.0.0.0", says: str = "") -> None:
        """A server that says whose address it sees (or `says`), until `close_sockets`."""
        server = self.open(kind, (address, port))
        if kind == socket.SOCK_STREAM:
            server.listen(50)
        self._begin(server, lambda: (_serve_tcp if kind == socket.SOCK_STREAM else _serve_udp)(server, says))

    def answer_udp(self, port: int, answer: Callable[[bytes], bytes | None], address: str = "0.0.0.0") -> None:
        """Answer each datagram with what `answer` makes of it, until `close_sockets`."""
        server = self.open(socket.SOCK_DGRAM, (address, port))

        def once() -> None:
            data, peer = server.recvfrom(4096)
            if (reply := answer(data)) is not None:
                server.sendto(reply, peer)

        self._begin(server, once)

    def _begin(self, server: socket.socket, once: Callable[[], None]) -> None:
        server.settimeout(0.02)

        def loop() -> None:
            while not self._closing.is_set():
                with contextlib.suppress(OSError):
                    once()

        self._threads.append(threading.Thread(target=loop, daemon=True))
        self._threads[-1].start()

    def close_sockets(self) -> None:
        """End all that listens here."""
        self._closing.set()
        while self._threads:
            self._threads.pop().join()
        while self._sockets:
            self._sockets.pop().close()
        self._closing.clear()


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _serve_tcp(server: socket.socket, says: str) -> None:
    connection, peer = server.accept()
    with connection:
        connection.settimeout(2)
        connection.sendall((says or peer[0]).encode())
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


def _serve_udp(server: socket.socket, says: str) -> None:
    _, peer = server.recvfrom(99)
    server.sendto((says or peer[0]).encode(), peer)


def _hold(setup: str, *flags: str) -> "subprocess.Popen[str]":
    """A process in new namespaces that lives until its standard input is closed."""
    holder = subprocess.Popen(
        ["unshare", *flags, "sh", "-ec", f"{setup}; echo ready; exec cat >/dev/null"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    return holder


class Machine(Place):
    """A machine of the suite's own. `close` it."""

    SETUP = (
        "mount -t tmpfs tmpfs /run; echo nameserver 203.0.113.2 > /run/resolv.conf;"
        "mount --bind /run/resolv.conf /etc/resolv.conf;"
        "ip link set lo up; sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0"
    )

    def __init__(self) -> None:
        self._holders = [_hold(self.SETUP, "-n", "-m", "--propagation", "private")]
        super().__init__(self._holders[0].pid)
        self._holders.append(_hold("ip link set lo up", "-n"))
        self.lan = Place(self._holders[1].pid)
        self.sh(
            f"ip link add ext0 type veth peer name l0 netns {self.lan.pid};"
            f"ip addr add {EXTERNAL}/24 dev ext0; ip addr add {EXTERNAL6}/64 dev ext0 nodad; ip link set ext0 up;"
            f"ip route add default via {LAN}; ip -6 route add default via {LAN6}"
        )
        self.lan.sh(
            f"ip addr add {LAN}/24 dev l0; ip addr add {LAN6}/64 dev l0 nodad; ip link set l0 up; ip route del default 2>/dev/null || :"
        )
        # it comes by itself, later
        self.sh("until ip -6 route show table local | grep -q 'local fe80.*ext0'; do :; done")

    def enter(self, folder: str) -> Callable[[], None]:
        """What a child does before it executes: it lives on this machine, in `folder`."""
        descriptors = [(os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY), flag) for kind, flag in NAMESPACES]

        def before_exec() -> None:
            for descriptor, flag in descriptors:
                syscalls.setns(descriptor, flag)
                os.close(descriptor)
            os.chdir(folder)

        self._entered = descriptors
        return before_exec

    def entered(self) -> None:
        """After the child is there."""
        for descriptor, _ in self._entered:
            os.close(descriptor)
        self._entered = []

    def close(self) -> None:
        self.close_sockets()
        self.lan.close_sockets()
        for holder in self._holders:
            for pipe in (holder.stdin, holder.stdout):
                if pipe:
                    pipe.close()
            holder.wait(10)

    def firewall(self) -> list[str]:
        """All rules and chains but what every machine has."""
        return _rules(self.sh(FIREWALL, check=False))

    def snapshot(self) -> dict[str, object]:
        """Links, addresses, routes, rules, settings, mounts: all that a corral could leave in the kernel here."""
        text = self.sh(
            "ip -br link; echo =; ip -br addr; echo =; ip route show table all; ip -6 route show table all; echo =;"
            "ip rule; ip -6 rule; echo =;"
            f"{FIREWALL}; echo =;"
            "sysctl net.ipv4.ip_forward net.ipv4.conf.all.route_localnet net.ipv4.conf.default.route_localnet"
            " net.ipv6.conf.all.forwarding net.ipv6.conf.ext0.forwarding net.ipv6.conf.ext0.accept_ra",
            check=False,
        )
        names = ("links", "addresses", "routes", "rules", "firewall", "sysctls")
        found: dict[str, object] = {
            name: sorted(part.splitlines()) for name, part in zip(names, text.split("=\n"), strict=True)
        }
        found["firewall"] = _rules(text.split("=\n")[names.index("firewall")])
        found["mounts"] = [line.split()[4] for line in read(f"/proc/{self.pid}/mountinfo").splitlines()]
        return found


class RealMachine(Place):
    """This machine itself. Others use it too: only what says whose it is can be judged."""

    def __init__(self) -> None:
        super().__init__(os.getpid())

    def enter(self, folder: str) -> Callable[[], None]:
        return lambda: os.chdir(folder)

    def entered(self) -> None:
        pass

    def firewall(self) -> list[str]:
        return []

    def snapshot(self) -> dict[str, object]:
        return {}


FIREWALL = (
    "iptables-nft-save; iptables-legacy-save | grep CORRAL; ip6tables-nft-save; ip6tables-legacy-save | grep CORRAL"
)


def _rules(text: str) -> list[str]:
    lines = (line for line in text.splitlines() if line and not line.startswith(("#", "COMMIT", "*")))
    return sorted(line.partition(" [")[0] for line in lines if not _is_default(line))


def _is_default(line: str) -> bool:
    return line.startswith(":") and " ACCEPT" in line


# ------------------------------------------------------------------------------------------------------- the kernel


def read(path: str | os.PathLike[str]) -> str:
    return pathlib.Path(path).read_text(errors="replace")


def command_line(pid: int) -> str:
    """ "" for a process that is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def processes(having: str) -> dict[int, str]:
    """Mapping from pid to command line of the processes whose command line has this text."""
    lines = {pid: command_line(pid) for pid in pids() if pid != os.getpid()}
    return {pid: line for pid, line in lines.items() if having in line}


def parent_of(pid: int) -> int:
    """0 for a process that is gone."""
    try:
        return int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_alive(pid: int) -> bool:
    """Neither gone nor a zombie."""
    try:
        return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def cgroups_of(instance: str) -> list[str]:
    """Every cgroup folder of one corral."""
    found = []
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        if f"corral/{instance}" in folder:
            found.append(folder)
        elif folder.endswith("/corral"):
            names[:] = [name for name in names if name == instance]
    return sorted(found)


def cgroup_of(pid: int, controller: str) -> pathlib.Path:
    """The folder in which the kernel limits this process: of its own hierarchy, or the unified one."""
    unified = None
    for line in read(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return pathlib.Path("/sys/fs/cgroup", controllers) / path.lstrip("/")
        if not controllers:
            unified = path.lstrip("/")
    top = pathlib.Path("/sys/fs/cgroup")
    assert unified is not None
    return (top / "unified" if (top / "unified").is_dir() else top) / unified


def in_cgroups(instance: str) -> dict[int, str]:
    """Every process in a cgroup of one corral."""
    found = {}
    for pid in pids():
        with contextlib.suppress(OSError):
            if f"corral/{instance}" in read(f"/proc/{pid}/cgroup"):
                found[pid] = command_line(pid)
    return found


def namespace(pid: int, kind: str) -> str:
    """ "" for a process that is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except FileNotFoundError:
        return ""


def status(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    pairs = (line.partition(":") for line in read(f"/proc/{pid}/status").splitlines())
    return {name: value.strip() for name, _, value in pairs}


def start_time(pid: int) -> str:
    """With the pid it tells one process from another."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19]
