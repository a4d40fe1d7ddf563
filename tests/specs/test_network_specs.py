"""What a file may say of networks and of services in them, and what the user is told of what it may not."""

from typing import Any

import pytest

BRIDGE = "com.docker.network.bridge"
SERVICE = "services: {a: {image: host, networks: {n: {%s}}}}\n"
PLAIN = "services: {a: {image: host, networks: [n]}}\n"

COMPLAINTS = {
    PLAIN
    + "networks: {n: {driver_opts: {com.docker.network.driver.mtu: big}}}": "2:30: networks.n.driver_opts.com.docker.network.driver.mtu: 'big' is not an mtu: 68 to 65535",
    PLAIN
    + f"networks: {{n: {{driver_opts: {{{BRIDGE}.name: a-name-too-long-for-it}}}}}}": "is not an interface's name: it has 1 to 15 characters",
    PLAIN
    + f"networks: {{n: {{driver_opts: {{{BRIDGE}.enable_icc: maybe}}}}}}": "'maybe' is not a boolean: true or false",
    PLAIN
    + f"networks: {{n: {{driver_opts: {{{BRIDGE}.gateway_mode_ipv4: routed}}}}}}": "'routed' is not supported: nothing from outside may come straight to a container",
    PLAIN
    + f"networks: {{n: {{driver_opts: {{{BRIDGE}.inhibit_ipv4: 'true'}}}}}}": "is not supported: the bridge's address is where names are answered",
    PLAIN + f"networks: {{n: {{driver_opts: {{{BRIDGE}.host_binding_ipv4: '::1'}}}}}}": "'::1' is not an IPv4 address",
    PLAIN
    + "networks: {n: {driver_opts: {com.docker.network.container_iface_prefix: a-long-prefix}}}": "cannot begin an interface's name",
    PLAIN
    + "networks: {n: {driver_opts: {some: thing}}}": "2:30: networks.n.driver_opts.some: the bridge driver has no option 'some' (it has com.docker",
    PLAIN
    + "networks: {n: {enable_ipv6: true, driver_opts: {com.docker.network.driver.mtu: 1000}}}": "IPv6 needs an mtu of 1280 at least",
    PLAIN
    + "networks: {n: {driver: macvlan}}": "2:16: networks.n.driver: the driver 'macvlan' is not supported: its members would be machines of your network",
    PLAIN + "networks: {n: {driver: calico}}": "the driver 'calico' is not supported: corral has no plugins",
    PLAIN + "networks: {n: {driver: host, internal: true}}": "networks.n.internal: means nothing to the network host",
    "services: {a: {image: host, networks: [n, m]}}\nnetworks: {n: {driver: host}, m: {}}": "1:40: services.a.networks.n: who has the network host can be in no other",
    PLAIN
    + "networks: {n: {enable_ipv4: false}}": "2:16: networks.n.enable_ipv4: a network needs one of IPv4 and IPv6 (say enable_ipv6: true)",
    PLAIN
    + "networks: {n: {ipam: {config: [{subnet: 'fd12::/64'}]}}}": "a pool of IPv6 in a network without it (say enable_ipv6: true)",
    PLAIN
    + "networks: {n: {enable_ipv6: true, ipam: {config: [{subnet: 'fd12::/64'}, {subnet: 'fd13::/64'}]}}}": "a second subnet of IPv6 is not supported",
    PLAIN
    + "networks: {n: {enable_ipv6: true, ipam: {config: [{subnet: 'fd12::1/64'}]}}}": "'fd12::1/64' is not a subnet: its host bits are not 0",
    PLAIN
    + "networks: {n: {enable_ipv6: true, ipam: {config: [{subnet: 'fe80::/64'}]}}}": "fe80::/64 is link-local, multicast or loopback: no network can have it",
    PLAIN
    + "networks: {n: {enable_ipv6: true, ipam: {config: [{subnet: 'fd12::/64', gateway: 10.0.0.1}]}}}": "networks.n.ipam.config[0].gateway: 10.0.0.1 is not in fd12::/64",
    PLAIN
    + "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24, aux_addresses: {x: 10.0.1.1}}]}}}": "networks.n.ipam.config[0].aux_addresses.x: 10.0.1.1 is not in 10.0.0.0/24",
    SERVICE % "ipv4_address: 10.0.0.9"
    + "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24, aux_addresses: {x: 10.0.0.9}}]}}}": "10.0.0.9 is reserved for x (aux_addresses of network n)",
    SERVICE % "ipv6_address: 'fd12::9'"
    + "networks: {n: {}}": "services.a.networks.n.ipv6_address: fd12::9 needs IPv6, which network n has not (say networks.n.enable_ipv6: true)",
    SERVICE % "ipv6_address: 'fd12::9'"
    + "networks: {n: {enable_ipv6: true}}": "fd12::9 needs a subnet that is declared (network n)",
    SERVICE % "ipv6_address: 'fd13::9'"
    + "networks: {n: {enable_ipv6: true, ipam: {config: [{subnet: 'fd12::/64'}]}}}": "fd13::9 is not in fd12::/64 (network n)",
    SERVICE % "ipv6_address: 'fd12::'"
    + "networks: {n: {enable_ipv6: true, ipam: {config: [{subnet: 'fd12::/64'}]}}}": "fd12:: is the network's address of fd12::/64",
    SERVICE % "ipv6_address: 10.0.0.1" + "networks: {n: {enable_ipv6: true}}": "'10.0.0.1' is not an address of IPv6",
    SERVICE % "mac_address: nonsense"
    + "networks: {n: {}}": "1:44: services.a.networks.n.mac_address: 'nonsense' is not a MAC address such as 02:42:ac:11:00:02",
    SERVICE % "mac_address: '03:42:ac:11:00:02'"
    + "networks: {n: {}}": "is a multicast address: the first byte of an interface's is even",
    "services: {a: {image: host, mac_address: '02:42:ac:11:00:02', scale: 2}}": "02:42:ac:11:00:02 cannot be the address of 2 containers",
    "services: {a: {image: host, mac_address: '02:42:ac:11:00:02', network_mode: none}}": "there is no interface to give it to with network_mode none",
    "services: {a: {image: host, mac_address: '02:42:ac:11:00:02', networks: {n: {mac_address: '02:42:ac:11:00:03'}}}}\nnetworks: {n: {}}": "services.a.mac_address: is not the mac_address of network n, whose it would be (give one of them)",
    "services: {a: {image: host, mac_address: '02:42:ac:11:00:02'}, b: {image: host, mac_address: '02-42-AC-11-00-02'}}": "02:42:ac:11:00:02 is that of services.a already (network default)",
    SERVICE % "interface_name: lo"
    + "networks: {n: {}}": "services.a.networks.n.interface_name: 'lo' is not an interface's name",
    "services: {a: {image: host, networks: {n: {interface_name: x0}, m: {interface_name: x0}}}}\nnetworks: {n: {}, m: {}}": "services.a.networks.m.interface_name: 'x0' is the interface in network n already",
    SERVICE % "link_local_ips: [10.0.0.1]"
    + "networks: {n: {}}": "services.a.networks.n.link_local_ips[0]: 10.0.0.1 is not link-local: 169.254.0.0/16 or fe80::/10",
    SERVICE % "link_local_ips: ['fe80::1']" + "networks: {n: {}}": "fe80::1 needs IPv6, which the network has not",
    SERVICE % "driver_opts: {com.docker.network.endpoint.sysctls: kernel.msgmax=1}"
    + "networks: {n: {}}": "'kernel.msgmax=1' is not a setting of an interface such as net.ipv4.conf.IFNAME.log_martians=1",
    SERVICE % "driver_opts: {x: y}" + "networks: {n: {}}": "an endpoint has no option 'x'",
    "services: {a: {image: host, ports: ['[fe80::1]:80:80']}}": "'fe80::1' is link-local or multicast: nothing can be published there",
    "services: {a: {image: host, ports: ['[::1]:80:80', '[0::1]:80:81']}}": "host port 80/tcp is taken already, by ports[0] of this service",
    "services: {a: {image: host, ports: ['80:80', '[::1]:80:81']}}": "host port 80/tcp is taken already",
    "services: {a: {image: host, ports: ['80:80/icmp']}}": "'icmp' is not a protocol: tcp, udp or sctp",
}


