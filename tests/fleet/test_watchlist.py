"""The labels of a fleet as one document, and its signature."""

import json
import subprocess

import pytest

from monitor.config import LabelConfig
from monitor.fleet.signature import read_signer, read_verifier
from monitor.fleet.watchlist import MAX_BYTES, parse_watchlist, watchlist_text
from monitor.types import ConfigError
from tests.support.watchlists import PUSHED_AT, changed, labels, text, write_keys


def test_labels_come_back_as_they_were_pushed():
    pushed = (*labels("dog"), LabelConfig(id="cat", name="Die Katze", prompts=("a cat",), threshold=0.25))
    found = parse_watchlist(watchlist_text(7, PUSHED_AT, pushed, None), None)
    assert (found.version, found.pushed_at, found.labels) == (7, PUSHED_AT, pushed)


LABEL = {"id": "dog", "prompts": ["a dog"]}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("", "is not JSON"),
        ("[]", "is not a mapping"),
        ("[" * 9000, "JSON"),
        ('{"version": 1, "version": 2}', "holds a key twice"),
        ({"more": 1}, "is not a mapping of"),
        ({"schema": 2}, "another schema than 1"),
        ({"version": 0}, "has no version"),
        ({"version": True}, "has no version"),
        ({"version": 2**60}, "has no version"),
        ({"pushed_at": None}, "does not say when"),
        ({"labels": []}, "must have 1 to 200 labels"),
        ({"labels": [LABEL] * 201}, "must have 1 to 200 labels"),
        ({"labels": ["dog"]}, "labels[0] is not a mapping"),
        ({"labels": [LABEL, LABEL]}, "has the label dog twice"),
        ({"labels": [LABEL | {"enabled": False}]}, "enables no label"),
        ({"labels": [LABEL, {"id": "cat", "prompts": []}]}, "labels[1] (cat): prompts"),
        ({"labels": [LABEL | {"threshold": 7}]}, "labels[0] (dog): threshold: 7 is not in [0, 1]"),
        ({"labels": [{"id": "dog", "examples": True}]}, "needs examples"),
    ],
)
def test_what_is_no_watchlist_is_refused_with_the_reason(message, why):
    if isinstance(message, dict):
        message = changed(text(1, "dog"), **message)
    with pytest.raises(ConfigError) as refused:
        parse_watchlist(message, None)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_watchlist_that_no_monitor_would_read_is_not_pushed():
    long = tuple(LabelConfig(id=f"l{i}", prompts=("x" * 299,)) for i in range(200))
    with pytest.raises(ConfigError, match=f"{MAX_BYTES:,} are possible"):
        watchlist_text(1, PUSHED_AT, [*long, *long], None)


def test_only_the_holder_of_the_key_can_change_a_signed_watchlist(tmp_path):
    private, public = write_keys(tmp_path)
    sign, own = read_signer(private)
    verify = read_verifier(public)
    signed = text(7, "dog", sign=sign)
    assert parse_watchlist(signed, verify).version == parse_watchlist(signed, own).version == 7
    assert parse_watchlist(json.dumps(json.loads(signed), indent=2), verify).version == 7
    other, _ = read_signer(write_keys(tmp_path, "other")[0])
    for forged in (
        changed(signed, version=8),
        changed(signed, labels=[{"id": "cat", "prompts": ["a cat"]}]),
        changed(signed, signature="AAAA"),
        changed(signed, signature="not base64"),
        changed(signed, signature=5),
        text(8, "dog", sign=other),
    ):
        with pytest.raises(ConfigError, match="signed with another key, or was changed"):
            parse_watchlist(forged, verify)
    with pytest.raises(ConfigError, match="is not signed"):
        parse_watchlist(text(8, "dog"), verify)


def test_keys_of_openssl_can_be_used_as_the_documentation_makes_them(tmp_path):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    openssl("genpkey", "-algorithm", "ed25519", "-out", "fleet.key")
    openssl("pkey", "-in", "fleet.key", "-pubout", "-out", "fleet.pub")
    sign, _ = read_signer(tmp_path / "fleet.key")
    assert parse_watchlist(text(1, "dog", sign=sign), read_verifier(tmp_path / "fleet.pub")).version == 1


def test_what_is_no_key_is_refused(tmp_path):
    private, public = write_keys(tmp_path)
    (tmp_path / "text").write_text("no key\n")
    for read, path, why in (
        (read_verifier, tmp_path / "missing", "cannot be read"),
        (read_verifier, tmp_path / "text", "is not a key in PEM"),
        (read_verifier, private, "is not a key in PEM"),
        (read_signer, public, "is not a key in PEM"),
    ):
        with pytest.raises(ConfigError, match=why):
            read(path)
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "rsa", "-out", "rsa.key"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    with pytest.raises(ConfigError, match="is not a key of Ed25519"):
        read_signer(tmp_path / "rsa.key")
