"""Whether this machine has AppArmor and the profile that is asked for, told from folders that stand in for /sys and /proc."""

import pathlib

import pytest

from engine import errors
from engine.process import apparmor as process_apparmor
from engine.process import frames, wire
from engine.rights import apparmor, confinement
from engine.types.configs import ContainerConfig
from engine.types.parts import Security

LOADED = "docker-default (enforce)\nweb (complain)\nweb//hat (enforce)\nwith space (enforce)\n"


@pytest.fixture
def machine(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """One that has AppArmor, and these profiles."""
    (tmp_path / "enabled").write_text("Y\n")
    (tmp_path / "profiles").write_text(LOADED)
    for folder in ("new", "old"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "exec").touch()
    monkeypatch.setattr(apparmor, "ENABLED", str(tmp_path / "enabled"))
    monkeypatch.setattr(apparmor, "PROFILES", str(tmp_path / "profiles"))
    monkeypatch.setattr(apparmor, "ATTRIBUTES", (str(tmp_path / "new"), str(tmp_path / "old")))
    return tmp_path


def config(profile: str) -> ContainerConfig:
    return ContainerConfig("p-a-1", "p", "a", 1, "a", "a", "host", security=Security(apparmor=profile))


@pytest.mark.parametrize(
    "profile", ["web", "docker-default", "web//hat", "with space", "web//&docker-default", ":ns:any"]
)
def test_a_profile_that_is_loaded_can_be_applied(machine: pathlib.Path, profile: str) -> None:
    assert apparmor.refusal(profile) == ("", "")


@pytest.mark.parametrize("profile", ["we", "web (complain)", "hat", "web//&other"])
def test_one_that_is_not_loaded_is_refused_with_the_way_out(machine: pathlib.Path, profile: str) -> None:
    why, way_out = apparmor.refusal(profile)
    assert why == f"no profile {profile.removeprefix('web//&')} is loaded"
    assert "apparmor_parser" in way_out


def test_where_none_is_loaded_none_can_be_applied(machine: pathlib.Path) -> None:
    (machine / "profiles").write_text("")
    assert apparmor.refusal("web")[0] == "no profile web is loaded"


def test_where_the_kernel_does_not_tell_what_is_loaded_the_start_finds_out(machine: pathlib.Path) -> None:
    (machine / "profiles").unlink()
    assert apparmor.refusal("any") == ("", "")


@pytest.mark.parametrize("enabled", ["N\n", None])
def test_a_machine_without_apparmor_refuses_every_profile(machine: pathlib.Path, enabled: str | None) -> None:
    (machine / "enabled").unlink()
    if enabled:
        (machine / "enabled").write_text(enabled)
    why, way_out = apparmor.refusal("web")
    assert "switched off" in why
    assert "apparmor=unconfined" in way_out
    with pytest.raises(errors.TerminalEngineError, match="the AppArmor profile web: AppArmor is not there"):
        confinement.check(config("web"))


def test_what_a_child_is_told_and_that_it_arrives(machine: pathlib.Path) -> None:
    confinement.check(config("web"))
    told = confinement.of(config("web"), "")
    assert told.apparmor == wire.AppArmor("web", str(machine / "new"))
    assert frames.decode(frames.encode(told)) == told
    (machine / "new/exec").unlink()
    assert apparmor.of("web") == wire.AppArmor("web", str(machine / "old"))
    assert confinement.of(config(""), "").apparmor is None


def test_the_kernel_is_told_in_its_own_words(machine: pathlib.Path) -> None:
    (machine / "new/current").touch()
    wanted = wire.AppArmor("with space", str(machine / "new"))
    process_apparmor.on_exec(wanted)
    process_apparmor.now(wanted)
    assert (machine / "new/exec").read_bytes() == b"exec with space"
    assert (machine / "new/current").read_bytes() == b"changeprofile with space"
    process_apparmor.on_exec(None)
    with pytest.raises(errors.TerminalEngineError, match="this kernel has no AppArmor"):
        process_apparmor.on_exec(wire.AppArmor("web", str(machine / "none")))
