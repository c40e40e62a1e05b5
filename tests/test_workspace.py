"""The workspace of W&B, as far as it can be known without an account."""

import json
import re
import warnings

import pytest

from evoforge import workspace
from tests.conftest import ROOT

ROWS = [
    {"candidate": c, "generation": c // 2, "gene": gene, "value": 0.1 * c, "score": 0.05 * c}
    for c in range(6)
    for gene in ("all/ja/weight", "all/ja/density")
]


@pytest.fixture
def printed(capsys):
    """Return what a dry run prints; the library itself warns of old habits of its own."""
    pytest.importorskip("wandb_workspaces")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = ["--entity", "me", "--project", "merges", "--stages", "ps", "dfs", "--dry-run"]
        assert workspace.main(given) == 0
    return json.loads(capsys.readouterr().out)


def panels(printed):
    sections = printed["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]
    return [panel for section in sections for panel in section["panels"]]


def test_a_dry_run_says_what_would_be_saved(printed):
    view = printed["workspace"]
    assert (view["entity"], view["project"], view["displayName"]) == ("me", "merges", "Merges")
    (runs,) = view["spec"]["section"]["runSets"]
    assert [key["name"] for key in runs["grouping"]] == ["variant.value"]
    kinds = {panel["viewType"] for panel in panels(printed)}
    assert {"Run History Line Plot", "Parallel Coordinates Plot", "Scatter Plot"} <= kinds


def test_curves_have_bands_over_the_seeds(printed):
    curve = panels(printed)[0]["config"]
    assert curve["metrics"] == ["generation/best_so_far"]
    assert (curve["groupBy"], curve["groupArea"]) == ("variant.value", "stderr")


def test_custom_charts_read_the_tables_that_the_tracker_logs(printed):
    text = json.dumps([p for p in panels(printed) if p["viewType"] == "Vega2"])
    assert '"genes/ps"' in text
    assert '"genes/dfs"' in text
    assert "me/evoforge-genomes" in text
    for chart in printed["charts"].values():
        used = set(re.findall(r"\$\{field:(\w+)\}", json.dumps(chart)))
        assert used <= set(workspace.FIELDS)


def test_keys_of_panels_are_keys_that_the_tracker_logs():
    code = "".join(p.read_text() for p in sorted((ROOT / "evoforge" / "tracker").glob("*.py")))
    for key in workspace.COORDINATES:
        assert key.rpartition("/")[2] in code, key


@pytest.mark.parametrize("name", workspace.CHARTS)
def test_charts_are_vega_lite_that_draws(name):
    convert = pytest.importorskip("vl_convert")
    _, chart = workspace.CHARTS[name]
    filled = json.loads(re.sub(r"\$\{field:(\w+)\}", r"\1", json.dumps(chart)))
    svg = convert.vegalite_to_svg({**filled, "data": {"values": ROWS}}, vl_version="5.20")
    # Six lines, or twelve points in two facets.
    wanted = 6 if name == "evoforge-genomes" else len(ROWS)
    assert len(re.findall(r'aria-roledescription="(?:line mark|point)"', svg)) >= wanted


def test_without_an_account_it_is_one_sentence(caplog, monkeypatch):
    pytest.importorskip("wandb_workspaces")
    import wandb

    def refuse(*args, **kwargs):
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.")

    monkeypatch.setattr(wandb, "Api", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert workspace.main(["--entity", "me"]) == 2
    (record,) = caplog.records
    assert "No API key configured" in record.getMessage()
    assert "--dry-run" in record.getMessage()


def test_without_the_library_the_extra_is_named(caplog, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb_workspaces.workspaces", None)
    monkeypatch.setitem(__import__("sys").modules, "wandb_workspaces.reports.v2", None)
    assert workspace.main(["--entity", "me"]) == 2
    assert "pip install 'evoforge[workspace]'" in caplog.text


def test_what_wandb_takes_is_saved_with_its_charts(monkeypatch, caplog):
    pytest.importorskip("wandb_workspaces")
    import wandb

    made = []

    class Api:
        def create_custom_chart(self, entity, name, *rest):
            made.append((entity, name))
            if name == "evoforge-genes":  # there from the last time
                raise wandb.errors.CommError("already exists")

    class Saved:
        entity, url = "me", "https://wandb.ai/me/merges?nw=x"

        def save(self):
            made.append("workspace")

    monkeypatch.setattr(wandb, "Api", Api)
    assert workspace.save(Saved()) == Saved.url
    assert made == [("me", "evoforge-genomes"), ("me", "evoforge-genes"), "workspace"]
    assert "already exists" in caplog.text
