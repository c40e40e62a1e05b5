import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evoforge.errors import ConfigError
from evoforge.origin import Descent
from evoforge.path import hops, short, statistics, written
from evoforge.recipe import canonical
from evoforge.record import Example
from evoforge.relog import main
from evoforge.tracker import _wandb_run
from evoforge.tracker.wandb import Wandb, run_id
from tests.tracker.conftest import RESULT


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def follow(read_mirror):
    """Follows a run that is there already, and reads back what W&B has of it."""

    def follow(run, result=None, status="finished", **options):
        tracker = Wandb(**{"mode": "offline", **options})
        tracker.start(run.journal.record)
        tracker.finish(status, result)
        return read_mirror(run.journal.folder)

    return follow


def assert_every_candidate_is_there_once(mirror, run):
    wanted = run.journal.record.candidates()
    found = {(r["candidate/generation"], r["candidate/position"]): r for r in mirror.candidates}
    assert len(mirror.candidates) == len(found) == len(wanted)
    for candidate in wanted:
        row = found[candidate.generation, candidate.position]
        genes = [row[f"candidate/genome/{name.replace('.', '/')}"] for name in run.names]
        assert genes == candidate.genome.tolist()  # bit for bit
        assert row["candidate/recipe"] == candidate.recipe
        assert row["candidate/cached"] == candidate.cached


def test_a_run_that_is_followed_is_there_once_and_whole(new_run, read_mirror):
    tracker = Wandb(mode="offline")
    tracker.start(new_run.journal.record)
    new_run.role("baseline:ja", "search", 0.4)
    new_run.stage()
    for generation in range(3):
        new_run.generation(generation)
        tracker.update()
    tracker.finish("finished", new_run.finish())
    mirror = read_mirror(new_run.journal.folder)
    assert_every_candidate_is_there_once(mirror, new_run)
    assert [row["generation/index"] for row in mirror.generations] == [0, 1, 2]
    assert mirror.exit_code == 0


def result_files(mirror):
    """Return the names of the files in the artifact of the result."""
    (artifact,) = [a for a in mirror.artifacts if a.type == "result"]
    return {entry.path for entry in artifact.manifest.contents}


def test_the_mirror_of_a_whole_run(whole_run, follow):
    run, result = whole_run
    (run.journal.folder / "progress.png").write_bytes(b"not looked at")
    mirror = follow(run, result, tags=["try"], group="sweep-1")

    assert mirror.axes["candidate/*"] == "candidate/index"
    assert mirror.axes["generation/*"] == "generation/index"

    options = mirror.config["options"]
    assert options["models"] == {"hf_token": "[redacted]", "revision": "a" * 40}
    assert options["task"] == {"max_new_tokens": 24, "name": "toy_ja"}
    short = {"merge": "ties", "task": "toy_ja", "optimizer": "cma_es", "seed": 7, "genes": 3}
    assert short.items() <= mirror.config.items()
    assert mirror.config["population"] == 4  # the optimizer's own choice
    assert mirror.config["variant"] == "ties-toy_ja-cma_es"
    assert mirror.run.run_id == run_id(run.journal.record)
    assert mirror.run.display_name == "ties-toy_ja-cma_es-s7"
    assert (mirror.run.run_group, mirror.run.job_type) == ("sweep-1", "search")
    assert list(mirror.run.tags) == ["ties", "toy_ja", "cma_es", "try"]

    (failed,) = [row for row in mirror.candidates if row["candidate/failed"]]
    assert failed["candidate/reason"] == "NaN in the weights"
    assert "candidate/fitness" not in failed
    scored = mirror.candidates[1]
    assert scored["candidate/metric/japanese"] == 1
    assert scored["candidate/seconds/generate"] == 0.5
    assert scored["candidate/value/all/ja/weight"] == scored["candidate/genome/all/ja/weight"]

    last = mirror.generations[-1]
    assert last["generation/best"] == last["generation/best_so_far"] == pytest.approx(0.22)
    assert mirror.summary["best"] == pytest.approx(0.22)
    assert mirror.summary["winner/test"] == 0.75
    assert mirror.summary["winner/test_high"] == 0.9
    assert mirror.summary["baseline/ja/test"] == 0.5
    assert mirror.summary["status"] == "finished"

    wanted = {"recipe.json", "result.json", "progress.png", "candidates-ps.table.json"}
    assert wanted <= result_files(mirror)


