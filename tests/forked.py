"""Programs without their imports: a process that made them splits off one for each program.

Each is a process of its own, with its own folder, arguments, output and exit code, as from a shell.
Started as a program this is the process to split from; `Forks` talks to it.
"""

import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def environment():
    """The variables of a program that is run by a test."""
    quiet = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "HF_HUB_OFFLINE": "1"}
    return {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"} | quiet


class Forks:
    """A process to split programs off, started when the first is asked for."""

    def __init__(self):
        self._process = None

    def run(self, command, cwd=ROOT):
        """Do what `subprocess.run([sys.executable, *command])` does, the text of all kept."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked"],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        with tempfile.TemporaryDirectory() as folder:
            paths = [str(Path(folder) / name) for name in ("out", "err")]
            asked = {"command": command, "cwd": str(cwd), "paths": paths}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            texts = [Path(path).read_text() for path in paths]
        return subprocess.CompletedProcess(command, code, *texts)

    def close(self):
        if self._process is not None:
            self._process.communicate(timeout=60)


def become(asked):
    """Be the program that is asked for, up to the end of the process."""
    for number, path in enumerate(asked["paths"], start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["cwd"])
    sys.argv = asked["command"]
    sys.path[0] = str(ROOT)
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.exit(0)


def main():
    """Import what every run does; split one off for each line of the standard input."""
    from transformers.models.mistral import modeling_mistral  # noqa: F401

    from evoforge import session  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    os._exit(0)  # taking down torch takes seconds


if __name__ == "__main__":
    main()
