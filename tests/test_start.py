import json
import math
import shutil
import time

import numpy as np
import pytest

from evoforge import session
from evoforge.assembly import assemble
from evoforge.errors import ConfigError, JournalError
from evoforge.merge.dfs import Dfs
from evoforge.merge.ties import Ties
from evoforge.merge.ties_dfs import TiesDfs
from evoforge.path import hops
from evoforge.record import Record
from evoforge.start import recorded, soup, starts
from tests.conftest import open_pico
from tests.loop import WEIGHT, Search, content

UNIT = {"low": 0.0, "high": 1.0}


@pytest.fixture(scope="module")
def before(pico, tmp_path_factory):
    """The folder of a run over TIES merges, and that of a search in two parts."""
    found = {}
    for name, schedule in (("one", None), ("two", "sequential")):
        found[name] = tmp_path_factory.mktemp("before") / name
        search = Search(pico, found[name], evaluations=16, schedule=schedule)
        search.run()
        search.journal.close()
    return found


def winner(folder):
    record = Record.open(folder)
    recipe = record.recipe(record.evaluation(record.roles()["winner", "test"]).recipe)
    record.close()
    return recipe


@pytest.fixture
def ties(pool):
    return Ties(pool, weight=WEIGHT)


@pytest.fixture
def hybrid(pool):
    return TiesDfs(
        pool,
        ps=lambda pool: Ties(pool, weight=WEIGHT),
        dfs=lambda pool, merged: Dfs(pool, merged, sources=["b"], repeats=1),
    )


def test_the_soup_and_the_middle(ties):
    found = starts(["soup", "middle"], ties)["search"]
    assert [start.text for start in found] == ["the uniform soup", "the middle of the space"]
    np.testing.assert_allclose(found[0].genome, 1 / 3, atol=1e-6)
    np.testing.assert_array_equal(found[1].genome, ties.space.init)
    assert found[0].recipe == ties.recipe(ties.encode(soup(ties.pool))).hash


def test_another_runs_winner(before, ties):
    (start,) = starts([{"run": str(before["one"])}], ties)["search"]
    assert start.text == "the winner of the run one"
    assert start.recipe == winner(before["one"]).hash


def test_the_best_candidates_of_another_search(before, ties):
    found = starts([{"journal": str(before["one"]), "best": 3}], ties)["search"]
    record = Record.open(before["one"])
    told = {}
    for one in record.candidates():
        fitness = record.told("search", one.generation)[one.position]
        told.setdefault(one.recipe, []).append(fitness)
    record.close()
    best = sorted(told, key=lambda recipe: -np.mean(told[recipe]))
    assert [start.recipe for start in found] == best[:3]
    assert found[2].text == "number 3 of the search of the run one"
    assert len(starts([{"journal": str(before["one"])}], ties)["search"]) == 5


def test_a_mergekit_file(pico, ties, tmp_path, caplog):
    path = tmp_path / "recipe.yml"
    text = (
        f"{{merge_method: ties, base_model: {pico['base']}, models: ["
        f"{{model: {pico['a']}, parameters: {{weight: 0.5, density: 0.5}}}},"
        f"{{model: {pico['c']}, parameters: {{weight: 0.3, density: 0.5}}}}]"
    )
    path.write_text(text + ", parameters: {normalize: false}}")
    (start,) = starts([{"mergekit": str(path)}], ties)["search"]
    weights = ties.recipe(start.genome).content["values"]["all"]
    assert [weights[name]["weight"] for name in "abc"] == [0.5, 0.0, 0.3]
    assert start.text == "the mergekit file recipe.yml"
    assert not caplog.records
    path.write_text(text + "}")
    starts([{"mergekit": str(path)}], ties)
    assert "ties has normalize=True in the recipe to start from, here False" in caplog.text


def test_a_recipe_file(ties, tmp_path):
    recipe = ties.recipe(np.array([0.1, 0.2, 0.3]))
    path = tmp_path / "recipe.json"
    path.write_text(recipe.text)
    (start,) = starts([{"recipe": str(path)}], ties)["search"]
    assert start.recipe == recipe.hash
    assert start.text == f"the recipe {recipe.hash[:12]}"


def test_what_comes_twice_counts_once(before, ties):
    given = [{"run": str(before["one"])}, "middle", {"journal": str(before["one"]), "best": 4}]
    found = starts(given, ties)["search"]
    assert len({start.genome.tobytes() for start in found}) == len(found)
    assert len(starts([given[0], given[0]], ties)["search"]) == 1


