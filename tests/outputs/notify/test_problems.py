from monitor.outputs.notify.problems import Problems

DEAF = {"porch": "offline: device lost"}


def followed():
    return Problems(after_seconds=60, cooldown_seconds=3600)


def news(problems, wrong, now, *, quiet=False):
    return problems.news(wrong, now=now, quiet=quiet)


def test_what_passes_within_a_minute_is_no_news():
    problems = followed()
    assert news(problems, DEAF, 0.0) == news(problems, DEAF, 59.0) == news(problems, {}, 60.0) == []
    assert news(problems, DEAF, 61.0) == []


def test_what_lasts_is_told_once_and_so_is_its_end():
    problems = followed()
    news(problems, DEAF, 0.0)
    assert news(problems, DEAF, 60.0) == [("porch", "offline: device lost")]
    assert news(problems, DEAF, 7200.0) == []
    assert news(problems, {}, 7300.0) == [("porch", None)]
    assert news(problems, {}, 7400.0) == []


def test_a_trouble_that_comes_and_goes_is_told_once_in_the_cooldown():
    problems = followed()
    told = []
    for minute in range(0, 120, 4):
        for now, wrong in ((minute * 60, DEAF), (minute * 60 + 100, DEAF), (minute * 60 + 110, {})):
            told += [(now, why is not None) for _, why in news(problems, wrong, float(now))]
    assert told == [(100, True), (110, False), (3700, True), (3710, False)]


def test_each_trouble_has_a_cooldown_of_its_own():
    problems = followed()
    both = DEAF | {"broker": "is not told: refused"}
    news(problems, DEAF, 0.0)
    news(problems, both, 50.0)
    assert [what for what, _ in news(problems, both, 60.0)] == ["porch"]
    assert [what for what, _ in news(problems, both, 110.0)] == ["broker"]


def test_in_quiet_hours_nothing_is_told_and_afterwards_what_is_still_true():
    problems = followed()
    assert news(problems, DEAF, 0.0, quiet=True) == news(problems, DEAF, 600.0, quiet=True) == []
    assert news(problems, DEAF, 601.0) == [("porch", "offline: device lost")]


def test_what_was_told_and_is_over_in_quiet_hours_is_told_afterwards():
    problems = followed()
    news(problems, DEAF, 0.0)
    news(problems, DEAF, 60.0)
    assert news(problems, {}, 100.0, quiet=True) == []
    assert news(problems, {}, 200.0) == [("porch", None)]
