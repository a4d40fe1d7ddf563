"""What a machine lacks is found by trying, named with a way out, and nothing is left of the trials."""

import os
import pathlib

import pytest

from engine.network import iptables
from engine.process import syscalls
from orchestrator.command_line import checkup, trials
from orchestrator.command_line.findings import Finding, Verdict
from tests.engine.host_namespace import Host

pytestmark = pytest.mark.root


def found(root: pathlib.Path, subject: str) -> list[Finding]:
    return [each for each in checkup.examine(str(root)) if each.subject == subject]


def test_this_machine_lacks_nothing_and_nothing_is_left(host: Host, tmp_path: pathlib.Path) -> None:
    def state() -> str:
        return host.sh("ip link; ip addr; iptables-nft-save; iptables-legacy-save; cat /proc/self/mounts")

    before = state()
    verdicts = {each.subject: each.verdict for each in checkup.examine(str(tmp_path))}
    assert state() == before
    assert os.listdir(tmp_path) == []
    assert Verdict.MISSING not in verdicts.values()
    assert {"kernel", "cgroups", "bridge", "veth", "iptables", "IPv6", "overlay", "seccomp"} <= verdicts.keys()


def test_a_firewall_that_refuses_our_rules_is_told_in_its_own_words(
    host: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = tmp_path / "iptables-restore"
    refusing.write_text("#!/bin/sh\necho 'No chain/target/match by that name.' >&2\nexit 1\n")
    refusing.chmod(0o755)
    tool = iptables.Iptables(iptables.Flavour.NFT, str(refusing), "/bin/true")
    monkeypatch.setattr(iptables, "find", lambda program="iptables": tool)
    (finding,) = found(tmp_path, "iptables")
    assert finding.verdict is Verdict.MISSING
    assert "No chain/target/match by that name." in finding.words
    assert finding.way_out


def test_rules_of_others_that_stop_our_packets_are_named(host: Host, tmp_path: pathlib.Path) -> None:
    host.sh(
        "nft add table inet fw; nft add chain inet fw through '{ type filter hook forward priority 0; policy drop; }'"
    )
    (finding,) = found(tmp_path, "rules of others")
    assert finding.verdict is Verdict.LIMITED
    assert "inet fw/through" in finding.words


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        (
            "{ type filter hook forward priority 0; }; add rule inet fw way counter drop",
            "has rules that drop or reject",
        ),
        ("{ type filter hook input priority 0; policy drop; }", "containers ask this machine for names"),
    ],
)
def test_a_rule_of_others_is_named_too_and_what_keeps_containers_from_asking_for_names(
    host: Host, tmp_path: pathlib.Path, chain: str, said: str
) -> None:
    host.sh(f"nft 'add table inet fw; add chain inet fw way {chain}'")
    (finding,) = found(tmp_path, "rules of others")
    assert finding.verdict is Verdict.LIMITED
    assert "inet fw/way" in finding.words
    assert said in finding.words
    assert "cb+" in finding.way_out


@pytest.mark.parametrize("name", ["detached-mounts", "overlay-api", "idmap"])
def test_the_trials_of_newer_kernels_notice_what_is_not_there(
    host: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = set(trials.failed(str(tmp_path)))
    monkeypatch.setattr(syscalls, "missing", {name})
    assert set(trials.failed(str(tmp_path))) == before | {name}
    assert os.listdir(tmp_path) == []


def test_a_state_folder_that_cannot_have_layers_is_told(host: Host, tmp_path: pathlib.Path) -> None:
    (finding,) = found(pathlib.Path("/proc"), "overlay")
    assert (finding.verdict, "/proc" in finding.words) == (Verdict.MISSING, True)
