import copy
import io
import re

import pytest
from rich.console import Console

from evoforge.path import hops, short
from evoforge.report.result import build
from evoforge.report.summary import Scale, best_source, p_value, reading, rows
from evoforge.report.table import summary
from tests.report.conftest import recipe_of


def shown(renderable, width=120):
    text = io.StringIO()
    Console(file=text, width=width).print(renderable)
    return text.getvalue()


def test_tables_name_every_model_and_mark_the_best_source(complete):
    text = shown(summary(complete.record, build(complete.record)))
    for name in ("ja", "math_a", "math_b", "uniform soup", "start point", "winner"):
        assert name in text
    assert text.count("(best)") == 1


@pytest.mark.parametrize("width", [80, 100])
def test_tables_fit_a_pipe_without_colour_or_loss(complete, width):
    text = shown(summary(complete.record, build(complete.record)), width)
    assert "\x1b" not in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_tables_of_a_run_without_winner(new_run):
    run = new_run()
    run.baselines(ja="out of memory")
    run.search(generations=1)
    text = shown(summary(run.record, build(run.record)))
    assert "has no winner yet" in text
    assert "failed" in text


def test_tables_of_an_empty_run(new_run):
    run = new_run()
    assert "0 candidates" in shown(summary(run.record, build(run.record)))


def test_layers_stand_in_their_order(new_run):
    run = new_run()
    run.win(run.search(groups=[f"layer{i}" for i in range(12)], generations=1))
    text = shown(summary(run.record, build(run.record)))
    assert text.index("layer2 ") < text.index("layer10 ")


def test_two_hundred_genes_are_cut_short(new_run):
    run = new_run()
    groups = [f"layer{i}" for i in range(67)]
    run.win(run.search(groups=groups, parameters=("weight",), generations=1))
    assert "55 groups more: see report.html" in shown(summary(run.record, build(run.record)))


def test_a_path_is_shown_in_a_line_and_hop_by_hop(walked):
    result = build(walked.record)
    text = shown(summary(walked.record, result))
    path = hops(walked.record.recipe(result["winner"]["recipe"]).content)
    assert short(path) in text
    assert f"{len(path)} hops, " in text
    rows = re.findall(r"^ *(\d+)  (merged|ja) +(\d+) +([\d.]+)$", text, re.M)
    assert [(s, int(layer)) for _, s, layer, _ in rows] == [(h.source, h.layer) for h in path]
    assert "The numbers of merged" in text
    assert "The winner's numbers" not in text


def test_a_path_without_scales_needs_no_rows(new_run):
    run = new_run()
    run.win(run.paths(scale="none", generations=1))
    text = shown(summary(run.record, build(run.record)))
    assert "all scales are 1" in text
    assert "Hops" not in text
    assert "numbers" not in text


def test_a_long_path_is_cut_short(new_run):
    run = new_run()
    best = run.paths(layers={"math_a": 32, "ja": 32}, generations=1)
    run.win(best)
    more = len(best.content["path"]) - 40
    text = shown(summary(run.record, build(run.record)), 80)
    assert f"and {more} hops more: see the recipe" in text
    assert max(map(len, text.splitlines())) <= 80


def test_markup_in_names_is_shown_as_it_stands(complete):
    result = build(complete.record)
    result["sources"][1]["name"] = "[red]ja[/red]"
    for part in ("baselines", "paired"):
        result[part]["[red]ja[/red]"] = result[part].pop("ja")
    assert "[red]ja[/red]" in shown(summary(complete.record, result))


def test_sources_come_first_and_the_winner_last(complete):
    kinds = [row.kind for row in rows(build(complete.record))]
    assert kinds == ["source"] * 3 + ["merge"] * 2 + ["winner"]


def test_the_best_source_is_the_best_on_the_test_items(complete):
    result = build(complete.record)
    scores = {name: result["baselines"][name]["test"]["score"] for name in ("ja", "math_a")}
    assert best_source(result) == max(scores, key=scores.get)


