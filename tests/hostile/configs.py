"""Configurations that someone got wrong, or made to do harm: every option of conf/, every way.

Drawn from a seed, so that a number is a configuration. As a program it tries many more than a test
has time for:

    python -m tests.hostile.configs SEED MINUTES
"""

import copy
import json
import math
import random
import sys
import time
import traceback
from collections import Counter

import hydra
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evoforge import assembly, config
from evoforge.errors import EvoforgeError
from tests.conftest import ROOT, options
from tests.hostile.trap import SPRUNG

TRAP = "tests.hostile.trap.spring"
# They exist, and no file may have them called.
TARGETS = (
    *(TRAP, "tests.hostile.trap.Trap", "os.system", "builtins.exec", "subprocess.Popen"),
    *("evoforge.models.gguf.shutil.rmtree", "evoforge.models.gguf.os.system", "pathlib.Path"),
    *("evoforge.journal.Journal", "evoforge.export.export", "evoforge.merge.base.Merger"),
    *("evoforge.optimizer.sobol.Sobol", "evoforge.merge.linear.Linear", "evoforge.config"),
    *("evoforge.task.generation.Generation", "nothing.Here", "evoforge.nothing", "...", ".", ""),
    *("os", "x", "builtins.print"),
)


def _nested(depth):
    found = 1
    for _ in range(depth):
        found = {"a": found}
    return found


VALUES = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 100_000, 2**31, 2**63, -(2**70), 10**40),
    *(-0.5, 0.0, 0.3, 0.5, 1.5, 1e-320, 1e308, math.nan, math.inf, -math.inf),
    *("", " ", "abc", "null", "日本語", "é" * 3000, "a\nb", "a\x00b", "\x1b[31mred", "\u202egnp"),
    *("[red]x[/red]", "<script>alert(1)</script>", "../../etc/passwd", "/etc/passwd", "~", "."),
    *("{question}", "{", "{0.__class__}", "{question.__class__}", "%s", "a/b", "a.b", "x" * 300),
    *("${seed}", "${nothing}", "${oc.env:EVOFORGE_NOTHING}", "${nothing:1}", "${", "${.}"),
    *("${oc.decode:'['}", "${oc.create:{a:1}}", "1e3", "0x10", "(", "[", "\\", "*", "float32"),
    *("\ud800", "hf_" + "x" * 30, "https://me:secret@host/x"),
    *([], {}, [None], [[]], [[1, [2]]], ["a"], [1, 2], [0.1, "a"], [{}], ["a"] * 500, [math.nan]),
    *({"a": 1}, {"": 1}, {"a": {"b": [{}]}}, {"low": 1, "high": 0}, {"low": 0, "high": 1}),
    *({"low": math.nan, "high": 1}, {"low": 0, "high": "x"}, {"low": 0}, {"low": 0, "high": 1e308}),
    *({"path": "a"}, {"path": None}, {"path": ["a"]}, {"path": "bundled:ja/../ja"}),
    *({"_target_": TRAP}, [{"_target_": TRAP}], {"a": [{"b": {"_target_": TRAP}}]}),
    *({"_target_": None}, {"_target_": 3}, {"_target_": ["a"]}),
    *({"_target_": "os.system", "_args_": [""]}, {"_args_": [1]}, {"_partial_": True}),
    *({"_convert_": "none"}, {1: 2}, {True: 1}, _nested(60), {str(i): i for i in range(300)}),
)
KEYS = (
    *("unknown", "_args_", "_partial_", "_convert_", "_recursive_", "__class__", "a b", "é", ""),
    *("=", "self", "pool", "task", "space", "items", "name"),
)
GROUPS = ("models", "merge", "task", "fitness", "evaluator", "optimizer", "executor", "experiment")
# Hydra takes long to compose; these do not stand in each other's way.
TOGETHER = ("merge", "fitness", "evaluator", "optimizer", "executor")
# What is asked hardly matters, and making many questions takes long.
SMALL = [f"task.items.{part}=4" for part in ("search", "select", "test")]


