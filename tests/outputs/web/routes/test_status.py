"""Status and health."""

from tests.support.web_server import serving


def test_health_is_200_until_something_is_wrong_and_says_nothing_else():
    with serving() as served:
        assert served.ask("GET", "/api/health").json == {"healthy": True}
        served.offline = "the device is gone"
        wrong = served.ask("GET", "/api/health")
        assert (wrong.status, wrong.json) == (503, {"healthy": False})


def test_status_says_what_every_part_counts_the_page_among_them():
    with serving() as served:
        served.offline = "the device is gone"
        assert served.ask("GET", "/api/nothing", host="evil").status == 421
        told = served.ask("GET", "/api/status").json
        assert told["problems"] == [{"what": "crib", "why": "the device is gone"}]
        assert told["web"] == {
            "watchers": 0, "dropped": 0, "skipped": 0,
            "refused": 1, "turned_away": 0, "expired": 0, "faults": 0,
        }  # fmt: skip


def test_the_description_of_the_api_needs_nobody_elses_files():
    with serving() as served:
        page = served.ask("GET", "/docs").body.decode()
        assert "http" not in page.replace('<html lang="en">', "")
        paths = served.ask("GET", "/openapi.json").json["paths"]
        assert {"/api/status", "/api/events", "/api/labels/{label_id}/threshold", "/api/live"} <= paths.keys()