def test_a_proxys_score_is_never_a_score(new_run, follow):
    new_run.stage()
    new_run.race(0, [(0.99, 2), (0.5, 2), (0.9, 1)], proxies=1)
    mirror = follow(new_run)
    proxy, whole, early = mirror.candidates
    assert (proxy["candidate/proxy"], proxy["candidate/proxy_score"]) == (1, 0.99)
    assert not {"candidate/score", "candidate/fitness", "candidate/metric/accuracy"} & set(proxy)
    assert proxy["candidate/proxy_metric/accuracy"] == 0.99
    assert (whole["candidate/proxy"], whole["candidate/score"]) == (0, 0.5)
    assert [row["candidate/items"] for row in (proxy, whole, early)] == [2, 2, 1]
    assert mirror.generations[0]["generation/best_so_far"] == 0.5
    assert mirror.generations[0]["generation/screened"] == 1
    assert mirror.summary["best"] == 0.5
    table = tables(new_run)["ps"]
    cells = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [cell["score"] for cell in cells] == [None, 0.5, 0.9]
    assert [cell["proxy_score"] for cell in cells] == [0.99, None, None]
    assert [cell["items"] for cell in cells] == [2, 2, 1]


def test_a_run_logged_again_is_the_same(whole_run, follow):
    run, result = whole_run
    (run.journal.folder / "result.json").write_text(json.dumps(result))
    first = follow(run, result)
    second = follow(run, result)
    assert second.run.run_id == first.run.run_id
    assert_every_candidate_is_there_once(second, run)


def test_two_runs_in_one_process_stay_apart(new_run, make_run, tmp_path, read_mirror):
    other = make_run(tmp_path / "other")
    trackers = []
    for number, run in enumerate((new_run, other)):
        run.stage()
        trackers.append(Wandb(mode="offline"))
        trackers[-1].start(run.journal.record)
        run.generation(number)
    for tracker, run in zip(trackers, (new_run, other), strict=True):
        tracker.finish("interrupted", None)
        assert_every_candidate_is_there_once(read_mirror(run.journal.folder), run)


def test_seeds_share_a_group_unless_there_is_a_sweep(whole_run, follow):
    assert follow(*whole_run).run.run_group == "ties-toy_ja-cma_es"
    assert follow(*whole_run, group="sizes").run.run_group == "sizes"


def test_the_summary_begins_with_what_sweeps_and_tables_look_at(whole_run, follow):
    run, result = whole_run
    won = {**result["winner"], "select": {"score": 0.7}}
    run.answer("baseline:ja", "test", {"t-0": ("1", 0.0, 0.0), "t-1": ("2", 0.5, 1.0)})
    mirror = follow(run, {**result, "winner": won, "sources": [{"name": "ja"}]})
    assert mirror.summary["test/score"] == 0.75
    assert mirror.summary["select/score"] == 0.7
    assert mirror.summary["test/minus_best_source"] == 0.25
    assert mirror.summary["items"] == run.journal.record.count("items") == 2
    assert mirror.summary["seconds"] == pytest.approx(sum(run.journal.record.seconds().values()))


def breed(run, tracker=None):
    """Two generations with parents; the state of the first is known before the second is asked."""
    run.stage(optimizer="genetic")
    for generation in range(2):
        parents = tuple((0, p) for p in range(2)) if generation else ()
        run.generation(generation, origins=[Descent("sbx" if parents else "start", parents)] * 4)
        if tracker is not None:
            tracker.update()
        state = {"sigma": 0.5 / (1 + generation), "note": "x", "values": {"tokens": [1.0]}}
        run.journal.add_state("ps", generation, state)


@pytest.mark.parametrize("live", [True, False])
def test_lineage_and_the_optimizers_state_are_told(new_run, read_mirror, live):
    tracker = Wandb(mode="offline")
    if live:
        tracker.start(new_run.journal.record)
    breed(new_run, tracker if live else None)
    if not live:
        tracker.start(new_run.journal.record)
    tracker.finish("interrupted", None)
    mirror = read_mirror(new_run.journal.folder)
    assert [row["candidate/operator"] for row in mirror.candidates] == ["start"] * 4 + ["sbx"] * 4
    table = tables(new_run)["ps"]
    cells = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert (cells[-1]["operator"], cells[-1]["parents"]) == ("sbx", "0/0 0/1")
    assert [row["generation/index"] for row in mirror.generations] == [0, 1]
    assert [row["generation/optimizer/sigma"] for row in mirror.generations] == [0.5, 0.25]
    assert not [key for row in mirror.generations for key in row if "values" in key]
    assert "generation/optimizer/note" not in mirror.generations[0]