def choices():
    """Return choices of options, so that every option of every group is in one of them."""
    parts = {group: options(group) for group in GROUPS}
    alone = [[f"{group}={option}"] for group in ("task", "experiment") for option in parts[group]]
    alone += [[f"models={option}"] for option in parts["models"]]
    together = [
        [f"{group}={parts[group][number % len(parts[group])]}" for group in TOGETHER] + SMALL
        for number in range(max(len(parts[group]) for group in TOGETHER))
    ]
    return alone + together


def composed(choice):
    """Return the configuration of some options, with nothing put in."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = hydra.compose("config", overrides=choice)
    return OmegaConf.to_container(cfg, resolve=False)


def _places(content, prefix=()):
    for key, value in content.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from _places(value, (*prefix, key))


def spoiled(content, draw, group=None):
    """Return a copy of a configuration with one to three things wrong, and where they are."""
    content, spoilt = copy.deepcopy(content), []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        known = [place for place in _places(content) if group in (None, place[0])]
        if not known:
            break
        *above, last = draw.choice(known)
        holder = content
        for key in above:
            holder = holder[key]
        kind = draw.random()
        if kind < 0.08:
            del holder[last]
        elif kind < 0.2:
            inner = holder[last]
            target = inner if isinstance(inner, dict) else holder
            last = draw.choice(KEYS)
            target[last] = copy.deepcopy(draw.choice(VALUES))
        elif last == "_target_":
            holder[last] = draw.choice(TARGETS)
        else:
            holder[last] = copy.deepcopy(draw.choice(VALUES))
        spoilt.append(".".join(map(str, (*above, last))))
    return content, spoilt


class Trials:
    """Tries configurations; what is the same in many is made once.

    Args:
        build: what makes the objects.
        most: choices of options at most; Hydra takes long to compose.
    """

    def __init__(self, build, most=1000):
        known = choices()
        self._build = build
        self._choices = random.Random(0).sample(known, min(most, len(known)))
        self._made = {}
        self._composed = {}

    def build(self, node, option, **runtime):
        if option not in ("models", "task"):
            return self._build(node, option, **runtime)
        key = f"{option}{node!r}"
        if key not in self._made:
            self._made[key] = self._build(node, option, **runtime)
        return self._made[key]

    def draw(self, name):
        """Return a configuration by its name, what was spoilt in it, and what it was."""
        draw = random.Random(name)
        choice = draw.choice(self._choices)
        group = draw.choice((None, *(each.partition("=")[0] for each in choice)))
        key = " ".join(choice)
        if key not in self._composed:
            self._composed[key] = composed(choice)
        known = group if group in GROUPS[:-1] else None
        return *spoiled(self._composed[key], draw, known), key

    def outcome(self, content):
        """Return the sentence that a configuration ends in, None if it can run.

        Anything but a sentence goes through, as it would in a run.
        """
        try:
            parts = assembly.assemble(config.resolved(OmegaConf.create(content)))
        except EvoforgeError as error:
            return str(error)
        except OmegaConfBaseException as error:
            return config.sentence(error, [])
        parts.executor.close()
        parts.evaluator.close()
        return None


def main(seed, minutes):
    trials, bad, sentences = Trials(config.build), Counter(), Counter()
    config.build = trials.build
    end, number = time.monotonic() + 60 * minutes, 0
    while time.monotonic() < end:
        content, spoilt, choice = trials.draw(f"{seed}-{number}")
        number, began = number + 1, time.monotonic()
        try:
            said = trials.outcome(content)
            sentences[said and said[:100]] += 1
        except Exception:  # noqa: BLE001 what comes through is what is looked for
            said = None
            lines = traceback.format_exc().splitlines()
            bad[f"{lines[-1][:90]} {[line for line in lines if 'evoforge/' in line][-1:]}"] += 1
            print(number - 1, choice, spoilt, lines[-1][:100], flush=True)
        if said is not None and ("\n" in said or len(said) > 1000):
            print(number - 1, "LONG", said)
        if SPRUNG or time.monotonic() - began > 10:
            print(number - 1, choice, spoilt, "SPRUNG" if SPRUNG else "slow", flush=True)
            SPRUNG.clear()
    print(number, "tried,", sentences.pop(None, 0), "can run,", sum(sentences.values()), "refused")
    print(json.dumps(bad.most_common(), indent=1))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
