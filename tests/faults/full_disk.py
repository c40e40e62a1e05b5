"""Runs that can write no file beyond a few bytes from some moment on, as on a full disk.

Run as a program: `full_disk.py CONFIGURATION FOLDER MOMENTS`. Each run is gone on with on a free
disk. Both are processes of their own, split off after a run on a free disk; what they said is in
`found.json`.
"""

import json
import os
import resource
import signal
import sqlite3
import sys
import time
from pathlib import Path

from evoforge import session
from evoforge.errors import EvoforgeError


def fill(moment, limit):
    """Let no file outgrow so many bytes from a moment on: the call of a function of `session`."""
    owner, name = (session.run_page, "write") if moment == "page" else (session, moment)
    called = getattr(owner, name)

    def full(*given, **options):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return called(*given, **options)

    setattr(owner, name, full)


def work(cfg, folder, moment, limit):
    """Do a run, or go on with it; return what it said, which is empty if it went well."""
    if moment:
        fill(moment, limit)
    try:
        session.run(cfg, folder, started=time.monotonic(), may_exist=True)
    except (EvoforgeError, sqlite3.DatabaseError, OSError) as error:
        return str(error)  # of these run.py makes a sentence
    return ""


def split_off(*given):
    """Do the same in a process of its own; -1 instead of its words if it died."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, json.dumps(work(*given)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    return json.loads(said or b"-1")


def main():
    _, cfg, root, moments = sys.argv
    cfg, root = json.loads(cfg), Path(root)
    session.run(cfg, root / "whole", started=time.monotonic(), may_exist=True)
    found = {}
    for moment, limit in json.loads(moments).items():
        folder = root / moment
        found[moment] = [split_off(cfg, folder, moment, limit), split_off(cfg, folder, "", 0)]
    (root / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
