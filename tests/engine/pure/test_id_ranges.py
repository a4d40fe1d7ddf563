"""Which user ids somebody on the machine has, as its files and its processes say."""

import pathlib

from engine.rights.id_ranges import IdRanges
from engine.types.parts import IdRange


def machine(top: pathlib.Path) -> IdRanges:
    for name in ("etc", "proc/self/ns", "proc/1/ns", "proc/7/ns", "proc/8/ns", "proc/9/ns"):
        (top / name).mkdir(parents=True)
    (top / "etc/passwd").write_text("root:x:0:0::/:\nbig:x:1879048200:1::/:\nbroken:x\n")
    (top / "etc/group").write_text("root:x:0:\nbig:x:70000:\n")
    (top / "etc/subuid").write_text("ann:100000:65536\nbroken:x:y\nnone:100000:0\n")
    for pid, namespace, text in (
        ("self", "u1", ""),
        ("1", "u1", ""),
        ("7", "u2", "0 1879048192 65536"),
        ("8", "u3", "0 0 4294967295"),
    ):
        (top / f"proc/{pid}/ns/user").symlink_to(namespace)
        for kind in ("uid_map", "gid_map"):
            (top / f"proc/{pid}/{kind}").write_text(f"{text}\n" if text else "")
    return IdRanges(str(top / "etc"), str(top / "proc"))


def test_users_ranges_handed_out_and_living_namespaces_are_found(tmp_path: pathlib.Path) -> None:
    expected = {
        (IdRange(1879048200, 1), "big in /etc/passwd"),
        (IdRange(70000, 1), "big in /etc/group"),
        (IdRange(100000, 65536), "ann in /etc/subuid"),
        (IdRange(1879048192, 65536), "a user namespace of the machine"),
    }
    assert set(machine(tmp_path).elsewhere(())) == expected


def test_our_own_are_not_somebody_elses_and_an_edit_is_seen(tmp_path: pathlib.Path) -> None:
    ranges = machine(tmp_path)
    ours = IdRange(1879048192, 65536)
    assert "a user namespace of the machine" not in {who for _, who in ranges.elsewhere([ours])}
    (tmp_path / "etc/subgid").write_text("bob:200000:65536\n")
    assert (IdRange(200000, 65536), "bob in /etc/subgid") in ranges.elsewhere([ours])
    (tmp_path / "etc/passwd").unlink()
    assert "big in /etc/passwd" not in {who for _, who in ranges.elsewhere([ours])}
