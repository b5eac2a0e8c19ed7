import pytest
from transformers import ClapFeatureExtractor

from monitor.model.mel_config import mel_config_of
from monitor.types import ModelError


def test_absent_keys_have_the_library_s_defaults():
    assert mel_config_of({}) == mel_config_of(ClapFeatureExtractor().to_dict())


def test_truncation_chooses_the_mel_bank_and_the_channels():
    fused, unfused = mel_config_of({"truncation": "fusion"}), mel_config_of({"truncation": "rand_trunc"})
    assert (fused.mel, fused.channels) == ("htk", 4)
    assert (unfused.mel, unfused.channels) == ("slaney", 1)


def test_the_length_is_the_seconds_at_the_rate_whatever_nb_max_samples_says():
    mel_config = mel_config_of(
        {"max_length_s": 5, "sampling_rate": 16_000, "frequency_max": 8_000, "nb_max_samples": 1}
    )
    assert (
        mel_config.length
        == ClapFeatureExtractor(
            max_length_s=5, sampling_rate=16_000, frequency_max=8_000, nb_max_samples=1
        ).nb_max_samples
    )
    assert mel_config.seconds == 5


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sampling_rate", 0),
        ("sampling_rate", "48000"),
        ("sampling_rate", None),
        ("sampling_rate", 44_100.5),
        ("max_length_s", -1),
        ("max_length_s", float("inf")),
        ("fft_window_size", 0),
        ("hop_length", 0),
        ("hop_length", True),
        ("feature_size", -64),
        ("frequency_min", -50),
        ("frequency_max", float("nan")),
        ("truncation", True),
        ("truncation", ["fusion"]),
        ("padding", "longest"),
    ],
)
def test_a_nonsense_value_is_named_with_its_file_and_key(key, value):
    with pytest.raises(ModelError, match=f"^some/file.json: {key}: "):
        mel_config_of({key: value}, origin="some/file.json")


@pytest.mark.parametrize(
    "keys",
    [
        {"frequency_min": 14_000},
        {"frequency_max": 24_001},
        {"fft_window_size": 480, "max_length_s": 0.01},
        {"max_length_s": 0.001},
    ],
)
def test_values_that_cannot_work_together_are_refused(keys):
    with pytest.raises(ModelError, match="must be"):
        mel_config_of(keys)


@pytest.mark.parametrize(
    "key",
    ["sampling_rate", "max_length_s", "fft_window_size", "hop_length", "feature_size", "frequency_min",
     "frequency_max"],
)  # fmt: skip
def test_an_absurd_number_is_refused_with_the_range_that_is_allowed(key):
    for value in (10**9, 10**30, -1, float("nan"), float("inf"), "9", None, [], {}, True):
        with pytest.raises(
            ModelError, match=rf"some/file\.json: {key}: .* is not a (whole )?number (from|above)"
        ):
            mel_config_of({key: value}, origin="some/file.json")


def test_numbers_that_are_plausible_each_but_not_together_are_refused():
    with pytest.raises(ModelError, match=r"hop_length 1 and fft_window_size 65536 make .* at most"):
        mel_config_of({"hop_length": 1, "fft_window_size": 65_536})