@pytest.mark.parametrize(("text", "expected"), COMPLAINTS.items())
def test_what_the_user_is_told(folder: Any, text: str, expected: str) -> None:
    said = folder.complaint(text)
    assert expected in said
    assert said.startswith("compose.yaml:")
    assert len(said.splitlines()) == 1


def test_networks_are_shown_as_compose_shows_them(folder: Any) -> None:
    """As `docker-compose config` of 2.40.3 says."""
    loaded = folder.load(
        """
        services:
          a:
            image: host
            mac_address: 02-42-AC-11-65-43
            ports: ["[::1]:8080:80", "8090:90/sctp", {target: 5, published: 6, host_ip: "::1"}, "[::1]::81"]
            networks:
              lab:
                priority: 10
                gw_priority: 1
                ipv6_address: 2001:DB8::0:5
                link_local_ips: ["169.254.1.1", "fe80::5"]
                interface_name: lan0
                driver_opts: {com.docker.network.endpoint.sysctls: "net.ipv4.conf.IFNAME.log_martians=1"}
        networks:
          lab:
            enable_ipv6: "true"
            enable_ipv4: true
            attachable: "yes"
            driver: default
            driver_opts: {com.docker.network.driver.mtu: 1400}
            ipam:
              driver: default
              config: [{subnet: 2001:db8::/64, aux_addresses: {h1: 2001:db8::9}, gateway: 2001:DB8::1}]
        """
    ).canonical
    service, network = loaded["services"]["a"], loaded["networks"]["lab"]
    assert service["mac_address"] == "02-42-AC-11-65-43"
    assert service["networks"]["lab"] == {
        "priority": 10,
        "gw_priority": 1,
        "ipv6_address": "2001:DB8::0:5",
        "link_local_ips": ["169.254.1.1", "fe80::5"],
        "interface_name": "lan0",
        "driver_opts": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"},
    }
    assert [
        (port.get("host_ip"), port.get("published"), port["target"], port["protocol"]) for port in service["ports"]
    ] == [
        ("::1", "8080", 80, "tcp"),
        (None, "8090", 90, "sctp"),
        ("::1", "6", 5, "tcp"),
        ("::1", None, 81, "tcp"),
    ]
    assert network == {
        "name": "p_lab",
        "driver": "default",
        "driver_opts": {"com.docker.network.driver.mtu": "1400"},
        "ipam": {
            "driver": "default",
            "config": [{"subnet": "2001:db8::/64", "gateway": "2001:DB8::1", "aux_addresses": {"h1": "2001:db8::9"}}],
        },
        "attachable": True,
        "enable_ipv4": True,
        "enable_ipv6": True,
    }


@pytest.mark.parametrize("declared", ["{driver: host}", "{external: true, name: host}"])
def test_the_network_host_is_a_network_mode(folder: Any, declared: str) -> None:
    project = folder.project(
        f"services: {{a: {{image: host, networks: [n], ports: ['80:80']}}}}\nnetworks: {{n: {declared}}}\n"
    )
    service = project.services["a"]
    assert (service.network_mode, service.networks, service.ports) == ("host", {}, ())