def test_each_of_two_searches_takes_what_it_can_read(before, hybrid):
    found = starts(["soup", {"run": str(before["two"])}], hybrid)
    assert [start.text for start in found["ps"]] == [
        "the uniform soup",
        "the winner of the run two",
    ]
    content = winner(before["two"]).content
    # The select items may choose the merge itself, which is no path.
    inner = content["sources"][0]["recipe"] if "path" in content else content
    assert hybrid.ps.recipe(found["ps"][1].genome).content == inner
    if "path" in content:
        assert found["dfs"][0].recipe is None
        dfs = hybrid.dfs.over(winner(before["one"]))
        assert hops(dfs.recipe(found["dfs"][0].genome).content) == hops(content)
    else:
        assert "dfs" not in found


def test_a_search_over_paths_takes_that_search_of_another_run(before, hybrid):
    found = starts([{"journal": str(before["two"]), "best": 2}], hybrid)
    record = Record.open(before["two"])
    asked = {one.recipe for one in record.candidates() if one.stage == "ps"}
    record.close()
    assert {start.recipe for start in found["ps"]} <= asked
    assert len(found["ps"]) == len(found["dfs"]) == 2


def test_starts_are_kept_as_they_are(before, ties):
    found = starts(["soup", {"run": str(before["one"])}], ties)
    facts = {name: [start.facts for start in each] for name, each in found.items()}
    again = recorded(json.loads(json.dumps(facts)))
    for one, other in zip(found["search"], again["search"], strict=True):
        assert (one.text, one.recipe) == (other.text, other.recipe)
        assert one.genome.tobytes() == other.genome.tobytes()


def test_none_are_none(ties):
    assert starts([], ties) == {}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("soup", "start must be a list of soup, middle, .*, got 'soup'; set start"),
        (["sopu"], r"got 'sopu' \(did you mean soup\?\); set start"),
        ([3], "start must hold some of soup, middle, .*, got 3; set start"),
        ([{"rnu": "x"}], r"got \{'rnu': 'x'\}; set start"),
        ([{"run": "x", "best": 3}], r"got \{'run': 'x', 'best': 3\}; set start"),
        ([{"run": "x", "recipe": "y"}], r"got \{'run': 'x', 'recipe': 'y'\}; set start"),
        ([{"run": None}], "run must be a path, got None; set start"),
        ([{"journal": "x", "best": 0}], "best must be a whole number from 1 on, got 0; set start"),
        ([{"run": "nowhere"}], "there is no run in nowhere"),
        ([{"recipe": "nowhere"}], "cannot read nowhere: No such file or directory; set start"),
        ([{"mergekit": "nowhere"}], "nowhere"),
    ],
)
def test_mistakes_are_one_sentence(given, sentence, ties):
    with pytest.raises(ConfigError, match=sentence):
        starts(given, ties)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no JSON"),
        ("[]", "is no recipe of evoforge"),
        ('{"a": 1}', "is no recipe of evoforge"),
        ('{"method": "ties", "format": 1}', "has format 1, this evoforge reads 2"),
        ('{"method": "ties", "format": 2}', "is damaged or incomplete"),
    ],
)
def test_files_that_are_no_recipes_are_refused(text, sentence, ties, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        starts([{"recipe": str(path)}], ties)


@pytest.mark.parametrize("missing", ["sources", "base", "options", "values"])
def test_an_incomplete_recipe_is_refused(missing, ties, tmp_path):
    content = dict(ties.recipe(ties.space.init).content)
    del content[missing]
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="is damaged or incomplete; set start to another recipe"):
        starts([{"recipe": str(path)}], ties)


@pytest.mark.parametrize(
    "changed",
    [
        {"sources": 5},
        {"options": 3},
        {"values": [1]},
        {"values": {"all": 3}},
        {"values": {"all": {"a": 3}}},
        {"values": {"all": {"a": {"weight": "x"}}}},
        {"values": {"all": {"a": {"weight": math.nan}}}},
        {"path": [["a", 0]], "options": {"scale_target": "stream"}},
        {"path": 3, "options": {"scale_target": "stream"}},
    ],
    ids=str,
)
def test_a_recipe_of_other_kinds_of_values_is_refused(changed, ties, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({**ties.recipe(ties.space.init).content, **changed}))
    with pytest.raises(ConfigError, match="is damaged or incomplete; set start to another recipe"):
        starts([{"recipe": str(path)}], ties)


def test_a_search_over_paths_has_no_soup(pool):
    with pytest.raises(
        ConfigError, match="the uniform soup is a merge of weights, from which merge=dfs"
    ):
        starts(["soup"], Dfs(pool))


