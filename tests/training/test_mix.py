import numpy as np

from training import geometry as g
from training import soundscape as s
from training.mix import hear_alone


class Listener:
    """Hears of a window how loud it is."""

    def listen(self, frame):
        assert frame.shape == (g.TEACHER_WINDOW,)
        size = np.sqrt(np.mean(frame**2))
        return np.full(g.CLASSES, size, np.float16), np.full(g.FEATURES, 2 * size, np.float16)


def test_the_loudest_event_of_a_second_is_heard_by_itself_at_one_level():
    event = np.zeros(s.LENGTH, np.float32)
    event[2 * g.RATE : 4 * g.RATE] = np.random.default_rng(0).standard_normal(2 * g.RATE) * 0.01
    bed = np.full(s.LENGTH, 0.01, np.float32)
    scape = s.Soundscape(bed + event, [""] * s.ROWS, [event], s.lead(bed + event, [event]))
    heard = hear_alone(Listener(), scape)
    there = scape.leads.events >= 0
    assert 5 < there.sum() < s.ROWS - 5
    inside = slice(9, 13)  # rows that begin between 2.2 and 2.9 s
    np.testing.assert_allclose(heard.scores[inside], 0.1, rtol=0.02)
    np.testing.assert_allclose(heard.features[inside], 0.2, rtol=0.02)
    assert not heard.scores[~there].any()
    assert not heard.features[~there].any()
