"""The container files, parsed: instructions of a Containerfile, and services of a compose file."""

import json
import re
from dataclasses import dataclass

import yaml

from tests.support.command_line import ROOT

DIRECTORY = ROOT / "container"


@dataclass(frozen=True)
class Instruction:
    name: str
    text: str
    stage: int
    """Number of FROM instructions so far."""

    @property
    def words(self):
        """Its JSON list, or its words."""
        return json.loads(self.text) if self.text.startswith("[") else self.text.split()


def instructions(path):
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found, stage = [], 0
    for line in filter(str.strip, text.splitlines()):
        name, rest = line.split(None, 1)
        stage += name == "FROM"
        found.append(Instruction(name, rest.strip(), stage))
    return found


def environment(found):
    """ENV of the last stage, by name."""
    last = found[-1].stage
    lines = [each.words for each in found if each.name == "ENV" and each.stage == last]
    return dict(word.split("=", 1) for words in lines for word in words)


def copied(found):
    """Files and directories of the repository that it copies."""
    copies = [each.words for each in found if each.name == "COPY" and not each.text.startswith("--from")]
    return [ROOT / source for words in copies for source in words[:-1]]


def compose(name):
    return yaml.safe_load((DIRECTORY / name).read_text())
