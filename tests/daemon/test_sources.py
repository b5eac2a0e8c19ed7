"""Sources, each with all that is its own: one recording under four names."""

from tests.support.command_line import ROOT, clap_monitor, events_of

SOURCES = """
node: home
sources:
  - {{name: crows, kind: file, path: {demo}, pace: fast, labels: [rooster]}}
  - {{name: barks, kind: file, path: {demo}, pace: fast, labels: [dog_bark], gain_db: -6}}
  - {{name: rests, kind: file, path: {demo}, pace: fast, quiet_hours: ["00:00-24:00"]}}
  - {{name: slow, kind: file, path: {demo}, pace: fast, labels: [rooster], hop_seconds: 1.0}}
  - {{name: away, kind: file, path: none.wav, enabled: false}}
labels:
  - {{id: rooster, prompts: [a rooster crowing, a cock crowing in the morning]}}
  - {{id: dog_bark, prompts: [a dog barking, a small dog yapping, a large dog woofing loudly]}}
"""


def test_each_source_is_heard_as_it_is_configured(tmp_path):
    (tmp_path / "monitor.yaml").write_text(SOURCES.format(demo=ROOT / "recordings/demo.flac"))
    done = clap_monitor("run", "--config", "monitor.yaml", "--json", cwd=tmp_path, seconds=300)
    assert done.returncode == 0, done.stderr
    heard = {(event["source"], event["event_type"]) for event in events_of(done)}
    assert heard == {("crows", "rooster"), ("barks", "dog_bark"), ("slow", "rooster")}
