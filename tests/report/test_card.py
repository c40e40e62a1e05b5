import ast
import re

import pytest
import yaml
from huggingface_hub import ModelCard

from evoforge.path import hops, short
from evoforge.recipe import Recipe
from evoforge.report.card import card, hub_id
from evoforge.report.markdown import escape
from evoforge.report.result import build
from evoforge.report.vision import USE
from tests.report.conftest import recipe_of


@pytest.fixture
def made(complete):
    result = build(complete.record)
    return card(complete.record, result), result


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_header_is_what_the_hub_reads(made):
    text, result = made
    head = front(text)
    assert head["base_model"] == ["acme/base", "acme/ja", "acme/math_a", "acme/math_b"]
    assert head["base_model_relation"] == "merge"
    assert head["tags"] == ["merge", "evoforge", "ties"]
    assert (head["library_name"], head["license"]) == ("transformers", "apache-2.0")
    (score,) = head["model-index"][0]["results"]
    assert score["metrics"][0]["value"] == pytest.approx(result["winner"]["test"]["score"])
    assert score["dataset"]["name"] == "mgsm_ja"


def test_the_text_says_how_it_was_made(made):
    text, result = made
    for wanted in (result["winner"]["recipe"], "c" * 32, "f" * 40, "seed 1", "evoforge 0.1.0"):
        assert wanted in text
    assert '"method":"ties"' in text
    assert "test items were held out" in text
    assert "10.1038/s42256-024-00975-8" in text


def test_what_a_proxy_looked_at_is_no_answer(complete):
    result = build(complete.record)
    result["counts"] |= {"items": 100, "items_search": 40, "items_proxy": 30}
    text = card(complete.record, result)
    assert "70 answers (40 of them in the search) and 30 items looked at by a proxy, in" in text


def test_scores_come_with_their_protocol_and_corrected_tests(new_run):
    search = {"search_hash": "d" * 32, "search": {"phrase": "答えは"}}
    run = new_run(protocol={"protocol": "robust", "prompt_is": "published", **search})
    run.baselines()
    run.win(run.search())
    text = card(run.record, build(run.record))
    assert "under the protocol mgsm\\_ja (robust, the published prompt) (`" + "c" * 32 in text
    assert "p-values corrected for 5 comparisons by Holm's method" in text
    assert "stopped answers early (phrase 答えは); reports do not" in text
    assert "were all equally good, the best would look about" in text


@pytest.mark.parametrize("licences", [("llama3", "gemma"), (None, None), ("mit", None)])
def test_licences_that_differ_or_are_unknown_are_other(complete, licences):
    result = build(complete.record)
    for source, licence in zip(result["sources"], licences * 2, strict=True):
        source["license"] = licence
    text = card(complete.record, result)
    assert front(text)["license"] == "other"
    assert "the conditions of each parent apply" in text
    assert all((licence or "unknown") in text for licence in licences)


def test_of_licences_that_differ_the_strictest_is_named(complete):
    result = build(complete.record)
    for source, licence in zip(result["sources"], ("mit", "apache-2.0") * 2, strict=True):
        source["license"] = licence
    text = card(complete.record, result)
    assert front(text)["license"] == "apache-2.0"
    assert "the strictest of them, apache-2.0, and the conditions of each parent apply" in text


def test_a_path_of_this_machine_is_not_told(complete):
    result = build(complete.record)
    result["sources"][1] |= {"path": "/home/me/secret/ja", "revision": None}
    result["sources"][2] |= {"path": "bundled:math_a", "revision": None}
    text = card(complete.record, result)
    assert "secret" not in text
    assert front(text)["base_model"] == ["acme/base", "ja", "math_a", "acme/math_b"]


def test_a_folder_that_looks_like_a_hub_id_is_none():
    assert hub_id({"name": "ja", "path": "models/ja", "revision": None}) == "ja"
    assert hub_id({"name": "ja", "path": "acme/ja", "revision": "f" * 40}) == "acme/ja"


def test_what_users_write_cannot_break_the_page(complete):
    result = build(complete.record)
    evil = "x|y\n# [z](http://a) <script>`*_"
    result["protocol"]["name"] = evil
    result["sources"][1]["license"] = evil
    text = card(complete.record, result)
    # What stands in fenced blocks is shown as it is.
    body = re.sub(r"(`{3,}).*?\n\1", "", text.split("---\n", 2)[2], flags=re.S)
    assert "<script>" not in body
    assert not re.search(r"^# \[z\]", body, re.M)
    assert front(text)["model-index"][0]["results"][0]["dataset"]["name"] == evil


def test_a_fence_in_a_name_does_not_end_the_code(new_run):
    run = new_run()
    run.win(run.search(sources=("a```b",), generations=1))
    assert "\n````json\n" in card(run.record, build(run.record))