def test_genes_against_scores_are_charts_of_wandbs_own(whole_run, follow):
    mirror = follow(*whole_run)
    charts = [key for row in mirror.rows for key in row if key.startswith("chart/ps/")]
    assert {key.removeprefix("chart/ps/").partition("_table")[0] for key in charts} == {
        "all/ja/weight",
        "all/ja/density",
        "all/math/weight",
    }
    # W&B draws a chart from its configuration and the table beside it.
    drawn = mirror.config["_wandb.visualize.chart/ps/all/ja/weight"]
    assert drawn["panel_config"]["panelDefId"] == "wandb/scatter/v0"
    (rows,) = [row["genes/ps.nrows"] for row in mirror.rows if "genes/ps.nrows" in row]
    assert rows == 11 * 3  # one of twelve failed


def test_a_run_of_a_wandb_sweep_leaves_the_agent_its_id(whole_run, follow, monkeypatch):
    assert follow(*whole_run).run.run_id == run_id(whole_run[0].journal.record)
    monkeypatch.setenv("WANDB_SWEEP_ID", "abcd1234")
    assert follow(*whole_run).run.run_id != run_id(whole_run[0].journal.record)


def tables(run):
    """Read the tables of candidates by stage, as the newest W&B run has them."""
    files = run.journal.folder.glob("wandb/offline-run-*/files/media/table/candidates/*.json")
    newest = sorted(files, key=lambda path: path.stat().st_mtime_ns)
    return {path.name.split("_")[0]: json.loads(path.read_text()) for path in newest}


def test_a_long_genome_goes_into_a_file_at_the_end(new_run, follow):
    new_run.dim = 201
    new_run.stage()
    for generation in range(2):
        new_run.generation(generation)
    mirror = follow(new_run)
    assert not [name for name in mirror.candidates[0] if "genome" in name]
    table = tables(new_run)["ps"]
    assert not [name for name in table["columns"] if "genome" in name]
    assert len(table["data"]) == 8
    assert mirror.config["stages"]["ps"]["genes"] == 201
    assert "names" not in mirror.config["stages"]["ps"]
    (artifact,) = [a for a in mirror.artifacts if a.type == "genomes"]
    (entry,) = artifact.manifest.contents
    assert entry.path == "genomes-ps.npz"
    with np.load(entry.local_path) as arrays:
        wanted = [c.genome for c in new_run.journal.record.candidates()]
        assert arrays["genome"].tolist() == np.array(wanted, dtype=np.float32).tolist()
        assert arrays["generation"].tolist() == [0] * 4 + [1] * 4
        assert arrays["position"].tolist() == [0, 1, 2, 3] * 2
        assert arrays["names"].tolist() == new_run.names


def test_a_short_genome_needs_no_file(whole_run, follow):
    assert [a for a in follow(*whole_run).artifacts if a.type == "genomes"] == []


def test_a_path_is_numbers_and_a_line_of_text(new_run, follow):
    new_run.dim, new_run.walks = 70, True
    new_run.stage("search", merge="dfs")
    new_run.generation(0)
    record = new_run.journal.record
    recipe = record.recipe(record.candidate("search", 0, 0).recipe)
    path = hops(recipe.content)
    won = {"hops": written(path), "statistics": statistics(path)}
    mirror = follow(new_run, {**RESULT, "winner": {"recipe": recipe.hash, "path": won}})
    row = mirror.candidates[0]
    assert row["candidate/path/hops"] == len(path)
    assert row["candidate/path/switches"] == 1
    assert row["candidate/path/share/ja"] == pytest.approx(1 - 1 / len(path))
    # The second is the best of those with an evaluation of their own.
    best = hops(record.recipe(record.candidate("search", 0, 2).recipe).content)
    assert mirror.generations[0]["generation/hops"] == len(best)
    table = tables(new_run)["search"]
    line = dict(zip(table["columns"], table["data"][0], strict=True))
    assert (line["recipe"], line["path"]) == (recipe.hash, short(path))
    assert mirror.summary["winner/path"] == short(path)
    assert mirror.summary["winner/path/hops"] == len(path)


