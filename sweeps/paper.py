"""The paper's table in miniature, on the bundled models: `make paper`.

    python sweeps/paper.py                             # into outputs/paper
    python sweeps/paper.py FOLDER [OPTION=VALUE ...]   # a try with other options, somewhere else

Searches every row with three seeds and the same budget, as many searches at a time as there are
cores, one thread each. What is finished is skipped and what was interrupted goes on, so the command
can be stopped and given again. Writes `table.md`, `table.json` and the picture of the best path.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from evoforge.errors import EvoforgeError  # noqa: E402
from evoforge.record import FILE, Record  # noqa: E402
from evoforge.report.over_seeds import content, lines, markdown  # noqa: E402

ROWS = {
    "PS (DARE-TIES)": "miniature_ps",
    "DFS": "miniature_dfs",
    "DFS without scales": "miniature_dfs_unscaled",
    "PS+DFS, sequential": "miniature_ps_dfs",
    "PS+DFS, joint": "miniature_joint",
}
BASELINES = {
    "base": "base (source)",
    "ja": "ja (source)",
    "math_a": "math_a (source)",
    "math_b": "math_b (source)",
    "uniform_soup": "uniform soup",
    "unoptimised_ties": "TIES, not optimised",
    "unoptimised_dare_ties": "DARE-TIES, not optimised",
    "frankenmerge": "layer stack by hand",
}
SEEDS = (0, 1, 2)
# What is to be stopped with this process.
RUNNING: set[subprocess.Popen[bytes]] = set()


def folder_of(root: Path, experiment: str, seed: int) -> Path:
    """Return where a search lies."""
    return root / f"{experiment}-seed{seed}"


def finished(folder: Path) -> bool:
    """Return whether a search is complete."""
    if not (folder / FILE).is_file():
        return False
    record = Record.open(folder)
    done = record.finished
    record.close()
    return done


def search(root: Path, experiment: str, seed: int, options: Sequence[str]) -> Path:
    """Do one search, or what is left of it; its output goes into a file.

    Args:
        root: of all searches.
        experiment: which of the rows.
        seed: of the search.
        options: what else to give it; a search that goes on keeps those it was started with.

    Raises:
        RuntimeError: it failed.
    """
    folder = folder_of(root, experiment, seed)
    if finished(folder):
        return folder
    if (folder / FILE).is_file():
        given = [f"resume={folder}"]
    else:
        shutil.rmtree(folder, ignore_errors=True)
        given = [f"experiment={experiment}", f"seed={seed}", f"hydra.run.dir={folder}", *options]
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
    jobs = [(experiment, seed) for seed in SEEDS for experiment in ROWS.values()]
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


def best_path(root: Path) -> Path | None:
    """Return the picture of the best path that data-flow search alone found."""
    folders = [folder_of(root, ROWS["DFS"], seed) for seed in SEEDS]
    # By the items that choose, not by those that judge.
    winners = [json.loads((folder / "result.json").read_text())["winner"] for folder in folders]
    scores = [winner["select"]["score"] for winner in winners]
    picture = folders[scores.index(max(scores))] / "path.png"
    return picture if picture.is_file() else None


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
        methods = {
            label: [folder_of(root, experiment, seed) for seed in SEEDS]
            for label, experiment in ROWS.items()
        }
        rows = lines(methods, BASELINES)
    except (EvoforgeError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; give the same command to go on", file=sys.stderr)
        return 130
    table = markdown(rows, against=next(row for row in rows if row.label == "PS (DARE-TIES)"))
    (root / "table.md").write_text(table)
    (root / "table.json").write_text(json.dumps(content(rows), indent=2) + "\n")
    written = ["table.md", "table.json"]
    if picture := best_path(root):
        shutil.copyfile(picture, root / "path.png")
        written.append("path.png")
    console.print(Markdown(table))
    console.print(f"wrote {', '.join(written)} to {root}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