def test_what_cannot_be_started_from_says_where_it_came_from(before, pico):
    fewer = open_pico({name: pico[name] for name in ("base", "a", "b")})
    with pytest.raises(
        ConfigError, match="cannot start from the winner of the run one: the recipe"
    ):
        starts([{"run": str(before["one"])}], Ties(fewer, weight=WEIGHT))


def test_a_run_without_a_winner_says_what_to_do(pico, ties, tmp_path):
    search = Search(pico, tmp_path, evaluations=4)
    search.search_only()
    search.journal.close()
    with pytest.raises(ConfigError, match="has no winner yet; let it end, or start from the best"):
        starts([{"run": str(tmp_path)}], ties)
    assert starts([{"journal": str(tmp_path), "best": 1}], ties)["search"][0].recipe
    empty = Search(pico, tmp_path / "empty", evaluations=4)
    with pytest.raises(ConfigError, match="no candidate was judged yet by the run in"):
        starts([{"journal": str(tmp_path / "empty")}], ties)
    empty.journal.close()


SMALL = [
    "merge=ties",
    "budget.evaluations=10",
    "optimizer.population=5",
    "finalists=1",
    "fitness.size=4",
    "task.items.search=4",
    "task.items.select=4",
    "task.items.test=4",
    "task.max_new_tokens=1",
    "tracker=[]",
]


@pytest.fixture(scope="module")
def small(compose, pico):
    """Return what makes the configuration of a small run over the pico models."""
    sources = {
        name: {"path": str(path), "role": "base" if name == "base" else "source"}
        for name, path in pico.items()
    }
    models = {"_target_": "evoforge.models.pool.open_pool", "sources": sources}
    return lambda *more: compose(*SMALL, *more) | {"models": models}


@pytest.fixture(scope="module")
def earlier(before, tmp_path_factory):
    """The folder of a run that can be deleted."""
    return shutil.copytree(before["one"], tmp_path_factory.mktemp("earlier") / "earlier")


@pytest.fixture(scope="module")
def run(small, earlier, tmp_path_factory):
    """Return what does a run from the winner of an earlier one, or goes on with it."""
    root = tmp_path_factory.mktemp("runs")

    def do(name, start=f"start=[{{run: {earlier}}},middle,soup]"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session, "_draw", lambda record: None)
            patch.setattr(session, "_show", lambda journal: None)
            cfg = small(start, "merge.granularity=whole")
            session.run(cfg, root / name, started=time.monotonic(), may_exist=True)
        return root / name

    return do


@pytest.fixture(scope="module")
def whole(run):
    """The folder of a run that was not interrupted."""
    return run("whole")


def test_the_starts_are_asked_first_scored_alone_and_told(whole, before):
    record = Record.open(whole)
    kept = json.loads(record.meta("starts"))["search"]
    asked = [candidate.recipe for candidate in record.generation("search", 0)]
    assert [one["recipe"] for one in kept] == asked[:3]
    assert kept[0]["recipe"] == winner(before["one"]).hash
    assert record.stages()["search"]["starts"] == [one["from"] for one in kept]
    alone = record.evaluation(record.roles()["baseline:start_point", "test"])
    assert alone.recipe == kept[0]["recipe"]
    record.close()
    card = (whole / "model" / "README.md").read_text("utf-8")
    assert "It started from the winner of the run earlier, the middle of the space, the" in card


def test_a_killed_run_goes_on_without_the_run_it_started_from(run, whole, earlier, monkeypatch):
    tell = session.Journal.tell

    def kill(self, stage, generation, fitness):
        if generation == 1:
            raise KeyboardInterrupt
        tell(self, stage, generation, fitness)

    with monkeypatch.context() as patch:
        patch.setattr(session.Journal, "tell", kill)
        with pytest.raises(KeyboardInterrupt):
            run("killed")
    shutil.rmtree(earlier)
    killed = run("killed")
    assert content(killed) == content(whole)
    with pytest.raises(JournalError, match=r"was started with other options \(start: "):
        run("killed", "start=[soup]")
    shutil.rmtree(killed / "model")
    assert (run("killed") / "model").is_dir()


def test_runs_without_starts_say_nothing_of_them(small):
    parts = assemble(small())
    assert parts.starts == {}
    assert "starts" not in parts.stages[0].facts


def test_more_starts_than_a_generation_asks_are_refused(small):
    few = ["optimizer=random_search", "optimizer.population=1", "start=[soup,middle]"]
    with pytest.raises(ConfigError, match="population must be at least 2, as many as the search"):
        assemble(small(*few))
