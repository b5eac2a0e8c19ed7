"""One sound that several nodes have heard."""

from monitor.fleet.sound_groups import ARRIVAL_SECONDS, MOST_GROUPS, SoundGroups
from tests.support.fleet_nodes import event

AT = 1000.0


def heard(node, label="dog", *, at=AT, level=-20.0, received=AT + 1.0, **fields):
    known = {"started_at": at, "level_dbfs": level, "received_at": received, "clock_synchronised": True}
    return event(node, label, **known | fields)


def groups_of(*events, window=2.0):
    groups = SoundGroups(window, now=lambda: AT)
    for each in events:
        groups.add(each)
    return [
        (group["label"], [each["node"] for each in group["heard"]]) for group in groups.take(everything=True)
    ]


def test_nodes_that_heard_it_within_the_window_are_one_group_the_loudest_first():
    quiet, loud = heard("hall", level=-40.0), heard("porch", level=-12.5, at=AT + 1.9)
    late = heard("attic", level=-10.0, at=AT + 2.1)
    assert groups_of(quiet, loud, late) == [("dog", ["porch", "hall"]), ("dog", ["attic"])]


def test_another_label_an_end_and_a_late_event_are_not_of_the_group():
    events = [heard("hall"), heard("porch", "cat"), heard("attic", phase="end"), heard("shed", late=True)]
    assert groups_of(*events) == [("dog", ["hall"]), ("cat", ["porch"])]


def test_a_source_that_hears_it_twice_begins_another_group():
    assert groups_of(heard("hall"), heard("hall", at=AT + 1.0)) == [("dog", ["hall"]), ("dog", ["hall"])]


def test_digital_silence_comes_last():
    assert groups_of(heard("hall", level=None), heard("porch", level=-90.0)) == [("dog", ["porch", "hall"])]


def test_a_node_whose_clock_is_not_set_is_grouped_by_when_its_event_came():
    adrift = heard("attic", at=5.0, clock_synchronised=False, latency_seconds=0.75, received=AT + 1.0)
    groups = SoundGroups(2.0, now=lambda: AT)
    groups.add(heard("hall"))
    groups.add(adrift)
    (group,) = groups.take(everything=True)
    assert (group["at"], group["spread_seconds"], group["clocks_synchronised"]) == (AT, 0.25, False)
    assert len(group["heard"]) == 2


def test_a_group_waits_for_slower_nodes_and_there_are_never_too_many():
    now = AT
    groups = SoundGroups(2.0, now=lambda: now)
    groups.add(heard("hall"))
    now = AT + 2.0 + ARRIVAL_SECONDS - 0.1
    assert groups.take() == []
    now += 0.2
    assert len(groups.take()) == 1
    assert groups.take(everything=True) == []
    for number in range(MOST_GROUPS + 1):
        groups.add(heard("hall", at=10.0 * number))
    assert [group["at"] for group in groups.take()] == [0.0]
