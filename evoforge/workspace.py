"""Makes a W&B workspace that shows searches side by side.

    python -m evoforge.workspace --entity me --project evoforge
    python -m evoforge.workspace --entity me --project evoforge --dry-run > workspace.json

Saves a view of a project: curves with bands over seeds, parallel coordinates and scatter plots of
runs, what optimizers say of themselves, and genomes against scores. Needs the extra `workspace` and
an account; `--dry-run` prints what would be saved and needs no account. Knows the keys that the
tracker logs; does not know runs.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from evoforge.errors import ConfigError

log = logging.getLogger(__name__)

VARIANT = "variant"  # merge, task, optimizer and changes: the same for all seeds
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
# Of the table `genes/STAGE`: a line for each gene of each candidate.
FIELDS = {name: name for name in ("candidate", "generation", "gene", "value", "score")}
COORDINATES = (
    *("merge", "optimizer", "granularity", "genes", "population", "sigma", "fitness", "budget"),
    *("items", "select/score", "test/minus_best_source"),
)
SUMMARY = ("items", "seconds", "best", "select/score", "test/score", "test/minus_best_source")
PINNED = (
    *("summary:select/score", "summary:test/score", "summary:test/minus_best_source"),
    *("summary:items", "summary:seconds", "config:population", "config:seed"),
)
COLOR = {"field": "${field:score}", "type": "quantitative", "scale": {"scheme": "viridis"}}
CHARTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "evoforge-genomes": (
        "Genomes: a line a candidate",
        {
            "$schema": SCHEMA,
            "data": {"name": "wandb"},
            "mark": {"type": "line", "opacity": 0.35},
            "encoding": {
                "x": {"field": "${field:gene}", "type": "nominal", "title": None},
                "y": {
                    "field": "${field:value}",
                    "type": "quantitative",
                    "scale": {"domain": [0, 1]},
                    "title": "gene",
                },
                "detail": {"field": "${field:candidate}", "type": "nominal"},
                "color": COLOR,
            },
        },
    ),
    "evoforge-genes": (
        "Scores against genes",
        {
            "$schema": SCHEMA,
            "data": {"name": "wandb"},
            "mark": {"type": "point", "filled": True, "opacity": 0.6},
            "encoding": {
                "facet": {
                    "field": "${field:gene}",
                    "type": "nominal",
                    "columns": 4,
                    "title": None,
                },
                "x": {"field": "${field:value}", "type": "quantitative", "title": "gene"},
                "y": {
                    "field": "${field:score}",
                    "type": "quantitative",
                    "scale": {"zero": False},
                    "title": "score",
                },
                "color": {"field": "${field:generation}", "type": "quantitative"},
            },
        },
    ),
}


def build(entity: str, project: str, name: str, stages: Sequence[str]) -> Any:
    """Return a workspace of `wandb_workspaces`, which is not saved yet.

    Args:
        entity: W&B user or team.
        project: W&B project.
        name: of the view.
        stages: whose genomes are drawn.

    Raises:
        ConfigError: the library is not installed.
    """
    ws, wr = _libraries()
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            ws.Section(name="Searches", is_open=True, pinned=True, panels=_searches(wr)),
            ws.Section(name="Runs", is_open=True, panels=_runs(wr)),
            ws.Section(name="Genomes", is_open=True, panels=_genomes(wr, entity, stages)),
            ws.Section(name="Optimizers", panels=_optimizers(wr)),
            ws.Section(name="Time and failures", panels=_costs(wr)),
        ],
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Config(VARIANT)],
            order=[ws.Ordering(ws.Summary("select/score"), ascending=False)],
            pinned_columns=list(PINNED),
        ),
    )


def _searches(wr: Any) -> list[Any]:
    titles = {
        "generation/best_so_far": "Best score so far, over seeds",
        "generation/mean": "Mean score of a generation",
        "generation/spread": "Spread of the genes",
    }
    found = [_line(wr, [key], title, bands=True) for key, title in titles.items()]
    scores = wr.LinePlot(
        title="Score of every candidate", x="candidate/index", y=["candidate/score"]
    )
    return [*found, scores]


def _runs(wr: Any) -> list[Any]:
    columns = [
        wr.ParallelCoordinatesPlotColumn(
            metric=wr.SummaryMetric(key) if key in SUMMARY else wr.Config(key), display_name=key
        )
        for key in COORDINATES
    ]
    wide = wr.Layout(w=24, h=8)
    return [
        wr.ParallelCoordinatesPlot(title="Runs: options to scores", columns=columns, layout=wide),
        wr.BarPlot(
            title="Test score, over seeds",
            metrics=[wr.SummaryMetric("test/score")],
            groupby=wr.Config(VARIANT),
            groupby_rangefunc="stderr",
        ),
        *(
            wr.ScatterPlot(title=f"{title} and score", x=x, y=wr.SummaryMetric("select/score"))
            for title, x in (
                ("Population", wr.Config("population")),
                ("Genes", wr.Config("genes")),
                ("Items answered", wr.SummaryMetric("items")),
            )
        ),
    ]


def _genomes(wr: Any, entity: str, stages: Sequence[str]) -> list[Any]:
    return [
        wr.CustomChart(
            query={"summaryTable": {"tableKey": f"genes/{stage}"}},
            chart_name=f"{entity}/{chart}",
            chart_fields=FIELDS,
            layout=wr.Layout(w=24, h=10),
        )
        for stage in stages
        for chart in CHARTS
    ]


def _optimizers(wr: Any) -> list[Any]:
    names = ("sigma", "population", "diversity", "coverage", "qd_score", "hypervolume", "restarts")
    return [_line(wr, [f"generation/optimizer/{name}"], name, bands=True) for name in names]


def _costs(wr: Any) -> list[Any]:
    phases = [f"candidate/seconds/{phase}" for phase in ("merge", "generate", "score")]
    return [
        wr.LinePlot(title="Seconds of a candidate", x="candidate/index", y=phases),
        _line(wr, ["generation/seconds"], "Seconds of a generation"),
        _line(wr, ["generation/failures"], "Failures"),
        _line(wr, ["generation/hits"], "Answers from the cache"),
    ]


def _line(wr: Any, keys: list[str], title: str, *, bands: bool = False) -> Any:
    seeds = {"groupby": wr.Config(VARIANT), "groupby_rangefunc": "stderr"} if bands else {}
    return wr.LinePlot(title=title, x="generation/index", y=keys, **seeds)


def _libraries() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ImportError as error:
        raise ConfigError(
            f"a workspace needs wandb-workspaces ({error}); pip install 'evoforge[workspace]'"
        ) from error
    return ws, wr


def spec(workspace: Any) -> dict[str, Any]:
    """Return a workspace and the charts it needs as JSON."""
    # The library has no public way to say what it would save.
    view: dict[str, Any] = workspace._to_model().model_dump(by_alias=True, exclude_none=True)
    return {"workspace": view, "charts": {name: chart for name, (_, chart) in CHARTS.items()}}


def save(workspace: Any) -> str:
    """Save a workspace and the charts it needs; return its address.

    Raises:
        ConfigError: there is no account, it may not do this, or the server is out of reach.
    """
    import wandb

    try:
        api = wandb.Api()
        for name, (title, chart) in CHARTS.items():
            _add_chart(api, workspace.entity, name, title, chart)
        workspace.save()
    except wandb.errors.Error as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"W&B does not take the workspace ({reason}); `wandb login`, or see what would be "
            "saved with --dry-run"
        ) from error
    return str(workspace.url)


def _add_chart(api: Any, entity: str, name: str, title: str, chart: Mapping[str, Any]) -> None:
    import wandb

    try:
        api.create_custom_chart(entity, name, title, "vega2", "private", dict(chart))
    except wandb.errors.Error as error:
        # One of that name may be there from the last time.
        log.warning("W&B does not take the chart %s/%s: %s", entity, name, error)


def main(arguments: Sequence[str] | None = None) -> int:
    """Save a workspace, or print it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evoforge.workspace", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--entity", required=True, help="W&B user or team")
    parser.add_argument("--project", default="evoforge", help="W&B project (evoforge)")
    parser.add_argument("--name", default="Merges", help="name of the view (Merges)")
    parser.add_argument(
        "--stages", nargs="+", default=["search"], help="searches whose genomes to draw (search)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print it and save nothing")
    given = parser.parse_args(arguments)
    try:
        workspace = build(given.entity, given.project, given.name, given.stages)
        if given.dry_run:
            sys.stdout.write(json.dumps(spec(workspace), indent=2) + "\n")
        else:
            log.info("saved %s", save(workspace))
    except ConfigError as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.exit(main())