def test_two_stages_share_their_axes_and_have_tables_and_bests_of_their_own(new_run, follow):
    new_run.stage("ps")
    new_run.generation(2)
    new_run.role("finalist:ps:1", "select", 0.7)
    new_run.stage("dfs", merge="dfs", direction="max")
    new_run.generation(0)
    new_run.role("finalist:dfs:1", "select", 0.6)
    mirror = follow(new_run)
    assert [row["candidate/index"] for row in mirror.candidates] == list(range(8))
    assert [row["generation/index"] for row in mirror.generations] == [0, 1]
    assert [row["generation/stage"] for row in mirror.generations] == ["ps", "dfs"]
    # Scores of generation 2 reach 0.22, of generation 0 no more than 0.02.
    bests = [row["generation/best_so_far"] for row in mirror.generations]
    assert bests == pytest.approx([0.22, 0.02])
    assert {stage: len(table["data"]) for stage, table in tables(new_run).items()} == {
        "ps": 4,
        "dfs": 4,
    }
    assert {name: facts["merge"] for name, facts in mirror.config["stages"].items()} == {
        "ps": "ties",
        "dfs": "dfs",
    }
    assert mirror.summary["finalist/ps/1/select"] == 0.7
    assert mirror.summary["finalist/dfs/1/select"] == 0.6


def test_a_long_past_is_logged_in_pieces_that_wandb_does_not_cut(new_run, follow, monkeypatch):
    monkeypatch.setattr(_wandb_run, "LONGEST_PIECE", 8)
    new_run.stage()
    for generation in range(3):
        new_run.generation(generation)
    mirror = follow(new_run)
    lengths = [row["candidates/ps.nrows"] for row in mirror.rows if "candidates/ps.nrows" in row]
    assert lengths == [8, 12]


def test_the_table_grows_with_each_generation_and_misses_no_line(new_run, read_mirror):
    new_run.stage()
    tracker = Wandb(mode="offline")
    tracker.start(new_run.journal.record)
    for generation in range(3):
        new_run.generation(generation, tell=generation < 2)
        tracker.update()
    tracker.finish("interrupted", None)
    mirror = read_mirror(new_run.journal.folder)
    lengths = [row["candidates/ps.nrows"] for row in mirror.rows if "candidates/ps.nrows" in row]
    assert lengths == [4, 8, 12]
    assert mirror.exit_code == 255


def test_without_an_account_it_goes_offline_and_says_so(new_run, follow, caplog):
    with caplog.at_level(logging.INFO, logger="evoforge"):
        mirror = follow(new_run, mode="auto")
    assert mirror.exit_code == 0
    assert "no W&B API key" in caplog.text
    assert "wandb sync" in caplog.text


def examples_of(mirror):
    """Return the table of examples and the files of its pictures, as W&B uploads them."""
    found = [a for a in mirror.artifacts if a.type == "run_table" and "examples" in a.name]
    if not found:
        return None, {}
    files = {entry.path: Path(entry.local_path) for entry in found[-1].manifest.contents}
    table = json.loads(files.pop("examples.table.json").read_text())
    return table, files


@pytest.fixture
def shown_run(whole_run):
    """A run with two examples, one with a picture of 2 by 1 pixels, a source, and a winner."""
    run, result = whole_run
    (run.journal.folder / "examples.html").write_text("a page")
    out = BytesIO()
    Image.new("RGB", (2, 1), "red").save(out, "PNG")
    run.answer("baseline:ja", "test", {"t-0": ("red", 0.0, 0.0), "t-1": ("あおです。", 0.5, 1.0)})
    run.answer("winner", "test", {"t-0": ("あかです。", 1.0, 1.0), "t-1": ("あおです。", 0.5, 1.0)})
    run.journal.add_examples(
        [
            Example("t-0", "何色ですか。", ("あかです。", "赤です。"), out.getvalue()),
            Example("t-1", "では?", ("みどりです。",)),
        ]
    )
    with run.journal.transaction():
        run.journal._insert_meta({"sources": canonical([{"name": "base"}, {"name": "ja"}])})
    return run, result