def paired_of(result, difference, p):
    best = best_source(result)
    result = copy.deepcopy(result)
    result["paired"][best] |= {"difference": difference, "low": 0.25, "high": 0.35, "p_holm": p}
    return reading(result)[0]


def test_reading_says_how_sure_it_is(complete):
    result = build(complete.record)
    won = paired_of(result, 0.312, 0.0002)
    assert "beats the best source, ja, by 31.2 points [25.0, 35.0], p < 0.001" in won
    assert "by Holm's method for 5 baselines; 40 test items, used once" in won
    assert "is worse than the best source, ja, by 31.2 points" in paired_of(result, -0.312, 0.01)
    assert "not clearly different" in paired_of(result, 0.1, 0.2)


def test_one_comparison_needs_no_correction(new_run):
    run = new_run()
    (recipe,) = run.race([(4, 2, False)])
    run.test("winner", recipe, [1.0] * 9 + [0.0])
    run.test("baseline:ja", recipe_of({}), [0.0] * 9 + [1.0])
    text = shown(summary(run.record, build(run.record)))
    assert "p = 0.021 (exact McNemar test; 10 test items" in text
    assert "Holm" not in text


def curse_of(result, **changes):
    result = copy.deepcopy(result)
    result["winner"]["curse"] |= changes
    return reading(result)[1]


def test_reading_names_the_winners_curse(complete):
    result = build(complete.record)
    told = {"candidates": 180, "items": 128, "best": 0.7, "optimism": 0.1, "if_equal": 0.098}
    assert curse_of(result, **told) == (
        "In the search the best of 180 candidates scored 70.0 on 128 items, 10.0 points better "
        "than the winner on the test items; were all equally good, the best would look about 9.8 "
        "points better than it is: trust the test column."
    )
    assert "5.0 points worse than the winner on the test" in curse_of(result, optimism=-0.05)
    same = curse_of(result, optimism=0.0, items=1)
    assert "on 1 item, the same as the winner on the test items" in same
    alone = curse_of(result, candidates=1, if_equal=0.0)
    assert "In the search the only candidate scored" in alone
    assert "equally" not in alone


def test_reading_says_how_many_items_count(complete):
    result = copy.deepcopy(build(complete.record))
    result["winner"]["test"]["counted"] = 3
    assert "test items, 3 of which count, used once" in reading(result)[0]


def test_the_protocol_is_named_with_what_the_search_did(new_run):
    search = {"search_hash": "d" * 32, "search": {"repeats": 4}}
    run = new_run(protocol={"protocol": "sakana", "prompt_is": "own", **search})
    run.win(run.search(generations=1))
    text = shown(summary(run.record, build(run.record)), 80)
    assert "Protocol: mgsm_ja (sakana, own prompt), hash cccccccccccc." in text
    assert "The search stopped answers early (repeats 4); reports do not." in text


def test_answers_that_came_to_the_limit_are_warned_of(new_run):
    run = new_run()
    (recipe,) = run.race([(4, 2, False)])
    ends = ["end"] * 19 + ["length"]
    run.test("winner", recipe, [1.0] * 20, reasons=ends)
    run.test("baseline:ja", recipe_of({}), [1.0] * 20, reasons=["end", "length"] * 10)
    said = " ".join(reading(build(run.record)))
    # One in twenty is not yet worth a word.
    assert "on the test items: ja 50%; these scores hang on task.max_new_tokens" in said


def test_what_was_answered_for_whom_is_told(complete):
    text = shown(summary(complete.record, build(complete.record)))
    assert "by baselines, 80 by the winner" in text


def test_lower_can_be_better(complete):
    result = build(complete.record)
    for stage in result["stages"].values():
        stage["direction"] = "min"
    assert "beats" in paired_of(result, -0.312, 0.01)
    assert "lower is better" in shown(summary(complete.record, result))


def test_numbers_as_they_are_printed():
    assert Scale(True).number(0.3125) == "31.2"
    assert Scale(True).number(-0.02, sign=True) == "-2.0"
    assert Scale(False).number(12.34567) == "12.346"
    assert (p_value(0.0004), p_value(0.0213)) == ("p<0.001", "p=0.021")
