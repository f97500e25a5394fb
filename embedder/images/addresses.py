"""Which hosts and addresses an image may be fetched from."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NAT64 = ipaddress.ip_network("64:ff9b::/96")
NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")


def host_allowed(host: str, port: int | None, allowed: Sequence[str]) -> bool:
    """Whether a host is on the list: `images.shop.example`, or `*.shop.example` for all below that name.

    An entry with a port, `images.shop.example:8443`, stands for that port; one without for 80 and 443.
    """
    name = host.rstrip(".").lower()
    for entry in allowed:
        wanted, _, wanted_port = entry.lower().partition(":")
        wanted = wanted.rstrip(".")
        below = wanted.startswith("*.") and name.endswith(wanted[1:]) and len(name) >= len(wanted)
        fits_port = str(port) == wanted_port if wanted_port else port in (None, 80, 443)
        if fits_port and (below or name == wanted):
            return True
    return False


def address_allowed(address: str, networks: Sequence[Network] = ()) -> bool:
    """Whether an address is one of the public internet, or in one of `networks`.

    Addresses that carry an IPv4 address inside, by mapping, 6to4, Teredo or NAT64, count as that one too.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(any(one in network for network in networks) or is_public(one) for one in with_inner(parsed))


def with_inner(address: Address) -> list[Address]:
    """The address that counts, and whatever IPv4 address it leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    found: list[Address] = [address]
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found += address.teredo
    if address in NAT64 or address in NAT64_LOCAL:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return found


def is_public(address: Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
