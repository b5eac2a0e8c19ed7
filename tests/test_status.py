"""Status: alive means progress."""

from monitor.status import Progress, SourceStatus, one_line


def test_a_source_whose_windows_are_not_looked_at_has_stalled():
    status = SourceStatus("mic")
    progress = Progress(status, patience_seconds=10, now=0)
    status.scored_until = 4
    assert not progress.stalled(now=9)
    status.captured = 100
    assert not progress.stalled(now=19)
    assert not progress.stalled(now=29)
    assert progress.stalled(now=30)
    status.scored_until = 8
    assert not progress.stalled(now=31)


def test_a_source_that_is_known_to_be_deaf_or_at_its_end_has_not():
    status = SourceStatus("mic")
    progress = Progress(status, patience_seconds=10, now=0)
    status.deaf("unplugged")
    assert not progress.stalled(now=8)
    status.looked += 1
    assert not progress.stalled(now=100)
    status.hears()
    assert not progress.stalled(now=101)
    assert progress.stalled(now=200)
    status.ended = True
    assert not progress.stalled(now=300)


def test_a_deaf_source_that_nothing_looks_for_any_more_has_stalled():
    status = SourceStatus("mic")
    progress = Progress(status, patience_seconds=10, now=0)
    status.deaf("unplugged")
    assert not progress.stalled(now=1)
    assert progress.stalled(now=12)
    status.looked += 1
    assert not progress.stalled(now=13)


def test_a_source_is_no_excuse_for_an_analysis_that_leaves_its_audio_lying():
    status = SourceStatus("mic", captured=9, looked=1)
    progress = Progress(status, patience_seconds=10, now=0, length=4)
    status.deaf("nothing but digital silence")
    assert not progress.stalled(now=1)
    status.looked += 1
    assert progress.due
    assert progress.stalled(now=12)


def test_windows_that_are_not_whole_are_looked_at_all_the_same():
    status = SourceStatus("mic")
    progress = Progress(status, patience_seconds=10, now=0)
    for now in range(0, 100, 9):
        status.gate("gap")
        assert not progress.stalled(now)


def test_falling_behind_is_told_once_for_each_stretch():
    status = SourceStatus("mic")
    progress = Progress(status, patience_seconds=10, now=0)
    told = []
    for now, skipped in [(0, 0), (1, 1), (2, 2), (30, 3), (200, 3), (201, 4)]:
        status.skipped = skipped
        told.append(progress.fell_behind(now))
    assert told == [False, True, False, False, False, True]


def test_going_deaf_and_hearing_again_are_news_once():
    status = SourceStatus("mic")
    assert [status.deaf("unplugged"), status.deaf("unplugged")] == [True, False]
    assert [status.hears(), status.hears()] == [True, False]
    assert status.trouble is None


def test_one_line_names_who_is_deaf_and_why():
    heard, lost = SourceStatus("porch"), SourceStatus("nursery", skipped=3)
    lost.deaf("unplugged")
    assert one_line([heard, lost], 4, 0.213) == (
        "4 labels; porch ok, nursery deaf: unplugged; real-time factor 0.21; 3 windows skipped"
    )
