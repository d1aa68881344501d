"""Which network addresses a delivery may connect to.

A name is resolved here, once, and the connection goes to the very addresses that were checked: a name that answers
differently a moment later (DNS rebinding) changes nothing.  One address of a name that is not allowed refuses the name.
IPv6 forms that carry an IPv4 address (mapped, compatible, 6to4, Teredo, NAT64) are judged by both.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")


class AddressRefused(Exception):
    """The address may not be reached; the text says which and why."""


def allowed_addresses(host: str, port: int, allow_private: bool) -> list[str]:
    """Every address of ``host``, all checked.  Raises ``AddressRefused``, or ``OSError`` if the name has none now."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for address in addresses:
        why = refusal(address, allow_private)
        if why:
            raise AddressRefused(f"{host} is at {address}, {why}")
    return addresses


def refusal(address: str, allow_private: bool) -> str:
    """Why ``address`` may not be reached, or "" if it may."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return next(filter(None, (_judge(each, allow_private) for each in _faces(ip))), "")


def _faces(ip: Address) -> Iterator[Address]:
    """The address, and the IPv4 addresses that it carries."""
    if isinstance(ip, ipaddress.IPv4Address):
        yield ip
        return
    yield from _carried(ip)
    if not (ip.ipv4_mapped or ip in _NAT64):
        yield ip


def _carried(ip: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    carried = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64 or ip in _LOCAL_NAT64 or (ip in _COMPATIBLE and int(ip) > 1):
        carried.append(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF))
    return [each for each in carried if each is not None]


def _judge(ip: Address, allow_private: bool) -> str:
    if ip.is_multicast:
        return "a multicast address"
    if ip.is_unspecified:
        return "an unspecified address"
    if ip.is_reserved and not ip.is_loopback and ip not in _LOCAL_NAT64:
        return "a reserved address"
    return "" if allow_private else _private(ip)


def _private(ip: Address) -> str:
    kind = (
        "a loopback" if ip.is_loopback
        else "a link-local" if ip.is_link_local
        else "a shared" if ip.version == 4 and ip in _SHARED
        else "a site-local" if isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
        else "a private" if not ip.is_global
        else ""
    )  # fmt: skip
    return kind and f"{kind} address; allow_private_addresses would allow it"
