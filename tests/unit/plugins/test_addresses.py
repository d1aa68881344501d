"""Which addresses a webhook may reach."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.catalog.webhooks.addresses import AddressRefused, allowed_addresses, refusal

PUBLIC = ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1"]
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::1", "2002:a00:1::1",
    "198.18.0.1", "192.0.2.1", "2001:db8::1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "::", "224.0.0.1", "239.255.255.250", "ff02::1", "255.255.255.255", "240.0.0.1",
    "::ffff:224.0.0.1", "::127.0.0.1", "::7f00:1", "2001:0:a00:1::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert refusal(address, allow_private=False) == ""


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public_may_be_reached_only_if_the_settings_allow_them(address: str) -> None:
    assert refusal(address, allow_private=False)
    assert refusal(address, allow_private=True) == ""


@pytest.mark.parametrize("address", NEVER)
def test_addresses_that_are_no_single_machine_may_never_be_reached(address: str) -> None:
    assert refusal(address, allow_private=False)
    assert refusal(address, allow_private=True)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_ipv6_form_that_carries_it(ip: ipaddress.IPv4Address) -> None:
    refused = bool(refusal(str(ip), allow_private=False))
    for form in (f"::ffff:{ip}", f"64:ff9b::{ip}"):
        assert bool(refusal(form, allow_private=False)) == refused
    if refused:
        sixtofour = ipaddress.IPv6Address(0x2002 << 112 | int(ip) << 80 | 1)
        assert refusal(str(sixtofour), allow_private=False)


@given(st.ip_addresses())
def test_whatever_python_does_not_call_global_is_refused(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if not ip.is_global and not (ip.version == 6 and ip.ipv4_mapped):
        assert refusal(str(ip), allow_private=False)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "localhost", "127.0.0.1", "::1"])
def test_other_spellings_of_loopback_are_seen_through(host: str) -> None:
    with pytest.raises((AddressRefused, socket.gaierror)) as caught:
        allowed_addresses(host, 80, allow_private=False)
    if isinstance(caught.value, AddressRefused):
        assert "loopback" in str(caught.value)


def test_one_bad_address_refuses_the_name_and_a_good_name_gives_all_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(*addresses: str) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)

    answers("8.8.8.8", "8.8.4.4", "8.8.8.8")
    assert allowed_addresses("good.example", 80, allow_private=False) == ["8.8.8.8", "8.8.4.4"]
    answers("8.8.8.8", "10.0.0.1")
    with pytest.raises(AddressRefused, match=r"mixed.example is at 10.0.0.1, a private address"):
        allowed_addresses("mixed.example", 80, allow_private=False)
