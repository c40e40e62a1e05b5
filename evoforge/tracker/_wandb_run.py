"""One open run of Weights & Biases, fed with plain rows.

Everything in here may wait for the network, so it belongs into a thread of its own. It knows
neither records nor the journal.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from evoforge.tracker import _charts

log = logging.getLogger(__name__)

PIECES = 50  # after so many, a table is logged every second generation, then every third
SMALLEST = 192  # pixels that the longer side of a picture should have
LONGEST_PIECE = 5000  # lines; a generation is added to it, and W&B cuts at 10,000 in silence
# W&B stays in the background: no captured terminal, no code, no machine facts, no hanging exit.
QUIET: Mapping[str, Any] = {
    "silent": True,
    "quiet": True,
    "console": "off",
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "finish_timeout_raises": False,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    # Seconds; by default a killed process loses the last 15.
    "x_transaction_log_flush_interval": 1.0,
}


class WandbRun:
    """A run of W&B with its tables.

    Args:
        mode: `auto`, `online` or `offline`.
        timeout: seconds; the longest wait for the server at the start, and again at the end.
        given: arguments of `wandb.init`.
    """

    def __init__(self, mode: str, timeout: float, given: Mapping[str, Any]) -> None:
        self._mode = mode
        self._timeout = timeout
        self._given = given
        self._run: Any = None
        self._tables: dict[str, Any] = {}  # by stage
        self._logged: dict[str, int] = {}  # lines of each table

    def open(self) -> None:
        """Begin the run; offline where there is no account or the server is out of reach."""
        # Here and not above, because it takes 0.4 s that a run without W&B should not pay.
        import wandb

        self._wandb = wandb
        wandb.setup(wandb.Settings(silent=True))
        mode = "online" if self._mode == "auto" else self._mode
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            log.info("no W&B API key, so W&B logs offline; `wandb login` changes that")
            mode = "offline"
        self._run = (self._online() if mode == "online" else None) or self._offline()
        for kind in ("candidate", "generation"):
            self._run.define_metric(f"{kind}/index", hidden=True, summary="none")
            self._run.define_metric(f"{kind}/*", step_metric=f"{kind}/index", summary="none")

    def _settings(self) -> Any:
        known = self._wandb.Settings.model_fields  # the names with x_ may go away
        wanted = {**QUIET, "init_timeout": self._timeout, "finish_timeout": self._timeout}
        return self._wandb.Settings(**{k: v for k, v in wanted.items() if k in known})

    def _online(self) -> Any:
        wandb = self._wandb
        try:
            run = wandb.init(mode="online", **self._given, settings=self._settings())
        except wandb.errors.Error as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            log.warning("W&B cannot go online (%s), so it logs offline", reason)
            # Else the id counts as in use, by a service that a parent process may own.
            wandb.teardown()
            os.environ.pop("WANDB_SERVICE", None)
            wandb.setup(wandb.Settings(silent=True))
            return None
        log.info("W&B run %s: %s", run.name, run.url)
        return run

    def _offline(self) -> Any:
        run = self._wandb.init(mode="offline", **self._given, settings=self._settings())
        log.info("W&B logs offline; to upload: wandb sync %s", Path(run.dir).parent)
        return run

    def stage(self, config: Mapping[str, Any], tags: Sequence[str], best: str) -> None:
        """Note a search; `best` is `max` or `min`."""
        # Not a candidate's score: on few items, or by the proxy, it says too little to be the best.
        for key in ("generation/best_so_far", "generation/best"):
            self._run.define_metric(key, step_metric="generation/index", summary=best)
        self._run.tags = list(dict.fromkeys([*(self._run.tags or ()), *tags]))
        self._run.config.update(config, allow_val_change=True)

    def candidate(self, row: Mapping[str, Any], stage: str, line: Mapping[str, Any]) -> None:
        """Log a candidate: a row, and a line of the stage's table by column."""
        self._run.log(row)
        if stage not in self._tables:
            self._tables[stage] = self._wandb.Table(
                columns=list(line), log_mode="INCREMENTAL", allow_mixed_types=True
            )
        table = self._tables[stage]
        table.add_data(*(line.get(column) for column in table.columns))

    def generation(self, row: Mapping[str, Any], number: int, replayed: bool) -> None:
        """Log a generation; the table's new lines go with it, unless it is long past."""
        # Each piece of a table lists all before it, so long searches log fewer of them.
        due = not replayed and number % (1 + number // PIECES) == 0
        self._run.log({**row, **(self._pieces() if due or self._behind() else {})})

    def _behind(self) -> bool:
        """Whether any table has as many lines that are not logged yet as one piece may have."""
        return any(
            len(table.data) - self._logged.get(stage, 0) >= LONGEST_PIECE
            for stage, table in self._tables.items()
        )

    def _pieces(self) -> dict[str, Any]:
        """Return the tables that have lines which are not logged yet."""
        changed = {s: t for s, t in self._tables.items() if len(t.data) > self._logged.get(s, 0)}
        self._logged |= {stage: len(table.data) for stage, table in changed.items()}
        return {f"candidates/{stage}": table for stage, table in changed.items()}

    def summary(self, entries: Mapping[str, Any]) -> None:
        """Set entries of the summary."""
        self._run.summary.update(entries)

    def results(self, columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
        """Log the rest of the tables, and the table of results if there are any."""
        last = self._pieces()
        if lines:
            table = self._wandb.Table(list(columns), list(lines), allow_mixed_types=True)
            last["results"] = table
        if last:
            self._run.log(last)

    def charts(self) -> None:
        """Draw genes against scores; log the tables that charts of whole genomes are drawn from."""
        logged: dict[str, Any] = {}
        for stage, table in self._tables.items():
            rows = [dict(zip(table.columns, row, strict=True)) for row in table.data]
            lines = _charts.scored(rows)
            for name in _charts.telling(lines):
                gene = name.removeprefix(_charts.GENE)
                points = self._wandb.Table(
                    ["gene", "score", "generation"],
                    [[line[name], line["score"], line["generation"]] for line in lines],
                )
                logged[f"chart/{stage}/{gene}"] = self._wandb.plot.scatter(
                    points, "gene", "score", title=f"{stage}: score against {gene}"
                )
            if long := _charts.long_lines(lines):
                logged[f"genes/{stage}"] = self._wandb.Table([*_charts.LONG_COLUMNS], long)
        if logged:
            self._run.log(logged)

    def examples(self, columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
        """Log the table of examples; bytes in it are PNG files."""
        cells = [[self._image(c) if isinstance(c, bytes) else c for c in line] for line in lines]
        # Columns of mixed types would hold no pictures.
        self._run.log({"examples": self._wandb.Table(list(columns), cells)})

    def _image(self, data: bytes) -> Any:
        """Return a picture; a small one is drawn larger, pixel by pixel."""
        with Image.open(BytesIO(data)) as opened:
            times = max(1, SMALLEST // max(opened.size))
            size = (times * opened.width, times * opened.height)
            return self._wandb.Image(opened.resize(size, Image.Resampling.NEAREST))

    def artifact(self, texts: Mapping[str, str], files: Sequence[Path]) -> None:
        """Keep texts by file name, files, and the whole tables as an artifact."""
        artifact = self._wandb.Artifact(f"result-{self._run.id}", type="result")
        for name, text in texts.items():
            with artifact.new_file(name, encoding="utf-8") as file:
                file.write(text)
        for path in files:
            artifact.add_file(str(path), path.name)
        # Whole, because a chart of an incremental table shows its last pieces only.
        for stage, table in self._tables.items():
            whole = self._wandb.Table(table.columns, table.data, allow_mixed_types=True)
            artifact.add(whole, f"candidates-{stage}")
        self._run.log_artifact(artifact)

    def arrays(self, kind: str, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep compressed arrays by file name and array name, as an artifact of their own."""
        artifact = self._wandb.Artifact(f"{kind}-{self._run.id}", type=kind)
        with TemporaryDirectory() as folder:
            for name, arrays in files.items():
                path = Path(folder) / name
                np.savez_compressed(path, **arrays)
                artifact.add_file(str(path), name)  # W&B takes a copy
            self._run.log_artifact(artifact)

    def close(self, exit_code: int) -> None:
        """End the run, if it ever began."""
        if self._run is not None:
            self._run.finish(exit_code=exit_code)
