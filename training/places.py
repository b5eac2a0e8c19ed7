"""Places of files: the given data (read only) and the work directory (ours)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_WORK = Path("~/.cache/clap-monitor/training")


@dataclass(frozen=True)
class Places:
    """Folders of one training; the work directory outlives a session."""

    data: Path
    work: Path

    @property
    def manifest(self) -> Path:
        """Table of recordings inside Debian packages."""
        return self.data / "corpus" / "manifest.csv.gz"

    @property
    def packages(self) -> Path:
        """Unpacked Debian packages, one folder each."""
        return self.work / "raw"

    @property
    def downloads(self) -> Path:
        """The `.deb` files as downloaded."""
        return self.work / "debs"

    @property
    def wordnet(self) -> Path:
        """WordNet's data files, from the package `wordnet-base`."""
        return self.packages / "wordnet-base" / "usr" / "share" / "wordnet"

    @property
    def yamnet(self) -> Path:
        """The audio teacher."""
        return self.data / "teacher" / "yamnet.tflite"

    @property
    def class_map(self) -> Path:
        """Names of the 521 classes of the audio teacher."""
        return self.data / "teacher" / "yamnet_class_map.csv"

    @property
    def audio(self) -> Path:
        """Samples of every recording; the tuning set."""
        return self.work / "audio"

    @property
    def mined(self) -> Path:
        """Sounds of rare kinds that nobody recorded."""
        return self.work / "mined"

    @property
    def soundscapes(self) -> Path:
        """Mixtures as log-mel, and what the teacher heard in them."""
        return self.work / "soundscapes"

    @property
    def phrases(self) -> Path:
        """Phrases and their sentence embeddings."""
        return self.work / "phrases"

    @property
    def kit(self) -> Path:
        """What the audio teacher makes of sounds for the calibration kit."""
        return self.work / "kit"

    @property
    def runs(self) -> Path:
        """Checkpoints and logs, one folder for each trained part."""
        return self.work / "runs"

    @property
    def export(self) -> Path:
        """The finished ClapModel and ClapProcessor."""
        return self.work / "export"
