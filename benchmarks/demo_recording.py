"""Assemble ``recordings/demo.flac`` from Debian packages, as ``recordings/demo.toml`` says.

    python benchmarks/demo_recording.py --packages DIR

``DIR`` holds one folder a package, as ``apt-get download PACKAGE && dpkg -x PACKAGE*.deb DIR/PACKAGE``
makes it.  Writes the recording, its annotation (``demo.tsv``: onset, offset, label) and its sources and
licences (``demo.md``).
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

HERE = Path(__file__).parents[1] / "recordings"


def at_level(samples: np.ndarray, dbfs: float) -> np.ndarray:
    """Bring samples to an RMS in dB of full scale."""
    return samples * 10 ** (dbfs / 20) / np.sqrt(np.mean(samples**2))


def read(packages: Path, part: dict[str, object], rate: int) -> np.ndarray:
    """Samples of one clip, mono, at ``rate``, without leading and trailing near-silence."""
    samples, its_rate = soundfile.read(packages / str(part["package"]) / str(part["path"]), always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), its_rate, rate)
    loud = np.flatnonzero(np.abs(mono) > 0.02 * np.abs(mono).max())
    return at_level(mono[loud[0] : loud[-1] + 1], float(str(part["level"])))


def repeated(samples: np.ndarray, length: int, pause: int) -> np.ndarray:
    """Repeat a clip, with pauses, until it is at least ``length`` long; cut there, softly."""
    out = samples
    while len(out) + pause < length:
        out = np.concatenate([out, np.zeros(pause), samples])
    return faded(out[:length], 0.05 * length)


def faded(samples: np.ndarray, most: float) -> np.ndarray:
    """Fade both ends over at most ``most`` samples."""
    ramp = np.linspace(0, 1, max(2, int(min(most, 800))))
    out = samples.copy()
    out[: len(ramp)] *= ramp
    out[-len(ramp) :] *= ramp[::-1]
    return out


def main() -> None:
    """Assemble and write everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packages", type=Path, required=True)
    packages = parser.parse_args().packages
    recipe = tomllib.loads((HERE / "demo.toml").read_text())
    rate, seconds = recipe["rate"], recipe["seconds"]
    bed = read(packages, recipe["bed"], rate)
    scene = np.resize(bed, seconds * rate).astype(np.float64)
    rows = []
    for clip in recipe["clip"]:
        pause = round(clip.get("pause", 0.0) * rate)
        sound = repeated(read(packages, clip, rate), round(clip["lasts"] * rate), pause)
        start = round(clip["at"] * rate)
        scene[start : start + len(sound)] += sound
        if "label" in clip:
            rows.append(f"{start / rate:.3f}\t{(start + len(sound)) / rate:.3f}\t{clip['label']}")
    soundfile.write(HERE / "demo.flac", np.clip(scene, -1, 1), rate, subtype="PCM_16")
    (HERE / "demo.tsv").write_text("\n".join(["onset\toffset\tevent_label", *rows]) + "\n")
    (HERE / "demo.md").write_text(sources(recipe))
    print(f"{seconds} s, {len(rows)} events, {(HERE / 'demo.flac').stat().st_size / 1e6:.1f} MB")


def sources(recipe: dict[str, Any]) -> str:
    """Return the table of sources and licences."""
    parts = [recipe["bed"], *recipe["clip"]]
    lines = [
        "# demo.flac",
        "",
        (
            "Assembled by `benchmarks/demo_recording.py` from clips in Debian packages; as a whole "
            f"{recipe['licence']}. Changes: cut, mixed to mono, resampled, set to a level, repeated, faded. "
            "`demo.tsv` says when each is heard."
        ),
        "",
        "| what | Debian package | file | licence | by |",
        "|---|---|---|---|---|",
        *(f"| {p['what']} | {p['package']} | `{p['path']}` | {p['licence']} | {p['by']} |" for p in parts),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
