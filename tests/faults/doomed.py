"""Killing a process at a moment that is told by what it does: `Doom`.

Run as a program it does a whole run over pico models, up to its exported model, and then others,
each by one process after another that are killed on the way.
"""

import json
import os
import random
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from evoforge.export import export
from evoforge.journal import Journal
from evoforge.watch import Watch
from tests.loop import Closeness, Search

# What the process is watched for, beside evaluations and commits, as Python's audit events.
AUDITED = {"os.rename", "os.remove", "os.mkdir", "shutil.rmtree", "shutil.copyfile"}


class Doom:
    """Counts what the process does to the world; kills it after so many events, and a while.

    Args:
        events: after how many; 0 to count only.
        delay: milliseconds from that event on, so that the end comes within what follows.
    """

    def __init__(self, events, delay=0.0):
        self.count = 0
        self._events = events
        self._delay = delay / 1000

    def install(self):
        """Count writes, renames and deletions, both ends of each commit, and evaluations."""
        sys.addaudithook(self._hear)
        doom = self
        transaction, answer = Journal.transaction, Closeness.answer

        @contextmanager
        def told(journal):
            doom.event()
            with transaction(journal):
                yield
                doom.event()  # all is written, nothing is committed
            doom.event()

        def answering(*given):
            doom.event()
            return answer(*given)

        Journal.transaction = told
        Closeness.answer = answering
        return self

    def _hear(self, event, given):
        if event in AUDITED or (event == "open" and isinstance(given[2], int) and given[2] & 1):
            self.event()

    def event(self):
        self.count += 1
        if self.count == self._events:
            if not self._delay:
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Timer(self._delay, os.kill, (os.getpid(), signal.SIGKILL)).start()


def whole_run(folders, folder):
    """Do a run, or go on with it, to its exported model."""
    search = Search(folders, folder, evaluations=8)
    search.journal.before_commit = Watch(search.pool, folder).check
    if not search.record.finished:
        winner = search.run()
        export(winner.candidate, winner.recipe, search.pool, folder / "model", card="# card")
        search.journal.finish()
    search.journal.close()


def split_off(folders, folder, events, delay):
    """Do a part of a run in a process of its own; return how that ended."""
    child = os.fork()
    if not child:
        Doom(events, delay).install()
        whole_run(folders, folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def killed_runs(folders, root, kills, chance):
    """Do whole runs until so many processes were killed on the way; return how many were."""
    done = runs = 0
    while done < kills:
        folder = root / f"killed{runs}"
        folder.mkdir()
        # Few events at a time in one run and many in the next, so that every part is met.
        reach = chance.choice((30, 60, 90))
        code, began = -signal.SIGKILL, done
        while code:
            # A run that would never end ends after so many.
            last = done - began >= kills
            events = 0 if last else chance.randint(1, reach)
            code = split_off(folders, folder, events, chance.choice((0, 0, chance.uniform(0, 8))))
            assert code in (0, -signal.SIGKILL), code
            done += code != 0
        runs += 1
    return done


def main():
    """Print how many processes were killed."""
    _, models, root, kills = sys.argv
    folders, root = json.loads(models), Path(root)
    (root / "alone").mkdir()
    whole_run(folders, root / "alone")
    print(killed_runs(folders, root, int(kills), random.Random(8)))


if __name__ == "__main__":
    main()