def test_examples_are_a_table_with_pictures_and_answers(shown_run, follow):
    mirror = follow(*shown_run)
    table, files = examples_of(mirror)
    first, second = (dict(zip(table["columns"], row, strict=True)) for row in table["data"])
    assert list(first) == [
        *("item", "question", "picture", "reference"),
        *("ja", "ja score", "ja language", "winner", "winner score", "winner language"),
    ]
    assert (first["question"], first["reference"]) == ("何色ですか。", "あかです。 / 赤です。")
    assert (first["ja"], first["ja score"], first["ja language"]) == ("red", 0, False)
    assert (first["winner"], first["winner score"], first["winner language"]) == (
        "あかです。",
        1,
        True,
    )
    assert second["picture"] is None
    (file,) = files.values()
    with Image.open(file) as picture:
        assert picture.size == (192, 96)  # two pixels by one, 96 times as large
    assert first["picture"]["path"] in files
    assert [row["examples.nrows"] for row in mirror.rows if "examples.nrows" in row] == [2]
    assert "examples.html" in result_files(mirror)


def test_a_run_logged_again_has_its_examples(shown_run, read_mirror):
    run, result = shown_run
    (run.journal.folder / "result.json").write_text(json.dumps(result))
    assert main([str(run.journal.folder), "--mode", "offline"]) == 0
    table, _ = examples_of(read_mirror(run.journal.folder))
    assert len(table["data"]) == 2


def test_examples_stay_here_if_they_are_to(shown_run, follow):
    mirror = follow(*shown_run, examples=False)
    assert examples_of(mirror) == (None, {})
    assert "examples.html" not in result_files(mirror)


def test_a_run_without_examples_has_no_table_of_them(whole_run, follow):
    assert examples_of(follow(*whole_run)) == (None, {})


def test_disabled_leaves_nothing(new_run):
    tracker = Wandb(mode="disabled")
    tracker.start(new_run.journal.record)
    tracker.update()
    tracker.finish("finished", None)
    assert not (new_run.journal.folder / "wandb").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("mode", "shared"), ("mode", "Offline"), ("timeout", 0.0), ("max_genes", -1)],
)
def test_an_option_out_of_range_is_named(option, value):
    with pytest.raises(ConfigError, match=f"tracker.wandb.{option}"):
        Wandb(**{option: value})


def run_in_process(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_killed_process_leaves_its_candidates(tmp_path, read_mirror):
    process = run_in_process(
        """
        import sys, time
        from pathlib import Path
        from conftest import Run
        from evoforge.journal import Journal
        from evoforge.tracker.wandb import Wandb

        run = Run(Journal.create(Path(sys.argv[1]), {"config": "{}"}))
        tracker = Wandb(mode="offline")
        tracker.start(run.journal.record)
        run.stage()
        run.generation(0)
        tracker.update()
        print("now", flush=True)
        time.sleep(60)
        """,
        str(tmp_path / "run"),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    # W&B writes within a second or so, later where the machine is busy.
    files, deadline = "wandb/offline-run-*/*.wandb", time.monotonic() + 30
    while time.monotonic() < deadline and not (
        list((tmp_path / "run").glob(files)) and len(read_mirror(tmp_path / "run").candidates) == 4
    ):
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(read_mirror(tmp_path / "run").candidates) == 4


def test_a_dead_server_makes_it_go_offline_in_time(tmp_path):
    process = run_in_process(
        """
        import logging, sys, time
        from pathlib import Path
        from conftest import Run, read_mirror
        from evoforge.journal import Journal
        from evoforge.tracker.wandb import Wandb

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        run = Run(Journal.create(Path(sys.argv[1]), {"config": "{}"}))
        run.stage()
        run.generation(0)
        began = time.monotonic()
        tracker = Wandb(mode="online", timeout=1.0)
        tracker.start(run.journal.record)
        tracker.finish("finished", None)
        assert time.monotonic() - began < 10
        assert len(read_mirror(run.journal.folder).candidates) == 4
        """,
        str(tmp_path / "run"),
        WANDB_BASE_URL="http://127.0.0.1:9",
        WANDB_API_KEY="0123456789" * 4,
    )
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "so it logs offline" in output
