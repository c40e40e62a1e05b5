"""What workers of tests do: give back a number, and whatever may go wrong with that."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from evoforge.errors import ConfigError
from evoforge.record import Evaluation


def evaluate(job, place=None):
    """Return the number in the job's recipe as fitness; -1 stands for a failure."""
    number = job.recipe.content["number"]
    note = _make(job.recipe.content, place) if "trouble" in job.recipe.content else ""
    if number < 0:
        return Evaluation(job.recipe.hash, "p", "i", "failed", float("-inf"), "made to fail")
    return Evaluation(job.recipe.hash, "p", "i", "ok", float(number), note, score=float(number))


def made_there(place):
    """Return `evaluate` in another process."""
    return partial(evaluate, place=place)


def refusing(place):
    """Be what cannot be built."""
    raise ConfigError("there is no such device; set evaluator.device")


def dying(place):
    """Die while it is built."""
    os._exit(3)


def _make(content, place):
    """Make trouble as often as is wanted; return what is known of this worker."""
    with Path(content["file"]).open("a") as file:
        file.write("x")
    if Path(content["file"]).stat().st_size > content["times"]:
        return ""
    match content["trouble"]:
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(1000)  # a thread that stands aside may run on for a moment
        case "hang":
            time.sleep(1000)
        case "break":
            raise ZeroDivisionError("a fault of evoforge")
        case "refuse":
            raise ConfigError("the option is wrong; set it right")
        case "speak":
            print("this is not for the terminal", flush=True)
            os.write(2, b"nor is this\n")
            logging.getLogger("evoforge.toy").warning("worth knowing")
        case "start":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
            return json.dumps({"child": child.pid})
        case "tell":
            return json.dumps(_facts(place))
    return ""


def _facts(place):
    return {
        "pid": os.getpid(),
        "device": place.device,
        "threads": os.environ["OMP_NUM_THREADS"],
        "gpus": os.environ["CUDA_VISIBLE_DEVICES"],
        "folder": str(Path.cwd()),
    }
