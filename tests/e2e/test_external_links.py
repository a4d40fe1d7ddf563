"""Names for containers of other projects, in networks that both are in."""

import pytest

from tests.e2e.lab import Lab

SLEEPS = "image: IMAGE, init: true, command: sleep 1000"


def lookup(lab: Lab, service: str, name: str) -> str:
    """The address by which a program in the container would call `name`, or ""."""
    return lab.exec(service, "ping", "-c1", "-W2", name, code=None).partition("(")[2].partition(")")[0]


@pytest.mark.key("services.external_links")
def test_a_container_of_another_project_by_its_name_and_by_an_alias(lab: Lab) -> None:
    with lab.owner.lab("theirs") as theirs:
        theirs.up(f"services: {{db: {{{SLEEPS}}}}}\nnetworks: {{default: {{name: meeting}}}}\n")
        text = f"""
            services:
              a: {{{SLEEPS}, external_links: [theirs-db-1, "theirs-db-1:store"]}}
              b: {{{SLEEPS}}}
            networks: {{default: {{name: meeting, external: true}}}}
            """
        lab.up(text)
        address = theirs.address("db")
        assert lookup(lab, "a", "store") == lookup(lab, "a", "theirs-db-1") == address
        assert lookup(lab, "b", "store") == ""
        pid = lab.pid("a")
        lab.up(text.replace(":store", ":shop"))
        assert (lookup(lab, "a", "shop"), lookup(lab, "a", "store")) == (address, "")
        assert lab.pid("a") == pid
        lab.corral("down", "-t", "0")


def test_a_link_to_a_service_leads_to_all_its_containers(lab: Lab) -> None:
    lab.up(f'services: {{db: {{{SLEEPS}, scale: 2}}, a: {{{SLEEPS}, links: ["db:store"]}}}}\n')
    told = lab.exec("a", "nslookup", "-type=a", "store")
    found = {words[1] for words in map(str.split, told.splitlines()) if words[:1] == ["Address:"]}
    assert {lab.address("db-1"), lab.address("db-2")} <= found
