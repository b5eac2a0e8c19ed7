"""Whatever a library raises at an edge becomes that edge's own error, in one line."""

import pytest

from monitor.system.boundary import boundary, explain, printable
from monitor.types import ModelError, SourceError


def raised(error):
    with pytest.raises(SourceError) as caught, boundary(SourceError, "camera"):
        raise error
    return str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (IndexError("tuple index out of range"), "camera: IndexError: tuple index out of range"),
        (RecursionError("maximum recursion depth exceeded"), "camera: is nested too deeply"),
        (MemoryError(), "camera: needs more memory than there is"),
        (PermissionError(13, "Permission denied"), "camera: Permission denied"),
        (KeyError("a\nb\ud800"), "camera: KeyError: 'a\\nb\\ud800'"),
        (ValueError("two\nlines\x1b[31m"), "camera: ValueError: two?lines?[31m"),
        (AssertionError(), "camera: AssertionError"),
    ],
)
def test_any_exception_is_the_edges_own_error_in_one_printable_line(error, words):
    assert raised(error) == words


def test_a_message_that_is_ours_already_is_passed_on_as_it_is():
    with pytest.raises(ModelError, match=r"^mine$"), boundary(SourceError, "camera"):
        raise ModelError("mine")


def test_what_ends_a_process_is_not_held_up():
    for ending in (KeyboardInterrupt, SystemExit, GeneratorExit):
        with pytest.raises(ending), boundary(SourceError, "camera"):
            raise ending


def test_a_long_message_is_cut():
    assert len(raised(ValueError("x" * 10_000))) < 300


def test_text_that_no_encoding_takes_is_explained():
    with pytest.raises(UnicodeEncodeError) as caught:
        "\ud800".encode()
    assert explain(caught.value) == "holds text that is not valid Unicode (surrogates not allowed)"
    assert printable("a\ud800\u202e\u00a0b") == "a??" + printable("\u00a0") + "b"
