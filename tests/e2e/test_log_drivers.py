"""Where a container's output goes besides its log: syslog and the journal, with a receiver that the test is."""

import contextlib
import json
import os
import pathlib
import re
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

SAY = "image: IMAGE, command: [sh, -c, 'echo out; echo err >&2; sleep 1000'], init: true"


def in_machine(lab: Lab, path: str) -> str:
    """The path as this process finds it."""
    return f"/proc/{lab.machine.pid}/root{path}"


class Receiver:
    """A socket that takes datagrams, without ever waiting."""

    def __init__(self, made: socket.socket) -> None:
        self.made = made
        self.made.setblocking(False)
        self.got: list[bytes] = []

    def messages(self) -> list[bytes]:
        """All so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.got.append(self.made.recv(65536))
        return self.got


@contextlib.contextmanager
def listening(path: str) -> Iterator[Receiver]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(path)
        try:
            yield Receiver(made)
        finally:
            os.unlink(path)


def syslog(lab: Lab, more: str = "", name: str = "log.sock") -> str:
    return f"logging: {{driver: syslog, options: {{syslog-address: 'unixgram://{lab.folder}/{name}'{more}}}}}"


@pytest.mark.key("services.logging.driver", "services.logging.options.syslog-address", "services.logging.options.tag")
def test_syslog_gets_each_line_and_the_log_keeps_it(lab: Lab) -> None:
    with listening(f"{lab.folder}/log.sock") as receiver:
        lab.up(f"services: {{a: {{{SAY}, {syslog(lab)}}}}}\n")
        eventually(lambda: len(receiver.messages()) == 2)
        stamp = r"[A-Z][a-z]{2} [ 0-3]\d \d\d:\d\d:\d\d"
        uid = lab.ps()["a-1"]["ID"]
        pid = lab.process("corral daemon")
        out, err = sorted(receiver.messages(), key=lambda message: b"err" in message)
        assert re.fullmatch(rf"<30>{stamp} {uid}\[{pid}\]: out", out.decode()), out
        assert re.fullmatch(rf"<27>{stamp} {uid}\[{pid}\]: err", err.decode()), err
        assert sorted(line.split("| ")[1] for line in lab.out("logs").splitlines()) == ["err", "out"]


@pytest.mark.key(
    "services.logging.driver",
    "services.logging.options.labels",
    "services.logging.options.env",
    "services.logging.options.tag",
)
def test_json_file_by_name_is_dockers_lines_of_json(lab: Lab) -> None:
    options = "{labels: 'tier,none', env: STAGE, tag: '{{.Name}}', max-size: 1m}"
    fields = f"labels: {{tier: back}}, environment: {{STAGE: a}}, logging: {{driver: json-file, options: {options}}}"
    lab.up(f"services: {{a: {{{SAY}, {fields}}}, b: {{{SAY}}}}}\n")
    eventually(lambda: len(lab.out("logs").splitlines()) == 4)
    files = [path.read_text().splitlines() for path in lab.owner.root.glob("containers/*/log")]
    (found,) = ([json.loads(line) for line in lines] for lines in files if lines[0].startswith("{"))
    attributes = {"tier": "back", "STAGE": "a", "tag": f"{lab.project}-a-1"}
    assert sorted((line["stream"], line["log"], line["attrs"] == attributes) for line in found) == [
        ("stderr", "err\n", True),
        ("stdout", "out\n", True),
    ]
    assert sorted(lab.out("logs", "--no-log-prefix", "a").splitlines()) == ["err", "out"]
    assert lab.out("logs", "-t", "-n", "1", "a").split()[-1] in ("err", "out")
    assert lab.out("logs", "--since", "1h", "a").count("\n") == 2


@pytest.mark.key("services.logging.options.syslog-facility", "services.logging.options.syslog-format")
def test_syslog_by_udp_in_the_newer_format(lab: Lab) -> None:
    receiver = Receiver(lab.machine.open(socket.SOCK_DGRAM, ("127.0.0.1", 5514)))
    options = (
        "syslog-address: 'udp://127.0.0.1:5514', syslog-format: rfc5424micro, syslog-facility: local3, "
        "tag: 'x-{{.Name}}/{{.ImageName}}'"
    )
    lab.up(f"services: {{a: {{{SAY}, logging: {{driver: syslog, options: {{{options}}}}}}}}}\n")
    eventually(lambda: len(receiver.messages()) == 2)
    out = next(message.decode() for message in receiver.messages() if message.endswith(b"out"))
    tag = f"x-{lab.project}-a-1/{lab.owner.image}"
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
    assert re.fullmatch(rf"<158>1 {when} \S+ {re.escape(tag)} \d+ {re.escape(tag)} - out", out), out


def test_syslog_by_tcp_ends_each_message_with_a_newline_and_connects_again(lab: Lab) -> None:
    text = (
        "services: {a: {image: IMAGE, init: true, command: [sh, -c, 'while :; do echo tick; sleep 0.2; done'], "
        "logging: {driver: syslog, options: {syslog-address: 'tcp://127.0.0.1:5515'}}}}\n"
    )
    server = lab.machine.open(socket.SOCK_STREAM, ("127.0.0.1", 5515))
    server.listen(5)
    server.settimeout(20)
    lab.up(text)
    for _ in range(2):
        connection, _ = server.accept()
        connection.settimeout(20)
        with connection, connection.makefile("rb") as lines:
            assert lines.readline().endswith(b": tick\n")


def test_a_syslog_that_is_stuck_holds_up_no_container_and_gets_what_it_missed(lab: Lab) -> None:
    many = "[sh, -c, 'i=0; while [ $$i -lt 3000 ]; do i=$$((i+1)); echo line $$i; done; touch /tmp/done; sleep 1000']"
    path = f"{lab.folder}/log.sock"
    with listening(path) as receiver:  # which does not read
        lab.up(f"services: {{a: {{image: IMAGE, init: true, command: {many}, {syslog(lab)}}}}}\n")
        eventually(lambda: lab.exec("a", "ls", "/tmp/done", code=None))
        assert len(lab.out("logs", "--no-log-prefix").splitlines()) == 3000
        eventually(lambda: len(receiver.messages()) == 3000)
        numbers = [int(message.split()[-1]) for message in receiver.messages()]
        assert numbers == list(range(1, 3001)), "each once, in order"


def test_what_was_written_while_the_daemon_or_the_receiver_was_gone_is_sent_later(lab: Lab) -> None:
    text = f"services: {{a: {{image: IMAGE, init: true, command: [sh, -c, 'cat /tmp/fifo'], {syslog(lab)}}}}}\n"
    text = text.replace("cat /tmp/fifo", "mkfifo /tmp/fifo; while :; do cat /tmp/fifo; done")
    path = f"{lab.folder}/log.sock"
    with listening(path) as receiver:
        lab.up(text)
        fifo = pathlib.Path(f"/proc/{lab.pid('a')}/root/tmp/fifo")
        eventually(fifo.exists)
        fifo.write_text("one\n")
        eventually(lambda: len(receiver.messages()) == 1)
        lab.kill("corral daemon")
        fifo.write_text("two\n")
        lab.corral("ps")
        eventually(lambda: len(receiver.messages()) == 2)
    fifo.write_text("three\n")
    with listening(path) as later:
        eventually(lambda: len(later.messages()) == 1)
        assert receiver.got[1].endswith(b": two")
        assert later.got[0].endswith(b": three")
        fifo.write_text("last\n")
        eventually(lambda: "last" in lab.out("logs"))
        lab.corral("down", "-t", "0")
        assert later.messages()[-1].endswith(b": last"), "what is removed has been sent"


def test_a_receiver_that_is_not_there_does_not_hold_up_a_down(lab: Lab) -> None:
    lab.up(f"services: {{a: {{{SAY}, {syslog(lab, name='nobody')}}}}}\n")
    lab.corral("down", "-t", "0", timeout=15)
    assert lab.ps() == {}


def test_what_this_machine_has_not_is_refused_before_anything_starts(lab: Lab) -> None:
    for driver, path in (("journald", "/run/systemd/journal/socket"), ("syslog", "/dev/log")):
        if os.path.exists(path):
            pytest.skip(f"this machine has {path}")
        lab.write(f"services: {{a: {{{SAY}, logging: {{driver: {driver}}}}}}}\n")
        said = lab.refusal("up", "-d")
        assert f"no {driver} runs on this machine (there is no {path})" in said
        assert "running" not in lab.states().values()


def fields_of(datagram: bytes) -> dict[str, bytes]:
    """systemd.io/JOURNAL_NATIVE_PROTOCOL"""
    found = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[9 + length :]
        found[name.decode()] = value
        datagram = rest
    return found


@pytest.mark.key("services.logging.options.labels", "services.logging.options.env")
def test_the_journal_gets_each_line_with_its_fields(lab: Lab) -> None:
    if os.path.exists("/run/systemd/journal"):
        pytest.skip("a real journal runs here")
    enter = ("nsenter", "-t", str(lab.machine.pid), "-m", "sh", "-c")
    machine.run(*enter, "mount -t tmpfs run /run && mkdir -p /run/systemd/journal")
    try:
        with listening(in_machine(lab, "/run/systemd/journal/socket")) as receiver:
            lab.up(
                f"""
