from monitor.outputs.notify.problems import Problems

DEAF = {"porch": "offline: device lost"}


def followed():
    return Problems(after_seconds=60, cooldown_seconds=3600)


def news(problems, wrong, now, *, quiet=False):
    return problems.update(wrong, now=now, quiet=quiet)


def test_a_short_problem_is_not_notified():
    problems = followed()
    assert news(problems, DEAF, 0.0) == news(problems, DEAF, 59.0) == news(problems, {}, 60.0) == []
    assert news(problems, DEAF, 61.0) == []


def test_a_lasting_problem_and_its_end_are_notified_once():
    problems = followed()
    news(problems, DEAF, 0.0)
    assert news(problems, DEAF, 60.0) == [("porch", "offline: device lost")]
    assert news(problems, DEAF, 7200.0) == []
    assert news(problems, {}, 7300.0) == [("porch", None)]
    assert news(problems, {}, 7400.0) == []


def test_an_intermittent_problem_is_notified_once_per_cooldown():
    problems = followed()
    told = []
    for minute in range(0, 120, 4):
        for now, wrong in ((minute * 60, DEAF), (minute * 60 + 100, DEAF), (minute * 60 + 110, {})):
            told += [(now, why is not None) for _, why in news(problems, wrong, float(now))]
    assert told == [(100, True), (110, False), (3700, True), (3710, False)]


def test_each_problem_has_its_own_cooldown():
    problems = followed()
    both = DEAF | {"broker": "is not told: refused"}
    news(problems, DEAF, 0.0)
    news(problems, both, 50.0)
    assert [what for what, _ in news(problems, both, 60.0)] == ["porch"]
    assert [what for what, _ in news(problems, both, 110.0)] == ["broker"]


def test_problems_that_outlast_quiet_hours_are_notified_afterwards():
    problems = followed()
    assert news(problems, DEAF, 0.0, quiet=True) == news(problems, DEAF, 600.0, quiet=True) == []
    assert news(problems, DEAF, 601.0) == [("porch", "offline: device lost")]


def test_an_end_in_quiet_hours_is_notified_afterwards():
    problems = followed()
    news(problems, DEAF, 0.0)
    news(problems, DEAF, 60.0)
    assert news(problems, {}, 100.0, quiet=True) == []
    assert news(problems, {}, 200.0) == [("porch", None)]
