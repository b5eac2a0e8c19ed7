import pytest

from monitor.outputs.prometheus import CONTENT_TYPE
from tests.support.web_server import METRICS, serving


def test_the_page_gives_the_metrics_as_prometheus_wants_them():
    with serving() as served:
        answer = served.ask("GET", "/metrics")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, CONTENT_TYPE, METRICS)


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"sec_fetch_site": "cross-site", "origin": "https://evil.example"}],
)
def test_what_the_page_refuses_the_metrics_refuse(headers):
    with serving() as served:
        answer = served.ask("GET", "/metrics", **headers)
    assert answer.status in {400, 401, 403, 421}
    assert METRICS not in answer.body


def test_they_cannot_be_written():
    with serving() as served:
        assert served.write("POST", "/metrics", {}).status == 405
