"""Address of the page, as other machines reach it."""

import socket

import pytest

from monitor.config.web import WebConfig
from monitor.daemon.http_servers import page_url

OPEN = {"enabled": True, "public_read": True}


@pytest.mark.parametrize(
    ("settings", "page"),
    [
        ({}, None),
        ({"enabled": False, "public_url": "https://home.example/sounds"}, None),
        ({"enabled": True}, None),  # this machine only
        ({"enabled": True, "public_url": "https://home.example/sounds"}, "https://home.example/sounds"),
        ({**OPEN, "host": "192.168.1.5"}, "http://192.168.1.5:8095/"),
        ({**OPEN, "host": "fd00::5", "port": 80, "prefix": "/sounds"}, "http://[fd00::5]:80/sounds/"),
        ({**OPEN, "host": "0.0.0.0"}, f"http://{socket.gethostname()}:8095/"),
        ({**OPEN, "host": "192.168.1.5", "port": 0}, None),  # nobody knows it yet
    ],
)
def test_the_page_has_an_address_if_others_reach_it(settings, page):
    assert page_url(WebConfig(**settings)) == page
