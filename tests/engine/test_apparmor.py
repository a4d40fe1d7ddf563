"""Who is to be confined by an AppArmor profile says so itself before its execve. The kernel's files are stood in for by plain ones;
what a real kernel does with it is seen in the Debian guest."""

import pathlib
import signal

import pytest

from engine import errors
from engine.process import wire
from tests.engine.process_kit import Lab

pytestmark = [pytest.mark.root, pytest.mark.anyio]
PROFILE = "corral-test-none"
IDS = wire.IdRange(1_000_000_000, 65536)


def attributes(lab: Lab) -> pathlib.Path:
    folder = pathlib.Path(lab.make("attributes"))
    for name in ("exec", "current"):
        (folder / name).touch(0o666)
    return folder


def taken(file: pathlib.Path) -> str:
    """What was written, which is then forgotten."""
    text = file.read_text()
    file.write_text("")
    return text


@pytest.mark.parametrize("ids", [None, IDS], ids=["", "user-namespace"])
@pytest.mark.parametrize("tty", [False, True], ids=["", "tty"])
async def test_the_first_process_and_every_command_name_the_profile(
    lab: Lab, ids: wire.IdRange | None, tty: bool
) -> None:
    said = attributes(lab)
    confinement = wire.Confinement(apparmor=wire.AppArmor(PROFILE, str(said)), no_new_privileges=True)
    spec = lab.spec("sleep", "100", confinement=confinement, ids=ids, tty=tty)
    async with lab.sandbox(ids=ids) as sandbox:
        await sandbox.shim.start(spec)
        assert taken(said / "exec") == f"exec {PROFILE}"
        assert await sandbox.exec("true", privileged=not ids) == (0, "")
        assert taken(said / "exec") == f"exec {PROFILE}"
        await sandbox.shim.stop("c1", signal.SIGKILL, 0)
        await sandbox.shim.start(spec._replace(run="2", confinement=wire.Confinement()))
        assert await sandbox.exec("true") == (0, "")
        assert taken(said / "exec") == ""
    assert taken(said / "current") == ""


@pytest.mark.parametrize("lab", [frozenset(), frozenset({"small-init"})], ids=["", "python"], indirect=True)
async def test_an_init_that_stays_python_takes_the_profile_without_an_execve(lab: Lab) -> None:
    said = attributes(lab)
    confinement = wire.Confinement(apparmor=wire.AppArmor(PROFILE, str(said)))
    bind = wire.Bind(str(said), str(said))
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100", confinement=confinement, init=True, mounts=(bind,)))
        assert taken(said / "exec") == f"exec {PROFILE}"
        assert taken(said / "current") == (f"changeprofile {PROFILE}" if lab.zygote.missing else "")


async def test_without_the_profile_nothing_starts(lab: Lab) -> None:
    """This kernel has no AppArmor, or no such profile."""
    confinement = wire.Confinement(apparmor=wire.AppArmor(PROFILE, "/proc/self/attr"))
    async with lab.sandbox() as sandbox:
        with pytest.raises(errors.TerminalEngineError, match=f"cannot apply the AppArmor profile {PROFILE}: "):
            await sandbox.shim.start(lab.spec("touch", "/data/ran", confinement=confinement))
    assert not (lab.directory / "c1/upper/data/ran").exists()
