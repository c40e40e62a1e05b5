import csv
import io
import re
import sqlite3

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console
from rich.text import Text

from evoforge import seal
from evoforge.errors import ConfigError
from evoforge.report import comparison_plot
from evoforge.report import figure as fig
from evoforge.report.compare import compare, compared, main, show
from evoforge.report.comparison_table import over_seeds_table, ranks_table, sentence, table
from evoforge.report.difference import differences, flatten
from evoforge.report.groups import grouped
from evoforge.report.history import histories
from evoforge.report.ranks import Pair
from evoforge.report.route import winning
from evoforge.report.runs import Comparison, Run, find
from evoforge.report.summary import Scale


def optimizer(name, **options):
    return {"_target_": f"evoforge.optimizer.{name}", **options}


@pytest.fixture
def sweep(new_run, tmp_path):
    """Two population sizes with two seeds each; the last run is not finished."""
    for population in (4, 8):
        for seed in (1, 2):
            config = {
                "seed": seed,
                "optimizer": optimizer("cma_es.CmaEs", population=population, seed=seed),
            }
            run = new_run(f"sweep/{population}_{seed}", seed=seed, config=config)
            run.baselines()
            best = run.search(generations=3, population=population)
            if (population, seed) != (8, 2):
                run.win(best)
                run.journal.finish()
    return tmp_path / "sweep"


