"""Whatever a shim, a member of a network, iptables or a profile says: an answer or an error of ours, and nothing else."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.dns import packets, tables
from engine.errors import TerminalEngineError
from engine.network import rulesets
from engine.process import frames, wire
from engine.records import shim_records
from engine.rights import seccomp
from tests import fuzzing

IDENTITY = wire.Identity(1, 2, 3, "boot")
PROCESS = wire.Process("c", "r", IDENTITY, 1.0)
MESSAGES = [
    wire.Frame(1, wire.Listing((PROCESS,), (wire.Exit("c", "r", 0, False, False, 1.0, 2.0),), ("key",))),
    wire.Frame(0, wire.Exited(wire.Exit("c", "r", 0, False, True, 1.0, 2.0))),
    wire.Frame(2, wire.Failed("no", terminal=True)),
    wire.Frame(3, wire.Stopped(None)),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_one_leaf_of_a_message(message: wire.Frame) -> None:
    @fuzzing.effort(150)
    @given(fuzzing.mutants(json.loads(frames.encode(message))))
    def leaf(mutant: Any) -> None:
        data = json.dumps(mutant).encode()
        with contextlib.suppress(frames.WireError):
            frames.head(data)
        with contextlib.suppress(frames.WireError):
            frames.fields(data)
        with contextlib.suppress(frames.WireError):
            found = frames.decode(data)
            if isinstance(found, wire.Frame) and hasattr(found.body, "_fields") and shim_records.conforms(found.body):
                frames.encode(found)

    leaf()


@fuzzing.effort(500)
@given(some.binary(max_size=80))
def test_any_bytes_as_a_message(data: bytes) -> None:
    for read in (frames.decode, frames.head, frames.fields, frames.container_of):
        with contextlib.suppress(frames.WireError):
            read(b'{"is":"Frame","number":1,"body":{"is":"' + data)
        with contextlib.suppress(frames.WireError):
            read(data)


TABLE = {
    "network": "lab",
    "gateway": "10.0.0.1",
    "subnet": "10.0.0.0/24",
    "internal": False,
    "members": [
        {
            "address": "10.0.0.2",
            "project": "p",
            "sandbox": "web",
            "fqdn": "web.p",
            "names": ["web"],
            "domains": ["p"],
            "links": {"db": "db"},
            "servers": ["1.1.1.1"],
        }
    ],
}


@fuzzing.effort(400)
@given(fuzzing.mutants(TABLE))
def test_one_leaf_of_a_table_of_names(mutant: Any) -> None:
    try:
        network = tables.Network(json.dumps(mutant))
    except ValueError:
        return
    question = packets.parse(b"\0\1\1\0\0\1\0\0\0\0\0\0\3web\1p\0\0\1\0\1")
    tables.Tables([network]).answer(network, bytes([10, 0, 0, 2]), question)


SAVED = """*filter
:INPUT ACCEPT [0:0]
:CORRAL-1234abcd-FWD - [0:0]
-A INPUT -s 10.0.0.0/8 -m comment --comment "it's \\"mine\\"" -j ACCEPT
-A CORRAL-1234abcd-FWD ! -i eth0 -p tcp -m tcp --dport 80 -j DROP
COMMIT
"""


@fuzzing.effort(500)
@given(some.data())
def test_any_text_of_iptables(data: some.DataObject) -> None:
    lines = data.draw(
        some.lists(some.sampled_from(SAVED.splitlines()) | some.text(":*-A \"!\\'COMITab0 ", max_size=20))
    )
    saved = rulesets.parse("\n".join(lines))
    for table in saved.values():
        for chain in table.rules.values():
            for rule in chain:
                rulesets.canonical(rule)
    rulesets.differences(saved, {"filter": SAVED}, (), "1234abcd")
    rulesets.removal(saved, "1234abcd")


PROFILE: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {
            "names": ["read", "clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
            "includes": {"caps": ["CAP_SYS_ADMIN"], "minKernel": "4.8"},
            "excludes": {"arches": ["s390"]},
        }
    ],
}


@fuzzing.effort(400)
@given(fuzzing.mutants(PROFILE))
def test_one_leaf_of_a_profile(mutant: Any) -> None:
    with contextlib.suppress(TerminalEngineError):
        assert len(seccomp.compile(mutant, frozenset(), "x86_64")) % 8 == 0
