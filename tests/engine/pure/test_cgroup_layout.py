"""Which controller is where: read from the files of machines of all sorts."""

from pathlib import Path

import pytest

from engine.cgroups import layout
from engine.errors import EngineError

HEADER = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
ALL = "".join(
    f"{name}\t0\t1\t1\n" for name in ("cpuset", "cpu", "cpuacct", "memory", "devices", "freezer", "hugetlb", "pids")
)


class Machine:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.lines: list[str] = []
        self.cgroups = HEADER + ALL

    def mount(self, name: str, kind: str, options: str, offered: str | None = None) -> str:
        directory = self.root / name
        directory.mkdir(parents=True, exist_ok=True)
        escaped = str(directory).replace(" ", "\\040")
        self.lines.append(f"32 31 0:29 / {escaped} rw,relatime shared:4 - {kind} cgroup rw,{options}")
        if offered is not None:
            (directory / "cgroup.controllers").write_text(offered + "\n")
        return str(directory)

    def detect(self, parent: str = "") -> layout.Layout:
        mountinfo, controllers = self.root / "mountinfo", self.root / "cgroups"
        mountinfo.write_text("22 1 254:0 / / rw - ext4 /dev/vda rw\n" + "\n".join(self.lines) + "\n")
        controllers.write_text(self.cgroups)
        return layout.detect(
            str(self.root / "sys"), parent=parent, mountinfo=str(mountinfo), controllers=str(controllers)
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_all_on_v2(machine: Machine) -> None:
    v2 = machine.mount("sys", "cgroup2", "nsdelegate", "cpuset cpu io memory hugetlb pids")
    found = machine.detect()
    assert (found.v2, found.v1, found.v2_root) == (v2, (), v2)
    assert found.v2_controllers == {"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}
    assert found.has("memory")
    assert not found.has("devices")


def test_all_on_v1_with_an_empty_v2_tree_beside_it(machine: Machine) -> None:
    memory = machine.mount("sys/memory", "cgroup", "memory")
    both = machine.mount("sys/cpu,cpuacct", "cgroup", "cpu,cpuacct")
    systemd = machine.mount("sys/systemd", "cgroup", "xattr,name=systemd")
    v2 = machine.mount("sys/unified", "cgroup2", "nsdelegate", "")
    found = machine.detect()
    assert found.v1 == (("cpu", both), ("memory", memory), ("name=systemd", systemd))
    assert (found.v2, found.v2_controllers) == (v2, frozenset())
    assert not found.has("pids")


def test_the_accounting_of_cpu_time_counts_where_it_is_a_hierarchy_of_its_own(machine: Machine) -> None:
    cpu = machine.mount("sys/cpu", "cgroup", "cpu")
    cpuacct = machine.mount("sys/cpuacct", "cgroup", "cpuacct")
    assert machine.detect().v1 == (("cpu", cpu), ("cpuacct", cpuacct))


def test_each_controller_is_looked_up_by_itself(machine: Machine) -> None:
    pids = machine.mount("sys/pids", "cgroup", "pids")
    machine.mount("sys/unified", "cgroup2", "", "memory cpu")
    found = machine.detect()
    assert found.v1_of("pids") == pids
    assert found.v1_of("memory") == ""
    assert found.has("memory")


def test_a_controller_switched_off_at_boot_is_absent(machine: Machine) -> None:
    machine.cgroups = machine.cgroups.replace("memory\t0\t1\t1", "memory\t0\t1\t0")
    machine.mount("sys/memory", "cgroup", "memory")
    machine.mount("sys/pids", "cgroup", "pids")
    assert not machine.detect().has("memory")


def test_the_mount_at_the_usual_place_wins_and_the_last_mount_on_a_directory_counts(machine: Machine) -> None:
    machine.mount("elsewhere", "cgroup2", "", "memory")
    machine.mount("sys/x", "cgroup", "memory")
    machine.mount("sys/x", "tmpfs", "size=1")
    usual = machine.mount("sys/unified", "cgroup2", "", "pids")
    found = machine.detect()
    assert (found.v2, found.v1) == (usual, ())


def test_a_directory_with_a_blank(machine: Machine) -> None:
    v2 = machine.mount("sys/a b", "cgroup2", "", "pids")
    assert machine.detect().v2 == v2


def test_a_delegated_parent_offers_what_it_was_given(machine: Machine) -> None:
    v2 = Path(machine.mount("sys", "cgroup2", "", "memory pids cpu"))
    (v2 / "system.slice/corral.service").mkdir(parents=True)
    (v2 / "system.slice/corral.service/cgroup.controllers").write_text("memory\n")
    found = machine.detect(parent="system.slice/corral.service")
    assert found.v2_root == str(v2 / "system.slice/corral.service")
    assert found.v2_controllers == {"memory"}


def test_a_machine_without_cgroups_is_told_so(machine: Machine) -> None:
    with pytest.raises(EngineError, match=r"cannot find any cgroup hierarchy in .*mountinfo"):
        machine.detect()
