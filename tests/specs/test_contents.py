"""Configs and secrets: where their content comes from, and where services have it."""

import base64
from typing import Any

import pytest

from specs.model import content
from specs.normal import render

PROJECT = """
services:
  a:
    image: host
    configs: [plain, {source: motd, target: /etc/motd, mode: 0440, uid: '33', gid: "34"}]
    secrets: [key, {source: token, target: other}]
configs:
  plain: {content: "hello $WHO"}
  motd: {file: ./motd, labels: {kept: yes}}
secrets:
  key: {file: key.pem}
  token: {environment: TOKEN, labels: [kept=yes]}
  unused: {file: not-there}
"""


def data(found: Any, section: str, name: str) -> bytes:
    return base64.b64decode(found[section][name]["data"])


@pytest.mark.key("configs.labels", "secrets.labels")
def test_what_is_read_and_from_where(folder: Any) -> None:
    folder.write({"motd": "welcome\n", "compose.yaml": PROJECT})
    (folder.path / "key.pem").write_bytes(b"\x00\xffsecret")
    environment = {"WHO": "you", "TOKEN": "t0ken"}
    loaded = folder.load(environment=environment)
    found = loaded.canonical
    assert data(found, "configs", "plain") == b"hello you"
    assert data(found, "configs", "motd") == b"welcome\n"
    assert data(found, "secrets", "key") == b"\x00\xffsecret"
    assert data(found, "secrets", "token") == b"t0ken"
    assert "unused" not in found["secrets"]
    assert found["configs"]["motd"]["labels"] == found["secrets"]["token"]["labels"] == {"kept": "yes"}
    project = folder.project("", environment=environment)
    service = project.services["a"]
    assert [content.target_of("configs", use) for use in service.configs] == ["/plain", "/etc/motd"]
    assert [content.target_of("secrets", use) for use in service.secrets] == ["/run/secrets/key", "/run/secrets/other"]
    use = service.configs[1]
    assert (use.mode, use.uid, use.gid) == (0o440, "33", "34")
    assert service.secrets[0].mode == 0o444
    shown = render.text(folder.normal(environment=environment).document)
    assert "t0ken" not in shown
    assert "data" not in shown
    assert f"file: {folder.path}/key.pem" in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {a: {image: host, secrets: [x]}}", "services.a.secrets[0]: there is no secret x"),
        (
            "services: {a: {image: host, secrets: [x]}}\nsecrets: {x: {file: no}}",
            "secrets.x.file: cannot read /here/no",
        ),
        (
            "services: {a: {image: host, secrets: [x]}}\nsecrets: {x: {environment: NO}}",
            "secrets.x.environment: NO is not",
        ),
        (
            "services: {a: {image: host, secrets: [x]}}\nsecrets: {x: {external: true}}",
            "secrets.x.external: is not supported for a secret: nothing here keeps one",
        ),
        (
            "services: {a: {image: host, configs: [x]}}\nconfigs: {x: {external: true}}",
            "configs.x.external: is not supported for a config: nothing here keeps one",
        ),
        ("services: {a: {image: host, configs: [x]}}\nconfigs: {x: {}}", "a config needs one of file, content"),
        (
            "services: {a: {image: host, configs: [x]}}\nconfigs: {x: {content: a, file: b}}",
            "a config needs one of file, content, environment; it has file and content",
        ),
        ("services: {a: {image: host}}\nsecrets: {x: {content: a}}", "unknown key 'content'"),
        (
            "services: {a: {image: host, configs: [{source: x, mode: '9'}]}}\nconfigs: {x: {content: a}}",
            "services.a.configs[0].mode: '9' is not a mode such as 0440",
        ),
        (
            "services: {a: {image: host, configs: [{source: x, uid: root}]}}\nconfigs: {x: {content: a}}",
            "services.a.configs[0].uid: 'root' is not a number of a user",
        ),
        (
            "services: {a: {image: host, configs: [x]}}\nconfigs: {x: {content: a, template_driver: golang}}",
            "configs.x.template_driver: is not supported for a config: templates are for clusters",
        ),
        (
            "services: {a: {image: host, secrets: [x]}}\nsecrets: {x: {driver: vault, driver_opts: {a: b}}}",
            "secrets.x.driver: is not supported for a secret: corral has no plugins",
        ),
        (
            "services: {a: {image: host, secrets: [x]}}\nsecrets: {x: {file: a, template_driver: golang}}",
            "secrets.x.template_driver: is not supported for a secret",
        ),
        (
            "services: {a: {image: host, configs: [x], tmpfs: /x}}\nconfigs: {x: {content: a}}",
            "/x is mounted already, by tmpfs[0]",
        ),
    ],
)
@pytest.mark.key(
    "configs.external",
    "configs.template_driver",
    "secrets.external",
    "secrets.driver",
    "secrets.driver_opts",
    "secrets.template_driver",
)
def test_what_bad_input_gets(folder: Any, text: str, said: str) -> None:
    assert said in folder.complaint(text)


def test_what_is_kept_elsewhere_is_no_matter_until_it_is_used(folder: Any) -> None:
    unused = "configs: {c: {external: true}}\nsecrets: {s: {driver: x}, t: {environment: V, driver_opts: {a: b}, external: false}}"
    found = folder.load(f"services: {{a: {{image: host, secrets: [t]}}}}\n{unused}", environment={"V": "v"}).canonical
    assert (set(found["configs"]), set(found["secrets"])) == (set(), {"t"})
    assert set(found["secrets"]["t"]) == {"name", "environment", "data"}


def test_a_content_that_is_too_large_is_refused(folder: Any) -> None:
    (folder.path / "large").write_bytes(bytes(1_000_001))
    text = "services: {a: {image: host, configs: [x]}}\nconfigs: {x: {file: large}}"
    assert "1000000 are the most" in folder.complaint(text)
