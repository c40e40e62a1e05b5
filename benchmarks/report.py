"""What reports cost on a long run: seconds and memory, against their limits.

    python benchmarks/report.py [--evaluations 13000] [--items 200] [--genes 64] [--folder FOLDER]

Writes a journal of made-up answers, as long as a search for paths through three large models, and
does in processes of their own what is done at the end of a run: `result.json`, the pictures,
`report.html`, and the comparison of two such runs. Ends with 1 if anything is over its limit; what
counts are seconds of work, so that other work on the machine does not matter.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

SECONDS, MEBIBYTES = 20.0, 1024.0
SOURCES = ("ja", "math_a", "math_b")
POPULATION = 100
TESTS = 1000
ANSWER = "計算すると 14 + 7 = 21 です。答えは 21 です。" * 4
STEPS = ("result", "plots", "html", "compare")


def write(folder: Path, evaluations: int, items: int, genes: int, seed: int = 0) -> None:
    """Write the journal of a finished run."""
    from evoforge.journal import Journal
    from evoforge.recipe import Recipe, canonical
    from evoforge.schema import ORIGINS, STATES

    rng = np.random.default_rng(seed)
    journal = Journal.create(folder, _meta(seed))
    connection = journal._connection
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    connection.execute(ORIGINS)
    connection.execute(STATES)
    names = [f"layer{i // 2}.{SOURCES[i % 3]}.{('weight', 'density')[i % 2]}" for i in range(genes)]
    facts = {"names": names, "kinds": ["linear"] * genes, "low": [0.0] * genes}
    facts |= {"high": [1.0] * genes, "population": POPULATION, "evaluations": evaluations}
    facts |= {"minutes": None, "merge": "ties", "optimizer": "genetic", "metric": "acc_lang"}
    row = canonical(facts | {"direction": "max"})
    connection.execute("INSERT INTO stages VALUES ('search', ?)", (row,))
    searched = journal.add_items("search", [f"search-{i}" for i in range(items)])
    answers = Answers(connection, rng)
    for number in range(evaluations):
        generation, position = divmod(number, POPULATION)
        genome = np.clip(rng.normal(0.3 + 0.3 * number / evaluations, 0.15, genes), 0, 1)
        numbers = {name: round(float(x), 6) for name, x in zip(names, genome, strict=True)}
        recipe = Recipe(_recipe(numbers))
        journal.add_recipe(recipe)
        if not position:
            told = np.zeros(POPULATION).tobytes()
            connection.execute(
                "INSERT INTO generations VALUES ('search', ?, ?, ?)", (generation, searched, told)
            )
            state = canonical({"sigma": 0.3 * 0.99**generation, "diversity": rng.random()})
            connection.execute("INSERT INTO states VALUES ('search', ?, ?)", (generation, state))
        skill = 0.2 + 0.6 * float(genome.mean())
        key = answers.add(recipe.hash, searched, "search", items, skill, fails=rng.random() < 0.02)
        connection.execute(
            "INSERT INTO candidates VALUES ('search', ?, ?, ?, ?, ?, 0)",
            (generation, position, genome.tobytes(), recipe.hash, key),
        )
        if generation:
            parents = [[generation - 1, int(p)] for p in rng.integers(0, POPULATION, 2)]
            origin = ("search", generation, position, "sbx+gaussian", canonical(parents))
            connection.execute("INSERT INTO origins VALUES (?, ?, ?, ?, ?)", origin)
    _roles(journal, answers, recipe)
    connection.execute("COMMIT")
    journal.finish()
    journal.close()


class Answers:
    """Adds evaluations with their items."""

    def __init__(self, connection, rng):
        self.connection, self.rng = connection, rng
        self.subjects: dict[str, int] = {}
        self.count = 0

    def add(self, recipe: str, item_set: str, part: str, size: int, skill: float, *, fails=False):
        """Add an evaluation; return its number."""
        right = (self.rng.random(size) < skill).tolist()
        score = sum(right) / size
        self.count += 1
        values = ("failed", "out of memory", None, float("-inf"), "{}")
        if not fails:
            values = ("ok", "", score, score, json.dumps({"acc_lang": score}))
        seconds = '{"generate":1.5,"merge":0.2,"score":0.01}'
        self.connection.execute(
            "INSERT INTO evaluations VALUES (?, ?, 'p', ?, ?, ?, ?, ?, ?, ?, 0)",
            (self.count, recipe, item_set, *values, seconds),
        )
        if fails:
            return self.count
        subject = self.subjects.setdefault(recipe, len(self.subjects) + 1)
        self.connection.execute(
            "INSERT OR IGNORE INTO subjects VALUES (?, ?, 'p')", (subject, recipe)
        )
        metrics = ('{"acc":0.0,"acc_lang":0.0,"lang":1.0}', '{"acc":1.0,"acc_lang":1.0,"lang":1.0}')
        self.connection.executemany(
            "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, ?, 40, 'stop')",
            (
                (subject, f"{part}-{i}", float(ok), metrics[ok], ANSWER)
                for i, ok in enumerate(right)
            ),
        )
        return self.count


def _meta(seed: int) -> dict[str, str]:
    from evoforge.recipe import canonical

    sources = [{"name": name, "path": name, "role": "source"} for name in SOURCES]
    questions = {f"test-{i}": [f"{i} + {i} = ?" * 20, [str(2 * i)]] for i in range(TESTS)}
    return {
        "config": canonical({"seed": seed, "optimizer": {"_target_": "a.genetic.Genetic"}}),
        "seed": str(seed),
        "versions": canonical({"evoforge": "0.1.0"}),
        "sources": canonical(sources),
        "stages": canonical(["search"]),
        "protocol": canonical({"task": "made_up", "hash": "c" * 32, "metric": "acc_lang"}),
        "questions": canonical(questions),
    }


def _recipe(numbers: dict[str, float]) -> dict:
    """Return what a recipe of these genes holds."""
    values: dict = {}
    for name, number in numbers.items():
        group, source, parameter = name.split(".")
        values.setdefault(group, {}).setdefault(source, {})[parameter] = number
    sources = [{"name": name, "hash": name} for name in SOURCES]
    return {"format": 1, "method": "ties", "sources": sources, "values": values}


def _roles(journal, answers, winner) -> None:
    """Add the baselines and the winner."""
    from evoforge.recipe import Recipe

    named = {f"baseline:{name}": Recipe({"format": 1, "method": name}) for name in SOURCES}
    for skill, (name, recipe) in enumerate({**named, "winner": winner}.items(), start=2):
        journal.add_recipe(recipe)
        for part, size in (("select", 256), ("test", TESTS)):
            key = journal.add_items(part, [f"{part}-{i}" for i in range(size)])
            number = answers.add(recipe.hash, key, part, size, skill / 7)
            journal.add_role(name, part, recipe.hash, number)


def step(name: str, folders: list[Path]) -> None:
    """Do one thing; print its seconds and the process's largest memory."""
    from evoforge.record import Record

    start = time.perf_counter()
    if name == "compare":
        from evoforge.report.compare import compare

        compare(folders, folders[0].parent / "compared")
    else:
        record = Record.open(folders[0])
        if name == "result":
            from evoforge.report.result import build

            build(record)
        elif name == "plots":
            from evoforge.report.plots import plots

            plots(record)
        else:
            from evoforge.report.html.run_page import write as page

            print(f"{page(record).stat().st_size / 2**20:.1f} MiB of HTML", file=sys.stderr)
        record.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    work = used.ru_utime + used.ru_stime
    print(json.dumps([time.perf_counter() - start, work, used.ru_maxrss / 1024]))


def main() -> int:
    """Write two runs, measure, and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, default in (("evaluations", 13000), ("items", 200), ("genes", 64)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--folder", type=Path, help="where the journals are kept")
    parser.add_argument("--only", choices=STEPS, nargs="+", default=STEPS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as spare:
        base = given.folder or Path(spare)
        folders = [base / f"run{seed}" for seed in range(2)]
        if given.step:
            step(given.step, folders)
            return 0
        for seed, folder in enumerate(folders):
            if not folder.exists():
                folder.mkdir(parents=True)
                write(folder, given.evaluations, given.items, given.genes, seed)
        over = False
        for name in given.only:
            command = [sys.executable, __file__, "--step", name, "--folder", str(base)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            seconds, work, memory = json.loads(done.stdout.splitlines()[-1])
            over |= (bad := work > SECONDS or memory > MEBIBYTES)
            said = f"{seconds:6.1f} s ({work:.1f} s of work) {memory:6.0f} MiB"
            print(f"{name:8} {said} {'OVER' if bad else ''}", flush=True)
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