def test_a_sweep_is_compared(sweep, tmp_path, content):
    compare([sweep], tmp_path / "out")
    found = content(tmp_path / "out" / "comparison.json")["runs"]
    assert [row["run"] for row in found] == ["4_1", "4_2", "8_1", "8_2"]
    assert [row["config.population"] for row in found] == [4, 4, 8, 8]
    assert found[0]["low"] < found[0]["score"] < found[0]["high"]
    assert found[0]["best_source"] == "ja"
    with (tmp_path / "out" / "comparison.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["finished"] * 3 + ["unfinished"]
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 10_000
    assert (tmp_path / "out" / "comparison.html").stat().st_size > 10_000


def test_runs_that_differ_in_their_seed_alone_stand_together(sweep):
    groups = grouped(compared([sweep]))
    assert {label: [seed for seed, _ in runs] for label, runs in groups.items()} == {
        "population 4": ["seed 1", "seed 2"],
        "population 8": ["seed 1", "seed 2"],
    }


def drawn(renderable, width=100):
    text = io.StringIO()
    Console(file=text, width=width).print(renderable)
    return text.getvalue()


def test_runs_that_differ_in_their_seed_alone_are_summed_up(sweep, tmp_path, content):
    found = compare([sweep], tmp_path / "out")
    (row,) = content(tmp_path / "out" / "comparison.json")["over_seeds"]
    scores = [run.test["score"] for run in found.runs[:2]]
    assert (row["label"], row["seeds"]) == ("population 4", pytest.approx(scores))
    assert row["score"] == pytest.approx(np.mean(scores))
    # Two scores, d apart, have a standard error of d / 2.
    assert row["se_seeds"] == pytest.approx(abs(scores[0] - scores[1]) / 2)
    assert row["low"] < row["score"] < row["high"]
    shown = drawn(over_seeds_table(found))
    assert re.search(rf"population 4 +2 +{100 * row['score']:.1f} \[", shown)


@pytest.fixture
def tried(new_run, tmp_path):
    """Two optimizers with three seeds each, of which one is clearly better."""
    for name, rights in (("cma_es", (30, 33, 36)), ("random_search", (10, 12, 17))):
        for seed, right in enumerate(rights):
            config = {"seed": seed, "optimizer": optimizer(f"{name}.X")}
            run = new_run(f"tried/{name}-{seed}", seed=seed, config=config)
            (recipe,) = run.race([(4, 2, False)])
            run.test("winner", recipe, [1.0] * right + [0.0] * (40 - right))
            run.journal.finish()
    return tmp_path / "tried"


def test_runs_are_shown_one_by_one_over_their_seeds_and_ranked(tried):
    text = io.StringIO()
    show(compared([tried]), Console(file=text, width=80))
    shown = text.getvalue()
    assert shown.index("6 runs") < shown.index("Over seeds") < shown.index("Ranks over 3 blocks")
    assert max(map(len, shown.splitlines())) <= 80


# The differences are 20, 21 and 19 of 40: 50 points, s = 2.5, t = 50 sqrt(3) / 2.5 = 34.6 with two
# degrees of freedom: p = 0.0008; 4.303 standard errors are 6.2 points.
def test_who_is_better_is_told_in_a_table_and_a_sentence(tried):
    shown = drawn(ranks_table(compared([tried])), 200)
    assert re.search(r"cma_es +1\.00 +82\.5 *\n", shown)
    assert re.search(r"random_search +2\.00 +32\.5 +-50\.0 +0 of 3 +<0\.001 +0\.250", shown)
    said = "cma_es beats random_search in 3 of 3 blocks, +50.0 points [43.8,56.2], p < 0.001"
    assert f"{said} (paired t-test)." in " ".join(shown.split())
    assert "over 3 blocks it cannot say less than p = 0.25" in " ".join(shown.split())


def test_what_is_not_clear_is_said_so():
    unclear = Pair("a", "b", 3, 2, 1, 0.01, -0.1, 0.12, 0.6, 0.75, 0.6, 0.75)
    wanted = "a is not clearly different from b: better in 2 of 3 blocks, +1.0 points [-10.0,12.0]"
    assert sentence(unclear, Scale(percent=True)) == f"{wanted}, p = 0.600 (paired t-test)."
    same = Pair("a", "b", 2, 2, 0, 0.5, 0.5, 0.5, None, 0.5)
    assert sentence(same, Scale(percent=False)).endswith(
        "+0.500 [0.500,0.500], the same in all (no test)."
    )


def test_the_ranking_is_in_the_files(tried, tmp_path, content):
    compare([tried], tmp_path / "out", against="random_search")
    found = content(tmp_path / "out" / "comparison.json")["ranking"]
    assert found["reference"] == "random_search"
    assert [(each["first"], each["wins"]) for each in found["pairs"]] == [("cma_es", 3)]


def test_of_very_many_runs_a_group_is_a_row_of_the_picture(tried, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison_plot, "MAX_ROWS", 6)
    found = compared([tried])
    alone = comparison_plot.draw(found, tmp_path / "runs.png")
    monkeypatch.setattr(comparison_plot, "MAX_ROWS", 5)
    together = comparison_plot.draw(found, tmp_path / "groups.png")
    heights = [imread(path).shape[0] for path in (alone, together)]
    # Six rows against the three that the picture is high at least.
    assert heights[0] - heights[1] == pytest.approx(3 * comparison_plot.ROW * fig.DPI, abs=1)


def test_one_seed_needs_no_summary(complete):
    assert over_seeds_table(compared([complete.record.folder])) is None


def test_runs_that_were_judged_otherwise_are_marked(new_run, tmp_path, content):
    for number, (changed, items) in enumerate([({}, 8), ({}, 8), ({"hash": "e"}, 8), ({}, 6)]):
        config = {"seed": number}
        run = new_run(f"sweep/{number}", config=config, protocol=changed)
        (recipe,) = run.race([(4, 2, False)])
        run.test("winner", recipe, [1.0, 0.0] * (items // 2))
        run.journal.finish()
    found = compare([tmp_path / "sweep"], tmp_path / "out")
    assert found.odd == {"2": "another protocol", "3": "other test items"}
    rows = content(tmp_path / "out" / "comparison.json")["runs"]
    assert [row["not_comparable"] for row in rows] == [None, None, *found.odd.values()]
    assert [row["protocol"] for row in rows] == ["c" * 32, "c" * 32, "e", "c" * 32]
    text = drawn(table(found), 80)
    assert text.count("] ≠ ") == 2
    assert "≠ not comparable: 3 has other test items" in text
    # Only the two that compare are summed up.
    (row,) = content(tmp_path / "out" / "comparison.json")["over_seeds"]
    assert len(row["seeds"]) == 2


def test_runs_that_died_are_listed(sweep, tmp_path):
    (sweep / "9_1" / ".hydra").mkdir(parents=True)
    (sweep / ".hydra").mkdir()
    (sweep / "9_2").mkdir()
    (sweep / "9_2" / "journal.sqlite").write_bytes(b"no database at all" * 100)
    found = compare([sweep], tmp_path / "out")
    status = {run.name: run.status for run in found.runs}
    assert (status["9_1"], status["9_2"]) == ("not started", "unreadable")
    assert len(found.runs) == 6


def test_a_run_whose_journal_is_damaged_inside_is_listed(sweep, tmp_path):
    seal.remove(sweep / "4_2")
    with sqlite3.connect(sweep / "4_2" / "journal.sqlite") as connection:
        connection.execute("DROP TABLE roles")
    connection.close()
    found = compare([sweep], tmp_path / "out")
    status = {run.name: run.status for run in found.runs}
    assert (status["4_1"], status["4_2"]) == ("finished", "unreadable")
    assert "no such table: roles" in (tmp_path / "out" / "comparison.html").read_text()


def test_a_run_of_before_stands_beside_one_of_now(new_run, tmp_path):
    options = {"population": 4, "active": True, "bounds": "transform", "restarts": "none"}
    for name, own in (("then", {"population": 4}), ("now", options)):
        new_run(name, config={"seed": 1, "optimizer": optimizer("cma_es.CmaEs", **own)})
    assert list(compared([tmp_path]).settings[0]) == []


def test_what_follows_from_the_optimizer_has_no_column(new_run, tmp_path):
    for name, options in (("cma_es.CmaEs", {"sigma": 0.2}), ("genetic.Genetic", {"sigma": 0.1})):
        new_run(name, config={"optimizer": optimizer(name, **options)})
    found = compared([tmp_path])
    assert list(found.settings[0]) == ["optimizer", "sigma"]
    assert found.names == ("optimizer",)
    shown = table(found)
    assert [column.header for column in shown.columns][:2] == ["run", Text("optimizer")]
    assert "other settings that differ are in comparison.csv (1)" in str(shown.caption)


def test_one_run_without_any_candidate_is_compared(new_run, tmp_path):
    new_run("alone")
    found = compare([tmp_path / "alone"], tmp_path)
    assert (found.runs[0].name, found.runs[0].status) == ("alone", "unfinished")
    assert table(found).title == "1 run"


def test_a_run_where_all_failed_is_compared(new_run, tmp_path):
    new_run("alone").search(failures=1.1, generations=2)
    assert compare([tmp_path / "alone"], tmp_path).runs[0].status == "failed"


def test_runs_with_and_without_paths_are_compared(new_run, walked, tmp_path, content):
    plain = new_run("plain", config={"seed": 1, "merge": {"_target_": "evoforge.merge.ties.Ties"}})
    plain.win(plain.search(generations=1))
    compare([tmp_path], tmp_path / "out")
    rows = {row["run"]: row for row in content(tmp_path / "out" / "comparison.json")["runs"]}
    number = len(winning(walked.record)["path"])
    assert (rows["plain"]["hops"], rows["run"]["hops"]) == (None, number)


def test_long_settings_leave_room_for_every_column(new_run, tmp_path):
    for name in ("sequential", "simultaneous"):
        config = {"merge": {"schedule": name, "first": f"{name}_first", "second": f"{name}_second"}}
        run = new_run(f"sweep/{name}", config=config)
        run.baselines()
        run.win(run.search(generations=1))
        run.journal.finish()
    text = io.StringIO()
    Console(file=text, width=80).print(table(compared([tmp_path / "sweep"])))
    assert max(map(len, text.getvalue().splitlines())) <= 80
    minutes = f"{compared([tmp_path / 'sweep']).rows[0]['minutes']:g}"
    assert re.search(rf" {minutes}$", text.getvalue(), re.M)


def test_many_settings_are_told_below_the_table_and_none_is_cut_off(new_run, tmp_path):
    for number, name in enumerate(("sequential", "simultaneous")):
        config = {"merge": {f"option_{i}": f"{name}_{i}" for i in range(4)}, "seed": number}
        run = new_run(f"sweep/{name}", config=config)
        run.baselines()
        run.win(run.search(generations=1))
        run.journal.finish()
    found = compared([tmp_path / "sweep"])
    lines = drawn(table(found), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    # Every column that is the same for all runs is whole, the last one too.
    row = next(line for line in lines if line.startswith("sequential "))
    assert row.rstrip().endswith(f" {found.rows[0]['minutes']:g}")
    told = " ".join(" ".join(lines).split())
    for number, name in enumerate(("sequential", "simultaneous")):
        options = ", ".join(f"option_{i} {name}_{i}" for i in range(4))
        assert f"{name}: {options}, seed {number}" in told


def test_of_very_many_settings_the_files_know(new_run, tmp_path):
    for name in ("a", "b"):
        run = new_run(f"sweep/{name}", config={"merge": {f"o{i:02}": name for i in range(15)}})
        run.baselines()
    text = drawn(table(compared([tmp_path / "sweep"])))
    assert "o11 a" in text
    assert "o12" not in text
    assert "other settings that differ are in comparison.csv (3)" in text


def test_the_curve_of_two_stages_goes_on(walked):
    (run,) = compared([walked.record.folder]).runs
    evaluations, best = run.curve.evaluations, run.curve.best
    first, second = histories(walked.record)
    assert len(evaluations) == len(first.candidates) + len(second.candidates)
    assert (np.diff(evaluations) >= 0).all()
    assert best[-1] == max(first.best[-1], second.best[-1])


def test_the_same_run_named_twice_counts_once(sweep):
    assert len(find([sweep, sweep / "4_1"])) == 4


def test_the_command_prints_a_table_and_writes_beside_the_runs(sweep, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    assert main([str(sweep)]) == 0
    printed = capsys.readouterr().out
    assert "population" in printed
    assert "unfinished" in printed
    assert (sweep / "comparison.png").is_file()


def test_the_command_ranks_what_it_is_asked_to(tried, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    assert main([str(tried), "--by", "optimizer", "--against", "random_search"]) == 0
    assert "+50.0" in capsys.readouterr().out
    assert main([str(tried), "--against", "tpe"]) == 2
    assert "no group has the name tpe" in " ".join(capsys.readouterr().err.split())


def test_a_folder_without_run_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "there is no run in" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="there is no folder"):
        find([tmp_path / "gone"])


def test_flatten_by_hand():
    config = {"a": {"b": 1}, "c": [{"d": 2}], "e": [1, 2], "f": [], "hydra": {"x": 1}}
    assert flatten(config) == {"a.b": 1, "c.0.d": 2, "e": "[1, 2]"}


def test_only_what_differs_is_told_by_its_shortest_name():
    one = flatten({"seed": 1, "merge": {"size": 1, "t": 1}, "task": {"size": 1}})
    two = flatten({"seed": 2, "merge": {"size": 2, "t": 1}, "task": {"size": 3}})
    assert differences([one, two]) == [
        {"merge.size": 1, "task.size": 1, "seed": 1},
        {"merge.size": 2, "task.size": 3, "seed": 2},
    ]


def test_another_optimizer_is_one_difference():
    one = flatten({"optimizer": optimizer("cma_es.CmaEs", sigma=0.2, population=4)})
    two = flatten({"optimizer": optimizer("genetic.Genetic", mutation=0.1, population=8)})
    assert differences([one, two]) == [
        {"optimizer": "cma_es", "population": 4},
        {"optimizer": "genetic", "population": 8},
    ]


def test_a_part_inside_another_thing_is_told_where_its_runs_differ_in_it():
    def both(schedule):
        inner = {"dfs": {"_target_": "evoforge.merge.dfs.Dfs", "repeats": 2}}
        target = "evoforge.merge.ties_dfs.TiesDfs"
        return flatten({"merge": {"_target_": target, "schedule": schedule, **inner}})

    alone = flatten({"merge": {"_target_": "evoforge.merge.dfs.Dfs", "repeats": 2}})
    assert differences([alone, both("sequential"), both("joint")]) == [
        {"merge": "dfs", "schedule": None},
        {"merge": "ties_dfs", "schedule": "sequential"},
        {"merge": "ties_dfs", "schedule": "joint"},
    ]


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        (({"merge": "dfs", "size": None}, {"merge": "ties", "size": 3}), ["dfs", "ties, size 3"]),
        (({"a": "x", "b": None}, {"a": None, "b": "x"}), ["x, b None", "a None, x"]),
        (({"start": '["soup"]'}, {"start": '["middle"]'}), ['start ["soup"]', 'start ["middle"]']),
    ],
    ids=["plain", "needed", "list"],
)
def test_what_a_run_has_not_is_said_only_where_it_is_needed(settings, labels):
    runs = tuple(Run(str(i), "finished", {}, None, None) for i in range(2))
    assert list(grouped(Comparison(runs, settings, ({}, {})))) == labels


def test_a_seed_that_is_handed_on_is_not_told_twice():
    one, two = ({"seed": seed, "fitness.seed": seed, "task.seed": 7 - seed} for seed in (1, 2))
    assert differences([one, two]) == [{"task.seed": 6, "seed": 1}, {"task.seed": 5, "seed": 2}]


def test_a_seed_that_only_some_runs_hand_on_is_not_told_twice():
    runs = [{"seed": 1, "merge.seed": 1}, {"seed": 2, "merge.seed": 2}, {"seed": 1}]
    assert differences(runs) == [{"seed": 1}, {"seed": 2}, {"seed": 1}]


def test_a_run_without_settings_does_not_count():
    assert differences([{"seed": 1}, {"seed": 2}, {}]) == [{"seed": 1}, {"seed": 2}, {"seed": None}]
