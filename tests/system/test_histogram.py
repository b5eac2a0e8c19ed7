from hypothesis import given
from hypothesis import strategies as st

from monitor.system.histogram import Histogram


def test_a_value_is_counted_up_to_its_bound():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.5):
        histogram.observe(value)
    assert list(histogram.cumulative()) == [(1.0, 2), (2.0, 3), (float("inf"), 4)]
    assert (histogram.count, histogram.total) == (4, 5.5)


@given(values=st.lists(st.floats(0, 100)), bounds=st.sets(st.floats(0, 100), min_size=1))
def test_it_counts_what_sorting_all_values_counts(values, bounds):
    histogram = Histogram(sorted(bounds))
    for value in values:
        histogram.observe(value)
    expected = [sum(value <= bound for value in values) for bound in sorted(bounds)]
    assert [count for _, count in histogram.cumulative()] == [*expected, len(values)]
