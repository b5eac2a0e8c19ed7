"""Whose requests are counted together."""

import pytest

from monitor.outputs.web.peers import address_group, client_of, is_shared, networks_of

PROXIES = networks_of(["127.0.0.1/32", "10.9.0.0/16", "fd00::/64"])


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),  # nobody has configured it
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7"),  # the first may be made up
        ("127.0.0.1", "1.1.1.1, 198.51.100.7, 10.9.1.1", "198.51.100.7"),
        ("127.0.0.1", "10.9.1.1", "10.9.1.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7, \xff", "127.0.0.1"),
        ("127.0.0.1", ",,,", "127.0.0.1"),
        ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("fd00::1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", "198.51.100.7", ""),
    ],
)
def test_the_client_is_whom_the_last_known_proxy_names(peer, said, client):
    assert client_of(peer, said, PROXIES) == client


def test_without_proxies_nobody_is_believed():
    assert client_of("127.0.0.1", "198.51.100.7", ()) == "127.0.0.1"


def test_addresses_that_one_person_can_choose_are_one():
    assert (
        address_group("2001:db8::1") == address_group("2001:db8::ffff:1") != address_group("2001:db8:0:1::1")
    )
    assert address_group("::ffff:192.0.2.1") == address_group("192.0.2.1") == "192.0.2.1"
    assert address_group("nonsense") == "nonsense"


def test_many_may_come_from_a_proxy_only():
    assert is_shared("10.9.0.1", PROXIES, proxied=False)
    assert is_shared("127.0.0.1", (), proxied=True)
    assert not is_shared("127.0.0.1", (), proxied=False)
    assert not is_shared("192.0.2.1", PROXIES, proxied=True)
    assert not is_shared("", PROXIES, proxied=True)
