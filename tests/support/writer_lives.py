"""A writer process that lives many times, and is killed each time after it has kept something."""

import os
import signal
import subprocess
import sys
import threading


class WriterLives:
    """The process of a module such as `store_writer`, and what its lives say they kept."""

    def __init__(self, module, directory):
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(directory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def live_and_die(self, seconds):
        """Let one live, kill it some time after it has kept something; return what it surely kept."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        _, pid = self._process.stdout.readline().split()
        kept, killer = [], None
        for line in self._process.stdout:
            if line == "over\n":
                break
            kept.append(line.split()[1])
            if killer is None:
                killer = threading.Timer(seconds, os.kill, (int(pid), signal.SIGKILL))
                killer.start()
        assert killer is not None, self._process.stderr.read()
        killer.join()
        return kept

    def end(self):
        """Return what went wrong in any life."""
        return self._process.communicate()[1]
