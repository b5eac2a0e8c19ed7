import json
import warnings

from transformers import ClapModel, ClapProcessor
from transformers.utils import logging

from monitor.model import loader
from monitor.model.hub import STARTER


def test_the_plain_classes_load_it_whole_and_without_a_word(capfd):
    loader.quiet()
    logging.set_verbosity_warning()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, loading = ClapModel.from_pretrained(STARTER, output_loading_info=True)
        processor = ClapProcessor.from_pretrained(STARTER)
    assert not any(loading.values()), loading
    assert capfd.readouterr() == ("", "")
    assert processor.tokenizer("The Dog")["input_ids"] == processor.tokenizer("the dog")["input_ids"]
    loader.quiet()


def test_its_weights_are_small_and_computed_in_single_precision():
    own = [file for file in STARTER.iterdir() if "onnx" not in file.name]  # the export refers to its weights
    assert sum(file.stat().st_size for file in own) <= 16e6
    assert json.loads((STARTER / "config.json").read_text())["dtype"] == "float32"


def test_its_card_says_what_it_is_made_of_and_where_it_fails():
    card = (STARTER / "README.md").read_text()
    for words in ("ESC-10", "CC BY 3.0", "donateacry", "Open Database License", "YAMNet", "MiniLM", "Limits"):
        assert words in card
