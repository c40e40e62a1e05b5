"""The paper's two tables in miniature, and all optimizers, on the bundled models: `make paper`.

    python sweeps/paper.py                             # into outputs/paper
    python sweeps/paper.py FOLDER [OPTION=VALUE ...]   # a try with other options, somewhere else

Searches every row with three seeds (optimizers with five) and the same budget, as many searches at
a time as there are cores, one thread each. What is finished is skipped and what was interrupted
goes on, so the command can be stopped and given again. Writes `table.md`, `table.json`, the picture
of the best path, the page of examples of the best model that sees, and the comparison of the
optimizers with their curves and ranks.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from evoforge.errors import EvoforgeError  # noqa: E402
from evoforge.record import FILE, Record  # noqa: E402
from evoforge.report.compare import compare  # noqa: E402
from evoforge.report.comparison_table import reading, scale  # noqa: E402
from evoforge.report.examples import FILE as PAGE  # noqa: E402
from evoforge.report.over_seeds import Line, content, lines, markdown  # noqa: E402


@dataclass(frozen=True)
class Table:
    """One table: the rows that are searched for, and what they stand beside.

    Args:
        title: above it.
        rows: label -> name of a search, see `options_of`.
        baselines: name in the record -> label.
        against: the label of the row that the others are compared with.
        published: columns of figures from the paper: head -> figure by label.
        seeds: of the searches.
    """

    title: str
    rows: Mapping[str, str]
    baselines: Mapping[str, str]
    against: str
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    seeds: Sequence[int] = (0, 1, 2)


UNSEARCHED = {
    "uniform_soup": "uniform soup",
    "unoptimised_ties": "TIES, not optimised",
    "unoptimised_dare_ties": "DARE-TIES, not optimised",
    "frankenmerge": "layer stack by hand",
}
LANGUAGE = Table(
    title="Japanese maths",
    rows={
        "PS (DARE-TIES)": "miniature_ps",
        "DFS": "miniature_dfs",
        "DFS without scales": "miniature_dfs_unscaled",
        "PS+DFS, sequential": "miniature_ps_dfs",
        "PS+DFS, joint": "miniature_joint",
    },
    baselines={
        "base": "base (source)",
        "ja": "ja (source)",
        "math_a": "math_a (source)",
        "math_b": "math_b (source)",
        **UNSEARCHED,
    },
    against="PS (DARE-TIES)",
)
VISION = Table(
    title="Japanese questions about pictures",
    rows={
        "PS (DARE-TIES)": "miniature_vlm",
        "DFS": "miniature_vlm_dfs",
        "PS+DFS": "miniature_vlm_ps_dfs",
    },
    baselines={
        "base": "base (source)",
        "ja": "ja (source)",
        "vlm": "vlm (source)",
        **UNSEARCHED,
    },
    against="PS (DARE-TIES)",
    # ROUGE-L of Akiba et al. 2025: what stands in the same place there.
    published={
        "paper: JA-VG-VQA-500": {
            "vlm (source)": "14.32",
            "TIES, not optimised": "16.0",
            "DARE-TIES, not optimised": "9.4",
            "layer stack by hand": "7.3",
            "PS (DARE-TIES)": "19.70",
            "DFS": "16.8",
            "PS+DFS": "20.4",
        },
        "paper: In-the-Wild": {
            "vlm (source)": "41.10",
            "TIES, not optimised": "46.5",
            "DARE-TIES, not optimised": "36.0",
            "layer stack by hand": "26.7",
            "PS (DARE-TIES)": "51.25",
            "DFS": "46.5",
            "PS+DFS": "47.6",
        },
    },
)
OPTIMIZERS = Table(
    title="Optimizers",
    rows={
        optimizer: f"optimizer-{optimizer}"
        for optimizer in sorted(path.stem for path in (ROOT / "conf" / "optimizer").glob("*.yaml"))
    },
    baselines={},
    against="random_search",
    seeds=(0, 1, 2, 3, 4),
)
TABLES = (LANGUAGE, VISION, OPTIMIZERS)
# What is to be stopped with this process.
RUNNING: set[subprocess.Popen[bytes]] = set()


def folder_of(root: Path, name: str, seed: int) -> Path:
    """Return where a search lies."""
    return root / f"{name}-seed{seed}"


def options_of(name: str) -> list[str]:
    """Return the options of a search by its name.

    It is the name of an experiment, or `optimizer-OPTION`: the first experiment with another
    optimizer, where the sources need not be judged as closely again.
    """
    optimizer = name.removeprefix("optimizer-")
    if optimizer == name:
        return [f"experiment={name}"]
    return ["experiment=miniature_ps", f"optimizer={optimizer}", "baseline_items=16", "examples=0"]


def finished(folder: Path) -> bool:
    """Return whether a search is complete."""
    if not (folder / FILE).is_file():
        return False
    record = Record.open(folder)
    done = record.finished
    record.close()
    return done


def search(root: Path, name: str, seed: int, options: Sequence[str]) -> Path:
    """Do one search, or what is left of it; its output goes into a file.

    Args:
        root: of all searches.
        name: which of the rows.
        seed: of the search.
        options: what else to give it; a search that goes on keeps those it was started with.

    Raises:
        RuntimeError: it failed.
    """
    folder = folder_of(root, name, seed)
    if finished(folder):
        return folder
    if (folder / FILE).is_file():
        given = [f"resume='{folder}'"]
    else:
        shutil.rmtree(folder, ignore_errors=True)
        where = f"hydra.run.dir='{folder}'"
        given = [*options_of(name), f"seed={seed}", where, *options]
    # Threads of several processes on the same cores wait for each other.
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    output = root / f"{folder.name}.txt"
    with output.open("a") as file:
        command = [sys.executable, str(ROOT / "run.py"), *given, "tracker.console.live=false"]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=file, stderr=file)
        RUNNING.add(process)
        code = process.wait()
        RUNNING.discard(process)
    if code:
        raise RuntimeError(f"{folder.name} ended with exit code {code}; see {output}")
    return folder


def search_all(root: Path, options: Sequence[str], console: Console) -> None:
    """Do every search, showing how far it is."""
    jobs = [
        (name, seed) for table in TABLES for seed in table.seeds for name in table.rows.values()
    ]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with (
        Progress(*columns, console=console) as progress,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        waiting = [job for job in jobs if not finished(folder_of(root, *job))]
        shown = progress.add_task("searches", total=len(jobs), left="", completed=0)
        progress.update(shown, completed=len(jobs) - len(waiting))
        began = time.monotonic()
        futures = [pool.submit(search, root, *job, options) for job in waiting]
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                folder = future.result()
                left = (time.monotonic() - began) / number * (len(waiting) - number) / 60
                progress.console.print(f"{folder.name} is done")
                progress.update(shown, advance=1, left=f"about {left:.0f} min left")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # Each commits what it has and stops.
            for process in tuple(RUNNING):
                process.terminate()
            raise


def best(root: Path, table: Table, row: str, name: str) -> Path | None:
    """Return a file of the best run of a row; None if that has no such file."""
    folders = [folder_of(root, table.rows[row], seed) for seed in table.seeds]
    # By the items that choose, not by those that judge.
    winners = [json.loads((folder / "result.json").read_text())["winner"] for folder in folders]
    scores = [winner["select"]["score"] for winner in winners]
    found = folders[scores.index(max(scores))] / name
    return found if found.is_file() else None


def rows_of(root: Path, table: Table) -> list[Line]:
    """Return the rows of a table.

    Raises:
        ConfigError: a search is not finished, or was judged otherwise than the others.
    """
    methods = {
        label: [folder_of(root, name, seed) for seed in table.seeds]
        for label, name in table.rows.items()
    }
    return lines(methods, table.baselines)


def written(table: Table, rows: Sequence[Line]) -> str:
    """Return a table in Markdown with its title."""
    against = next(row for row in rows if row.label == table.against)
    return f"## {table.title}\n\n{markdown(rows, against, table.published)}"


def ranks(root: Path) -> list[str]:
    """Compare the optimizers over their seeds; return what is to be said of it."""
    folders = [
        folder_of(root, name, seed)
        for name in OPTIMIZERS.rows.values()
        for seed in OPTIMIZERS.seeds
    ]
    found = compare(folders, root / "optimizers", against=OPTIMIZERS.against)
    return reading(found.ranking, scale(found)) if found.ranking else []


def main(arguments: Sequence[str]) -> int:
    """Search, then write the table."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    console = Console()
    options = [argument for argument in arguments if "=" in argument]
    folders = [argument for argument in arguments if "=" not in argument]
    if len(folders) > 1 or (options and not folders):
        print(
            "error: give one folder, and options only with a folder of their own", file=sys.stderr
        )
        return 2
    root = Path(folders[0] if folders else ROOT / "outputs" / "paper").resolve()
    root.mkdir(parents=True, exist_ok=True)
    try:
        search_all(root, options, console)
        rows = {table.title: rows_of(root, table) for table in TABLES}
        ranked = ranks(root)
    except (EvoforgeError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; give the same command to go on", file=sys.stderr)
        return 130
    text = "\n".join([*(written(table, rows[table.title]) for table in TABLES), *ranked])
    found = {title: content(own) for title, own in rows.items()}
    (root / "table.md").write_text(text)
    (root / "table.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    names = ["table.md", "table.json", "optimizers"]
    for table, label, name in ((LANGUAGE, "DFS", "path.png"), (VISION, VISION.against, PAGE)):
        if file := best(root, table, label, name):
            shutil.copyfile(file, root / name)
            names.append(name)
    console.print(Markdown(text))
    console.print(f"wrote {', '.join(names)} to {root}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
