"""What a spec asks for that this machine has not got is told with its place, before the daemon is asked."""

import pathlib

import pytest

from engine.rights import apparmor
from orchestrator.command_line import machine_limits

WEB = {"security_opt": ["no-new-privileges:true", "apparmor=web"]}


def said(**services: object) -> list[str]:
    return [str(each) for each in machine_limits.refusals({"services": services})]


def test_an_apparmor_profile_is_refused_where_there_is_no_apparmor(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apparmor, "ENABLED", str(tmp_path / "none"))
    (found,) = said(a=WEB, b={"security_opt": ["apparmor=unconfined", "label=disable", "apparmor="]})
    assert found.startswith("services.a.security_opt[1]: the AppArmor profile web cannot be applied: AppArmor is not")
    assert "apparmor=unconfined" in found


def test_an_apparmor_profile_is_refused_where_it_is_not_loaded(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "enabled").write_text("Y\n")
    (tmp_path / "profiles").write_text("other (enforce)\n")
    monkeypatch.setattr(apparmor, "ENABLED", str(tmp_path / "enabled"))
    monkeypatch.setattr(apparmor, "PROFILES", str(tmp_path / "profiles"))
    (found,) = said(a={"replicas": {"1": WEB, "2": {}}})
    assert found.startswith("services.a.replicas.1.security_opt[1]: ")
    assert "no profile web is loaded" in found
    (tmp_path / "profiles").write_text("other (enforce)\nweb (enforce)\n")
    assert said(a=WEB) == []
