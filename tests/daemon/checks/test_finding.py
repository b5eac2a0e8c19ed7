import json

from monitor.daemon.checks.finding import failure, good, verdict, warning
from monitor.types import ExitCode


def test_a_finding_is_one_line_with_its_fix():
    assert good("dns", "it is 10.0.0.1").as_text() == "ok    dns            it is 10.0.0.1"
    assert warning("clock", "is late", "set it").as_text() == "warn  clock          is late; fix: set it"
    assert failure("tcp", "refused\nit", ExitCode.UNREACHABLE).as_text() == "FAIL  tcp            refused it"


def test_machines_get_the_same_and_the_code():
    assert json.loads(failure("tcp", "refused", ExitCode.UNREACHABLE, "start it").as_json()) == {
        "check": "tcp",
        "state": "fail",
        "text": "refused",
        "fix": "start it",
        "exit_code": 69,
    }
    assert json.loads(good("tcp", "open").as_json())["fix"] is None


def test_the_verdict_counts():
    found = [good("a", ""), warning("b", ""), failure("c", "", ExitCode.DNS)]
    assert verdict(found[:1]) == "no problems found"
    assert verdict(found) == "1 failures, 1 warnings"
