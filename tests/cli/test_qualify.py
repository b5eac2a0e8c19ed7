"""The command `qualify`: its table, and what it says of options that it does not know."""

from dataclasses import replace

from monitor.cli.qualify import table
from monitor.detection.qualification import Figure
from tests.support.command_line import clap_monitor
from tests.support.qualifications import qualification

FIGURES = qualification().figures


def test_the_figures_of_a_checkpoint_stand_beside_those_of_the_starter():
    other = replace(
        FIGURES, auroc=Figure(0.5, 0.4, 0.6), window_seconds=0.3, recall={"20": Figure(0.0, 0.0, 0.1)}
    )
    assert table(other, FIGURES) == (
        """\
                                  checkpoint           starter
mean AUROC                        0.50 (0.40 to 0.60)  0.90 (0.80 to 0.95)
recall at 20 dB                   0.00 (0.00 to 0.10)  0.90 (0.80 to 0.95)
false alarms, per hour and label  1.00 (0.50 to 2.00)  1.00 (0.50 to 2.00)
zero-shot accuracy                0.75                 0.75
time for a window                 300 ms               10 ms
windows: cohort, scenes           30, 120              30, 120"""
    )


def test_without_figures_of_the_starter_there_is_one_column():
    assert "starter" not in table(FIGURES, None)


def test_a_format_that_there_is_not_is_said_with_those_that_there_are(tmp_path):
    done = clap_monitor("qualify", "--dtype", "float8", cwd=tmp_path)
    assert done.returncode == 2
    assert "'float8' is none of auto, float32, bfloat16, float16, int8" in " ".join(done.stderr.split())


def test_a_checkpoint_that_does_not_exist_is_one_line_and_leaves_nothing(tmp_path):
    done = clap_monitor("qualify", "./none", cwd=tmp_path)
    assert done.returncode == 65
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
