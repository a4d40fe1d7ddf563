"""What a spec mounts is looked up as the person who runs the command, before the daemon is asked."""

import os
import pathlib

import pytest

from orchestrator.command_line import bind_sources


def document(source: pathlib.Path, *, may_make: bool) -> dict[str, object]:
    volume = {"type": "bind", "source": str(source), "target": "/x", "bind": {"create_host_path": may_make}}
    return {"services": {"web": {"volumes": [{"type": "volume", "source": "data", "target": "/d"}, volume]}}}


def said(source: pathlib.Path, *, make: bool, may_make: bool = True) -> list[str]:
    return [str(each) for each in bind_sources.refusals(document(source, may_make=may_make), make=make)]


def test_a_missing_folder_is_made_by_the_caller_where_the_spec_lets_us(tmp_path: pathlib.Path) -> None:
    missing = tmp_path / "new/deep"
    assert said(missing, make=False) == []
    assert not missing.exists(), "`plan` changes nothing"
    assert said(missing, make=True) == []
    assert missing.is_dir()


def test_a_missing_folder_that_may_not_be_made_is_refused_where_it_stands(tmp_path: pathlib.Path) -> None:
    missing = tmp_path / "none"
    expected = [f"services.web.volumes[1]: cannot mount {missing}: there is no such file or directory"]
    assert said(missing, make=True, may_make=False) == expected
    assert said(missing, make=False, may_make=False) == expected
    assert not missing.exists()


def test_a_file_in_the_way_is_said(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    assert "not a directory" in said(tmp_path / "file/below", make=True)[0]


@pytest.mark.root
def test_what_the_caller_may_not_read_is_refused(tmp_path: pathlib.Path) -> None:
    secret, closed = tmp_path / "secret", tmp_path / "closed"
    secret.write_text("")
    secret.chmod(0o600)
    closed.mkdir(mode=0o700)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        found = said(secret, make=True), said(closed / "inside", make=True), said(tmp_path / "new", make=True)
    finally:
        os.seteuid(0)
    assert [len(each) for each in found] == [1, 1, 1]
    assert "you may not read it" in found[0][0]
    assert "permission denied" in found[1][0]
    assert not (tmp_path / "new").exists()