def test_escape_by_hand():
    assert escape("a_b|c\nd<e>&") == r"a\_b\|c d&lt;e&gt;&amp;"


def test_a_failed_test_score_is_left_out(complete):
    result = build(complete.record)
    result["winner"]["test"] = None
    assert "model-index" not in front(card(complete.record, result))


def test_where_a_search_started_is_told(complete):
    (name, info), *_ = complete.record.stages().items()
    starts = ["the winner of the run x|<b>", "the uniform soup"]
    complete.journal.add_stage(name, {**info, "starts": starts})
    text = card(complete.record, build(complete.record))
    assert "It started from the winner of the run x\\|&lt;b&gt;, the uniform soup." in text


def test_a_path_is_told_and_its_parents_are_models(walked):
    result = build(walked.record)
    text = card(walked.record, result)
    head = front(text)
    assert head["base_model"] == ["acme/base", "acme/ja", "acme/math_a", "acme/math_b"]
    assert head["tags"] == ["merge", "evoforge", "ties", "dfs"]
    assert "(ties + dfs)" in text
    path = hops(walked.record.recipe(result["winner"]["recipe"]).content)
    assert f"\n\n{escape(short(path))}\n\n" in text
    assert f"{len(path)} hops" in text
    assert "The numbers of merged, which is itself a merge" in text
    assert "| all |" in text
    for number, hop in enumerate(path, start=1):
        assert f"| {number} | {hop.source} | {hop.layer} | {hop.scale:g} |" in text
    assert text.count("<details>") == text.count("</details>") == 3


def test_a_path_through_sources_names_those_that_take_part(new_run):
    run = new_run()
    run.win(run.paths(layers={"math_a": 4, "ja": 4}))
    text = card(run.record, build(run.record))
    assert front(text)["base_model"] == ["acme/ja", "acme/math_a"]
    assert "# ja + math\\_a (dfs)" in text
    assert "itself a merge" not in text


def test_odd_names_in_a_path_cannot_break_the_page(new_run):
    run = new_run()
    run.win(run.paths(layers={"a|b": 2, "<b>": 2}, generations=1))
    text = card(run.record, build(run.record))
    body = re.sub(r"(`{3,}).*?\n\1", "", text.split("---\n", 2)[2], flags=re.S)
    assert "<b>" not in body
    assert "| 1 | a\\|b | 0 | 1 |" in body


def test_a_run_without_winner_has_no_card(new_run):
    run = new_run()
    with pytest.raises(ValueError, match="no model card"):
        card(run.record, build(run.record))


VISION = {
    "source": "vlm",
    "hash": "e" * 32,
    "class": "LlavaForConditionalGeneration",
    "model_type": "llava",
    "settings": {"rope_theta": {"vlm": 1e6, "llm": 1e4, "from": "llm"}},
}


@pytest.fixture
def seeing(new_run):
    """A run whose winner is a language model in the frame of another source, `math_b`."""
    run = new_run()
    run.baselines()
    content = dict(recipe_of({"all": {"ja": {"weight": 1.0}}}).content)
    content |= {"vision": {**VISION, "source": "math_b"}}
    content["sources"] = [s for s in content["sources"] if s["name"] == "ja"]
    recipe = Recipe(content)
    with run.journal.transaction():
        run.journal.add_recipe(recipe)
    run.win(recipe)
    return run


def test_a_model_that_sees_is_told_with_its_frame_and_how_to_load_it(seeing):
    text = card(seeing.record, build(seeing.record))
    head = front(text)
    assert head["pipeline_tag"] == "image-text-to-text"
    assert head["model-index"][0]["results"][0]["task"]["type"] == "image-text-to-text"
    # The frame's licence binds too, though nothing of its language part was merged.
    assert head["base_model"] == ["acme/base", "acme/ja", "acme/math_b"]
    for wanted in (
        "math\\_b, unchanged",
        "e" * 32,
        "`LlavaForConditionalGeneration`",
        "fixed size",
    ):
        assert wanted in text
    assert "| rope\\_theta | 1000000.0 | 10000.0 | llm |" in text
    assert "AutoModelForImageTextToText.from_pretrained" in text


def test_a_model_that_reads_alone_says_nothing_of_pictures(made):
    text, _ = made
    assert front(text)["pipeline_tag"] == "text-generation"
    assert "ImageTextToText" not in text


def test_the_way_to_load_a_model_that_sees_is_python():
    ast.parse(USE)


def test_the_hubs_own_library_reads_the_card_and_keeps_it(made):
    text, result = made
    found = ModelCard(text)
    assert found.data.license == "apache-2.0"
    (score,) = found.data.eval_results
    assert score.dataset_args == {"protocol": "c" * 32}
    assert score.metric_value == pytest.approx(result["winner"]["test"]["score"], abs=1e-4)
    assert front(str(found)) == front(text)
    assert str(found).split("---\n", 2)[2] == text.split("---\n", 2)[2]
