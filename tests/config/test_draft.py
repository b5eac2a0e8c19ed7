"""Drafts: whether set-up is needed, and whether it may write the file."""

import pytest

from monitor.config import load, needs_set_up, read_draft, written
from monitor.types import ConfigError

NONE = "sources: []\n"
DISABLED = "sources: [{name: crib, kind: microphone, enabled: false}]\n"
PAGE = "web: {enabled: true}\n"


@pytest.mark.parametrize(
    ("text", "web", "needed"),
    [
        (None, "", True),
        (None, None, False),
        (NONE, "", True),
        (NONE, None, False),
        (NONE + PAGE, None, True),
        (DISABLED + PAGE, None, True),
        ("sources:\n" + PAGE, None, True),
        (PAGE, None, False),
        ("", "8095", False),
        ("sources: [{name: crib, kind: microphone}]\n" + PAGE, "", False),
    ],
)
def test_a_file_without_a_source_needs_set_up_if_the_page_is_on(tmp_path, text, web, needed):
    path = tmp_path / "monitor.yaml"
    if text is not None:
        path.write_text(text)
    assert needs_set_up(path, web) is needed


def test_errors_beside_the_missing_sources_keep_their_lines(tmp_path):
    path = tmp_path / "monitor.yaml"
    path.write_text("sources: []\n\nnode: Not A Name\n")
    with pytest.raises(ConfigError, match=r"monitor.yaml:3: node"):
        needs_set_up(path, "")


def test_what_set_up_wrote_is_recognised_until_somebody_edits_it(tmp_path):
    path = tmp_path / "monitor.yaml"
    path.write_text(written({"node": "attic", "sources": [{"name": "a", "kind": "microphone"}]}))
    assert read_draft(path).is_ours
    assert load(path).node == "attic"
    path.write_text(path.read_text() + "# mine now\n")
    assert not read_draft(path).is_ours
    path.write_text(path.read_text().partition("\n")[2])
    assert not read_draft(path).is_ours
