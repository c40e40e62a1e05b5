from evoforge.recipe import Recipe
from evoforge.tracker._rows import (
    genome_row,
    path_row,
    protocol_summary,
    result_lines,
    result_summary,
    stage_facts,
    winner_summary,
)

INNER = {"method": "ties", "values": {"all": {"ja": {"weight": 0.7, "density": 0.5}}}}
SOURCES = [{"name": "merged", "hash": "x", "recipe": INNER}, {"name": "ja", "hash": "j"}]


def test_values_of_a_merge_inside_a_path_are_told_if_they_have_genes():
    recipe = Recipe({"method": "dfs", "sources": SOURCES, "path": [["merged", 0, 1.0]]})
    assert genome_row({"all/ja/weight": 0.25}, recipe) == {
        "genome/all/ja/weight": 0.25,
        "value/all/ja/weight": 0.7,
    }


def test_a_source_that_a_path_does_without_has_a_share_of_zero():
    row = path_row(Recipe({"sources": SOURCES, "path": [["merged", 0, 1.0], ["merged", 1, -0.5]]}))
    assert row["path/share/merged"] == 1
    assert row["path/share/ja"] == 0
    assert (row["path/hops"], row["path/least_scale"]) == (2, 0.5)


def test_a_recipe_without_path_has_no_numbers_of_one():
    assert path_row(Recipe({"method": "ties", "values": {}})) == {}
    assert winner_summary({"winner": {"recipe": "x"}}) == {}
    assert winner_summary({"winner": None}) == {}


def test_facts_of_few_genes_stay_whole():
    facts = {"names": ["a", "b"], "low": [0, 0], "high": [1, 1], "merge": "dfs"}
    assert stage_facts(facts, 2) == facts
    assert stage_facts(facts, 1) == {"merge": "dfs", "genes": 2}


def test_scores_come_with_their_standard_errors():
    test = {"score": 0.5, "low": 0.4, "high": 0.6, "se": 0.05, "items": 100}
    (line,) = result_lines({"winner": {"recipe": "x", "test": test, "curse": {"test": 0.5}}})
    assert line == ["winner", "test", 0.5, 0.4, 0.6, 0.05]
    assert result_summary(line)["winner/test_se"] == 0.05


def test_the_summary_says_how_the_search_flattered():
    curse = {"candidates": 180, "items": 128, "optimism": 0.1, "if_equal": None, "best": 0.6}
    found = winner_summary({"winner": {"curse": curse}})
    assert found == {"winner/candidates": 180, "winner/items": 128, "winner/optimism": 0.1}


def test_the_summary_names_the_protocol():
    protocol = {"task": "mgsm_ja", "protocol": "sakana", "hash": "c", "stop": ["x"]}
    found = protocol_summary({"protocol": protocol})
    assert found == {
        "protocol/task": "mgsm_ja",
        "protocol/protocol": "sakana",
        "protocol/hash": "c",
    }
    assert protocol_summary({}) == {}
