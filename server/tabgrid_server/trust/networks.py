"""What an address belongs to: a home, the site around it, and the network around that. Pure.

IPv6 addresses are handed out by whole networks, so to count them one by one is to count nothing:
whoever has a /48 has 65,536 homes.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple


class Around(NamedTuple):
    """The wider networks of a home; "" where there is none."""

    #: What a provider gives one customer: an IPv6 /56.
    site: str = ""
    #: What one owner announces: an IPv6 /48, an IPv4 /24.
    network: str = ""


def household(address: str) -> str:
    """What stands for one household: an IPv4 address, the /64 of an IPv6 one.

    Whatever is no address stands for itself.
    """
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if isinstance(known, IPv4Address):
        return address
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ip_network((known, 64), strict=False))


def around(home: str) -> Around:
    """What lies around a ``household``."""
    try:
        known = ip_network(home)
    except ValueError:
        return Around()
    if isinstance(known, IPv6Network):
        return Around(*(str(known.supernet(new_prefix=width)) for width in (56, 48)))
    return Around(network=str(known.supernet(new_prefix=24)))
