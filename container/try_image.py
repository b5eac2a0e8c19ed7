"""Trial of an image: the demo recording, a first start, the health check, and the end within 8 s.

``python3 container/try_image.py IMAGE --most-megabytes 1800`` needs nothing but the container engine: podman,
docker, or a command that takes the same arguments.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEMO = ("Car horn", "Cheering", "Dog bark", "Fire", "Helicopter", "Rooster")
UID = 12345
"""A user that the image does not know."""

END_SECONDS = 8
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Engine:
    """Container engine, the image, and options of every run."""

    command: tuple[str, ...]
    image: str
    options: tuple[str, ...]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the engine to its end."""
        return subprocess.run([*self.command, *arguments], check=False, capture_output=True, text=True)

    def run(self, *options: str, command: tuple[str, ...] = ()) -> str:
        """Run the image and return its standard output."""
        return good(self("run", *self.options, *options, self.image, *command))

    def inspect(self, what: str) -> str:
        """Return a property of the image."""
        return good(self("image", "inspect", "--format", what, self.image)).strip()


def main() -> None:
    """Try an image, one line for each thing that holds; the first that does not ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("--engine", default="podman", help="Command of the container engine.")
    parser.add_argument("--options", default="", help="Further options of `run`.")
    parser.add_argument("--most-megabytes", type=int, default=1800)
    given = parser.parse_args()
    options = shlex.split(given.options)
    engine = Engine(tuple(shlex.split(given.engine)), given.image, tuple(options))
    for attempt in (size, demo, first_start, no_microphone):
        attempt(engine, given.most_megabytes)


def size(engine: Engine, most: int) -> None:
    """Compare the size of the image with the limit."""
    megabytes = int(engine.inspect("{{.Size}}")) / 1e6
    require(megabytes <= most, f"the image has {megabytes:.0f} MB, more than {most}")
    print(f"size: {megabytes:.0f} MB, of at most {most}")


def demo(engine: Engine, _: int) -> None:
    """Detect the sounds of the demo recording."""
    lines = engine.run(
        "--rm", "--volume", f"{ROOT}:/demo:ro",
        command=("run", "--config", "/demo/config/demo.yaml", "--source", "/demo/recordings/demo.flac",
                 "--fast", "--json"),
    )  # fmt: skip
    events = [json.loads(line) for line in lines.splitlines()]
    heard = Counter(event["label_name"] for event in events if event["phase"] == "start")
    require(sorted(heard) == sorted(DEMO), f"the demo recording gave {dict(heard)}")
    print(f"demo recording: {', '.join(heard)}")


def first_start(engine: Engine, _: int) -> None:
    """Start as an unknown user without a network, on a root file system that nobody can write."""
    with started(
        engine, "--read-only", "--user", str(UID), "--network", "none", "--volume", f"{ROOT}:/demo:ro",
        command=("run", "--init", "--source", "/demo/recordings/demo.flac"),
    ) as name:  # fmt: skip
        check = json.loads(engine.inspect("{{json .Config.Healthcheck.Test}}"))
        require(check[0] == "CMD", f"the health check is {check}")
        eventually(lambda: engine("exec", name, *check[1:]).returncode == 0, "healthy", engine, name)
        print(f"first start as user {UID}, root file system read-only, no network: healthy")
        files = good(engine("exec", name, "ls", "-ln", "/config"))
        require("monitor.yaml" in files and "-rw------- 1 12345" in files, f"in /config are {files}")
        require(engine("exec", name, "touch", "/opt/x").returncode != 0, "the root file system was written")
        ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8095/api/health').status)"
        answered = good(engine("exec", name, "python3", "-c", ask)).strip()
        require(answered == "200", f"the page answers {answered}")
        print("configuration and token are written, the page answers")
        begun = time.monotonic()
        good(engine("stop", "--time", str(END_SECONDS), name))
        took = time.monotonic() - begun
        code = good(engine("inspect", "--format", "{{.State.ExitCode}}", name)).strip()
        require(code == "0", f"the exit code after SIGTERM is {code}")
        print(f"SIGTERM: ended after {took:.1f} s, exit code 0")


def no_microphone(engine: Engine, _: int) -> None:
    """Start without any device: it runs, and the health check says what is missing."""
    with started(engine, "--read-only", "--network", "none") as name:
        found = []

        def says_why() -> bool:
            done = engine("exec", name, "clap-monitor", "status", "--json")
            if done.returncode != 1:
                return False
            found.extend(f"{each['what']}: {each['why']}" for each in json.loads(done.stdout)["problems"])
            return bool(found)

        eventually(says_why, "unhealthy", engine, name)
        print(f"without a sound card: runs, and is unhealthy: {found[0]}")


@contextmanager
def started(engine: Engine, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """Run the image in the background, and remove the container and its volumes afterwards."""
    name = engine.run("--detach", *options, command=command).strip()
    try:
        yield name
    finally:
        engine("rm", "--force", "--volumes", name)


def eventually(condition: Callable[[], bool], what: str, engine: Engine, name: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        log = engine("logs", name)
        require(time.monotonic() < deadline, f"not {what} after {PATIENCE_SECONDS} s: {log.stderr}")
        time.sleep(1)


def good(done: subprocess.CompletedProcess[str]) -> str:
    """Return the standard output of a command that succeeded."""
    require(done.returncode == 0, f"{shlex.join(done.args)}: exit code {done.returncode}: {done.stderr}")
    return done.stdout


def require(condition: bool, complaint: str) -> None:  # noqa: FBT001 - an assertion that is not compiled away
    """End the trial if a condition does not hold."""
    if not condition:
        sys.exit(complaint)


if __name__ == "__main__":
    main()
