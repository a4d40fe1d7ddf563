"""What we ask nf_tables itself, in raw netlink: its generation, its chains and rules, and to remove empty tables.

Whatever changes nf_tables raises its generation, iptables in its nft flavour included. Reading it costs 4 µs. The legacy flavour
has nothing like it.
"""

import errno
import socket
import struct

from engine.network import netlink

NETLINK_NETFILTER = 12  # linux/netlink.h
NFNL_SUBSYS_NFTABLES, NFNLGRP_NFTABLES = 10, 7  # linux/netfilter/nfnetlink.h
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 16, 17
# linux/netfilter/nf_tables.h
NFT_MSG_DELTABLE, NFT_MSG_GETCHAIN, NFT_MSG_DELCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETGEN = 2, 4, 5, 7, 16
NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_GEN_ID = 1, 1, 3, 5, 1
NFTA_CHAIN_HOOK, NFTA_HOOK_HOOKNUM, NFTA_RULE_TABLE = 4, 1, 1
NF_ACCEPT = 1  # linux/netfilter.h
NLM_F_NONREC = 0x100  # linux/netlink.h: not what is in it
NFPROTO_IPV4, NFPROTO_IPV6 = 2, 10
FAMILIES = {1: "inet", 2: "ip", 10: "ip6"}  # linux/netfilter.h, the families that see our packets

HEADER = struct.Struct(">BBH")  # struct nfgenmsg


def generation() -> int:
    """The number of the ruleset that is in force; 0 where this kernel has no nf_tables."""
    try:
        with _socket() as connection:
            connection.send(_message(NFT_MSG_GETGEN, 0, b""))
            for kind, _, body in netlink.answers(connection.recv(netlink.BUFFER_BYTES)):
                if kind == NFNL_SUBSYS_NFTABLES << 8 | 15:  # NFT_MSG_NEWGEN
                    return int.from_bytes(dict(netlink.attributes(body, HEADER.size))[NFTA_GEN_ID], "big")
    except OSError:
        pass
    return 0


def delete_empty(tables: list[str], *, ipv6: bool = False) -> None:
    """Remove each of these tables of one family if nothing is in it but built-in chains without rules that accept. A table that
    has anything in it stays, whatever anybody does at the same moment: the kernel refuses."""
    for table in tables:
        family = NFPROTO_IPV6 if ipv6 else NFPROTO_IPV4
        chains = _chains(table, family)
        if not chains or any(policy != NF_ACCEPT for policy in chains.values()):
            continue
        bodies = [
            (NFT_MSG_DELCHAIN, _name(NFTA_CHAIN_TABLE, table) + _name(NFTA_CHAIN_NAME, chain)) for chain in chains
        ]
        _batch([*bodies, (NFT_MSG_DELTABLE, _name(NFTA_TABLE_NAME, table))], family)


def has_table(name: str) -> bool:
    """A table of this name sees our packets and has a chain."""
    return any(
        body[0] in FAMILIES and text(dict(netlink.attributes(body, HEADER.size))[NFTA_CHAIN_TABLE]) == name
        for body in all_chains()
    )


def all_chains() -> list[bytes]:
    """Of every table of every family; none where this kernel has no nf_tables."""
    return _dump(NFT_MSG_GETCHAIN, b"", socket.AF_UNSPEC)


def rules(family: int, table: str) -> list[bytes]:
    """Of all chains of this table, in order."""
    return _dump(NFT_MSG_GETRULE, _name(NFTA_RULE_TABLE, table), family)


def text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def _dump(kind: int, body: bytes, family: int) -> list[bytes]:
    with _socket() as connection:
        connection.send(_message(kind, netlink.NLM_F_DUMP, body, family=family))
        try:
            return netlink.collect(connection)[0]
        except OSError:
            return []


def _chains(table: str, family: int) -> dict[str, int | None]:
    """The table's chains, each with its policy (None: no built-in one)."""
    found: dict[str, int | None] = {}
    for body in all_chains():
        fields = dict(netlink.attributes(body, HEADER.size))
        if body[0] == family and text(fields[NFTA_CHAIN_TABLE]) == table:
            policy = fields.get(NFTA_CHAIN_POLICY)
            found[text(fields[NFTA_CHAIN_NAME])] = int.from_bytes(policy, "big") if policy else None
    return found


def _batch(changes: list[tuple[int, bytes]], family: int) -> None:
    """All or nothing. What is refused because it is in use, or gone, is left as it is."""
    edge = HEADER.pack(socket.AF_UNSPEC, 0, NFNL_SUBSYS_NFTABLES)
    parts = [netlink.HEADER.pack(20, NFNL_MSG_BATCH_BEGIN, netlink.NLM_F_REQUEST, 0, 0) + edge]
    parts += [_message(kind, netlink.NLM_F_ACK | NLM_F_NONREC, body, family=family) for kind, body in changes]
    parts.append(netlink.HEADER.pack(20, NFNL_MSG_BATCH_END, netlink.NLM_F_REQUEST, 0, 0) + edge)
    with _socket() as connection:
        connection.send(b"".join(parts))
        try:
            netlink.await_acknowledgments(connection, len(changes))
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOENT):
                raise


def _message(kind: int, flags: int, body: bytes, *, family: int = NFPROTO_IPV4) -> bytes:
    content = HEADER.pack(family, 0, 0) + body
    number = NFNL_SUBSYS_NFTABLES << 8 | kind
    return netlink.HEADER.pack(16 + len(content), number, netlink.NLM_F_REQUEST | flags, 0, 0) + content


def _name(number: int, name: str) -> bytes:
    return netlink.attribute(number, name.encode() + b"\0")


def _socket() -> socket.socket:
    return netlink.open_socket(NETLINK_NETFILTER)