services:
  a:
    {SAY.replace(", init", chr(10) + "    init").replace(", command", chr(10) + "    command")}
    labels: {{team-name: red, other: x}}
    environment: {{STAGE: "one"}}
    logging: {{driver: journald, options: {{tag: "{{{{.Name}}}}", labels: "team-name,none", env: STAGE}}}}
"""
            )
            eventually(lambda: len(receiver.messages()) == 2)
            found = {fields["MESSAGE"]: fields for fields in map(fields_of, receiver.messages())}
            name, uid = f"{lab.project}-a-1".encode(), lab.ps()["a-1"]["ID"].encode()
            assert {
                key: found[b"out"][key] for key in ("PRIORITY", "CONTAINER_NAME", "CONTAINER_TAG", "CONTAINER_ID")
            } == {
                "PRIORITY": b"6",
                "CONTAINER_NAME": name,
                "CONTAINER_TAG": name,
                "CONTAINER_ID": uid,
            }
            assert found[b"out"]["SYSLOG_IDENTIFIER"] == name
            assert found[b"out"]["CONTAINER_ID_FULL"].startswith(uid)
            assert (found[b"out"]["TEAM_NAME"], found[b"out"]["STAGE"]) == (b"red", b"one")
            assert "OTHER" not in found[b"out"]
            assert found[b"err"]["PRIORITY"] == b"3"
            assert "out" in lab.out("logs")
            lab.corral("down", "-t", "0")
    finally:
        machine.run(*enter, "umount /run")


@pytest.mark.key(
    "services.logging.options.mode",
    "services.logging.options.max-buffer-size",
    "services.logging.options.compress",
    "services.logging.options.cache-max-size",
    "services.logging.options.cache-max-file",
    "services.logging.options.cache-compress",
    "services.logging.options.cache-disabled",
)
def test_options_that_mean_nothing_here_are_noted_and_the_cache_is_the_log(lab: Lab) -> None:
    more = ", mode: non-blocking, max-buffer-size: 1m, cache-max-size: 20k, cache-max-file: 3, cache-disabled: 'false'"
    with listening(f"{lab.folder}/log.sock"):
        said = lab.up(
            f"services: {{a: {{{SAY}, {syslog(lab, more)}}}, "
            f"b: {{{SAY}, logging: {{driver: local, options: {{compress: 'true'}}}}}}}}\n"
        ).stderr
        for key in ("mode", "max-buffer-size", "compress"):
            assert f"logging.options.{key}: means nothing here" in said
        lab.exec(
            "a",
            "sh",
            "-c",
            "i=0; while [ $i -lt 900 ]; do i=$((i+1)); echo $i 0123456789012345678901234567890 > /proc/1/fd/1; done",
        )
        folder = lab.owner.root / "containers"
        uid = next(name for name in os.listdir(folder) if name.startswith(lab.ps()["a-1"]["ID"]))
        eventually(lambda: sorted(p.name for p in (folder / uid).glob("log*")) == ["log", "log.1", "log.2"])
        assert all(path.stat().st_size <= 20_000 for path in (folder / uid).glob("log*"))
