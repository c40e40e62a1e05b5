import signal
import sqlite3
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from evoforge import seal
from evoforge.errors import ConfigError, JournalError, MergeError, SearchError
from evoforge.evolve import Evolution
from evoforge.fitness.proxy_then_full import ProxyThenFull
from evoforge.fitness.racing import Racing
from evoforge.optimizer.random_search import RandomSearch
from evoforge.stage import Budget
from evoforge.task.generation import Generation
from tests.loop import Search, Sums, content

MERGES = {"uniform_soup", "unoptimised_ties", "unoptimised_dare_ties", "start_point"}
LOOP = Path(__file__).parent / "loop.py"


@pytest.fixture
def search(pico, tmp_path):
    """Return a maker of searches in one folder, closed at the end."""
    made = []

    def make(**options):
        for earlier in made:
            earlier.journal.close()
        made.append(Search(pico, tmp_path / "run", **options))
        return made[-1]

    yield make
    for each in made:
        each.journal.close()


def test_search_finds_a_better_merge_than_its_start(search):
    found = search(evaluations=80)
    winner = found.run()
    roles = found.record.roles()
    best = found.record.evaluation(roles["winner", "test"])
    start = found.record.evaluation(roles["baseline:start_point", "test"])
    assert best.score > start.score
    assert winner.recipe.hash == best.recipe == winner.candidate.identity


def test_every_baseline_is_scored_on_every_part_and_before_the_search(search):
    found = search()
    found.run()
    names = {"base", "a", "b", "c", *MERGES}
    for part in ("search", "select", "test"):
        scored = {name for name, p in found.record.roles() if p == part}
        assert {f"baseline:{name}" for name in names} <= scored
    kinds = [event.kind for event in found.record.events()]
    assert kinds.index("candidate") > kinds.index("stage") > len(names) - 1


def test_a_source_as_baseline_is_the_source_bit_for_bit(search):
    from evoforge.baseline import baselines
    from evoforge.merge.base import Mergers

    found = search()
    recipe = baselines(found.merger)["a"]
    candidate = Mergers(found.pool).build(recipe)
    for name in candidate.names:
        assert (candidate.tensor(name) == found.pool.tensors("a")[name]).all()


def test_the_same_seed_gives_the_same_journal(pico, tmp_path):
    contents = []
    for place in ("one", "two"):
        np.random.seed(len(place) + ord(place[0]))
        found = Search(pico, tmp_path / place)
        found.run()
        found.journal.close()
        contents.append(content(tmp_path / place))
    assert contents[0] == contents[1]


def test_another_seed_gives_another_search(pico, tmp_path):
    for seed in (0, 1):
        found = Search(pico, tmp_path / str(seed), seed=seed)
        found.run()
        found.journal.close()
    first, second = (content(tmp_path / str(seed))["candidates"] for seed in (0, 1))
    assert first != second


@pytest.fixture
def killed(forks, pico):
    """Return what does a run that kills itself after so many commits."""
    models = ",".join(map(str, pico.values()))

    def do(folder, commits, *schedule):
        done = forks.run([str(LOOP), models, str(folder), str(commits), *schedule])
        assert done.returncode == -signal.SIGKILL, done.stderr

    return do


def finished(pico, folder, **options):
    """Do a run, or go on with it, to its end; return it."""
    search = Search(pico, folder, **options)
    search.run()
    search.journal.close()
    return search


@pytest.mark.parametrize("commits", [3, 9, 17, 30, 38, 50])
def test_a_run_killed_anywhere_and_resumed_ends_with_the_same_journal(
    killed, pico, tmp_path, commits
):
    killed(tmp_path / "killed", commits)
    resumed, whole = (finished(pico, tmp_path / name) for name in ("killed", "whole"))
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert resumed.evaluator.evaluated < whole.evaluator.evaluated


# 12 candidates and 3 generations a stage after 9 baselines and a stage's beginning: the first
# search, its selection, the second search, its selection.
@pytest.mark.parametrize("commits", [15, 26, 35, 48])
def test_two_searches_killed_in_either_end_with_the_same_journal(killed, pico, tmp_path, commits):
    killed(tmp_path / "killed", commits, "sequential")
    for name in ("killed", "whole"):
        finished(pico, tmp_path / name, schedule="sequential")
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_the_second_search_goes_on_from_the_winner_of_the_first(pico, tmp_path):
    found = Search(pico, tmp_path / "run", evaluations=48, schedule="sequential")
    found.run()
    record, roles = found.record, found.record.roles()
    assert list(record.stages()) == ["ps", "dfs"]
    assert [info["evaluations"] for info in record.stages().values()] == [24, 24]
    finalists = [
        record.evaluation(number) for (name, _), number in roles.items() if "finalist:ps" in name
    ]
    won = max(finalists, key=lambda evaluation: evaluation.fitness)
    merges = {
        record.recipe(candidate.recipe).content["sources"][0]["hash"]
        for candidate in record.candidates()
        if candidate.stage == "dfs"
    }
    assert merges == {won.recipe}
    # The first search's winner stands beside the second's finalists.
    last = [e.recipe for name, e in _named(record) if name.startswith("finalist:dfs:")]
    assert last[0] == won.recipe
    found.journal.close()


def _named(record):
    return [(name, record.evaluation(number)) for (name, _), number in record.roles().items()]


def test_a_winner_is_never_worse_on_the_select_items_than_the_stage_before(pico, tmp_path):
    found = Search(pico, tmp_path / "run", schedule="sequential")
    found.run()
    winner = next(e for name, e in _named(found.record) if name == "winner")
    scores = [e.fitness for name, e in _named(found.record) if name.startswith("finalist:")]
    chosen = found.record.evaluation(found.record.roles()["winner", "select"])
    assert chosen.recipe == winner.recipe
    assert chosen.fitness == max(scores)
    found.journal.close()


def test_one_search_over_both_gives_paths_through_merges_of_their_own(pico, tmp_path):
    found = Search(pico, tmp_path / "run", schedule="joint")
    found.run()
    assert list(found.record.stages()) == ["search"]
    contents = [found.record.recipe(c.recipe).content for c in found.record.candidates()]
    assert len({content["sources"][0]["hash"] for content in contents}) > 20
    found.journal.close()


def test_a_complete_run_is_replayed_without_evaluating(search):
    search().run()
    again = search()
    again.run()
    assert again.evaluator.evaluated == 0


def test_what_was_told_is_not_judged_again(search, tmp_path, monkeypatch):
    search(evaluations=8).run()
    again = search(evaluations=12)
    judged = []
    course = again.stages[0].fitness.course
    monkeypatch.setattr(
        again.stages[0].fitness, "course", lambda g, n: judged.append(g) or course(g, n)
    )
    again.evolution().search(again.stages[0])
    assert judged == []


def test_a_failure_is_recorded_and_the_search_goes_on(search):
    # One candidate of the first generation fails; the rest of the search does not care.
    probe = search()
    genome = probe.stage.optimizer.ask()[2]
    doomed = probe.merger.recipe(genome).hash
    found = search(fail=lambda candidate: candidate.identity == doomed)
    assert found.run() is not None
    record = found.record.generation("search", 0)[2]
    evaluation = found.record.evaluation(record.evaluation)
    assert (evaluation.status, evaluation.fitness) == ("failed", float("-inf"))
    assert evaluation.reason == "MergeError: made to fail"
    assert len(found.record.candidates()) == 24


def test_a_search_stops_when_more_than_half_of_a_generation_failed(search):
    found = search(fail=lambda candidate: True)
    with pytest.raises(SearchError, match="4 of 4 candidates of generation 0 failed, the first"):
        found.run()


def test_equal_recipes_are_evaluated_once(pico, tmp_path):
    class Stubborn(RandomSearch):
        """Asks the same genome twice in every generation."""

        def ask(self):
            genomes = super().ask()
            genomes[3] = genomes[0]
            return genomes

        def tell(self, genomes, fitness, details):
            assert fitness[3] == fitness[0]

    found = Search(pico, tmp_path / "run")
    found.stages = [
        replace(found.stage, optimizer=Stubborn(found.stage.merger.space, population=4))
    ]
    found.run()
    assert found.record.count("hits") == 6
    cached = [record.cached for record in found.record.generation("search", 0)]
    assert cached == [False, False, False, True]
    found.journal.close()


def test_budget_is_spent_in_whole_generations(search):
    found = search(evaluations=11)
    found.run()
    assert len(found.record.candidates()) == 8


def test_budget_below_one_generation_is_refused(search):
    with pytest.raises(ConfigError, match=r"at least one generation of 4, got 3; set budget"):
        search(evaluations=3)


@pytest.mark.parametrize("limits", [{}, {"evaluations": 0}, {"minutes": 0}])
def test_budgets_that_make_no_sense_name_the_option(limits):
    with pytest.raises(ConfigError, match=r"set budget\."):
        Budget(**limits)


def test_more_budget_goes_on_and_is_what_the_evidence_states(search):
    search(evaluations=8).search_only()
    found = search(evaluations=16)
    found.run()
    assert len(found.record.candidates()) == 16
    assert found.record.stages()["search"]["evaluations"] == 16


def test_more_budget_does_nothing_once_finalists_were_chosen(search):
    search(evaluations=8).run()
    found = search(evaluations=16)
    found.run()
    assert len(found.record.candidates()) == 8


def test_a_run_whose_finalists_all_fail_has_no_winner(search):
    found = search()
    select = {item.id for item in found.task.items("select")}
    answer = found.evaluator.answer

    def fail(task, candidate, items, seconds):
        if items[0].id in select:
            raise MergeError("made to fail")
        return answer(task, candidate, items, seconds)

    found.evaluator.answer = fail
    with pytest.raises(SearchError, match="every finalist failed"):
        found.run()


def test_going_on_with_another_search_is_refused(search):
    search().run()
    with pytest.raises(JournalError, match="did not ask the recorded genomes"):
        search(seed=1).run()


def test_last_digits_of_another_processor_do_not_matter(search, tmp_path, caplog):
    search().run()
    search().journal.close()
    seal.remove(tmp_path / "run")
    connection = sqlite3.connect(tmp_path / "run" / "journal.sqlite")
    ((genome,),) = connection.execute(
        "SELECT genome FROM candidates WHERE generation=2 AND position=1"
    ).fetchall()
    nudged = np.nextafter(np.frombuffer(genome), 2).tobytes()
    connection.execute(
        "UPDATE candidates SET genome=? WHERE generation=2 AND position=1", (nudged,)
    )
    connection.commit()
    connection.close()
    again = search()
    assert again.run() is not None
    assert again.evaluator.evaluated == 0
    assert "generation 2 was asked on another kind of processor" in caplog.text


def test_going_on_with_other_sources_is_refused(search, pico, tmp_path, save_pico):
    search().run()
    search().journal.close()
    other = {**pico, "a": save_pico("a", seed=99, near=pico["base"])}
    changed = Search(other, tmp_path / "run")
    with pytest.raises(JournalError, match="recorded another baseline:a than this run has"):
        changed.run()
    changed.journal.close()


def test_candidates_of_a_generation_share_their_items_and_the_next_has_others(search):
    found = search()
    found.run()
    sets = [
        {
            found.record.evaluation(r.evaluation).item_set
            for r in found.record.generation("search", g)
        }
        for g in range(3)
    ]
    assert all(len(each) == 1 for each in sets)
    assert len(set.union(*sets)) == 3


def test_more_budget_in_the_second_search_leaves_the_first_as_it_was(pico, tmp_path):
    first = Search(pico, tmp_path / "run", evaluations=16, schedule="sequential")
    evolution = first.evolution()
    won = evolution.search(first.stages[0]) or evolution.select(first.stages[0], 3)
    evolution.search(replace(first.stages[1], merger=first.stages[1].merger.over(won)))
    first.journal.close()
    found = Search(pico, tmp_path / "run", evaluations=32, schedule="sequential")
    found.run()
    stages = found.record.stages()
    assert [(name, info["evaluations"]) for name, info in stages.items()] == [
        ("ps", 8),
        ("dfs", 16),
    ]
    counts = [candidate.stage for candidate in found.record.candidates(genomes=False)]
    assert counts == ["ps"] * 8 + ["dfs"] * 16
    found.journal.close()


RACE = partial(Racing, size=12, block=3, margin=0.5, keep=0.25)


def test_a_race_drops_candidates_and_each_has_its_last_evaluation(search):
    found = search(fitness=RACE)
    found.run()
    candidates = found.record.candidates()
    sizes = [
        len(found.record.items(found.record.evaluation(c.evaluation).item_set)) for c in candidates
    ]
    assert set(sizes) >= {3, 12}
    kinds = [event.kind for event in found.record.events()]
    assert kinds.count("candidate") == len(candidates)
    # Fewer answers than if all had answered all, and none twice.
    assert sum(sizes) < 12 * len(candidates)


def test_what_is_told_after_a_race_ranks_those_that_left_below_their_leader(search):
    found = search(fitness=RACE)
    found.run()
    told = found.record.told("search", 0)
    best = int(np.argmax(told))
    last = found.record.generation("search", 0)[best]
    assert len(found.record.items(found.record.evaluation(last.evaluation).item_set)) == 12


def test_a_race_that_was_stopped_between_rounds_ends_as_one_left_alone(pico, tmp_path):
    class StopError(Exception):
        pass

    whole = Search(pico, tmp_path / "whole", fitness=RACE)
    whole.run()
    whole.journal.close()
    stops = 0
    for limit in count(10, 5):
        commits = count(1)

        def changed(limit=limit, commits=commits):
            if next(commits) == limit:
                raise StopError

        part = Search(pico, tmp_path / "part", fitness=RACE)
        try:
            part.run(changed)
            break
        except StopError:
            stops += 1
        finally:
            part.journal.close()
    assert stops > 3
    assert content(tmp_path / "part") == content(tmp_path / "whole")


class Screened(Generation):
    """Sums with a proxy: itself under another protocol."""

    @property
    def proxy(self):
        return Generation(name="sums/proxy", items=Sums(), prompt="{question}?")


def test_who_was_screened_out_is_no_finalist_and_has_a_fitness_below_the_others(
    search, monkeypatch
):
    monkeypatch.setattr("tests.loop.Generation", Screened)
    found = search(fitness=partial(ProxyThenFull, size=4, promote=0.5))
    found.run()
    proxies = {
        c.recipe for c in found.record.candidates() if found.record.evaluation(c.evaluation).proxy
    }
    judged = {
        c.recipe
        for c in found.record.candidates()
        if not found.record.evaluation(c.evaluation).proxy
    }
    assert len(judged) == len(proxies) == 12
    finalists = {
        found.record.evaluation(number).recipe
        for (name, _), number in found.record.roles().items()
        if name.startswith("finalist:search:") and not name.endswith(":4")
    }
    assert finalists <= judged
    for generation in range(6):
        told = found.record.told("search", generation)
        candidates = found.record.generation("search", generation)
        screened = [found.record.evaluation(c.evaluation).proxy for c in candidates]
        assert max(told[screened]) < min(told[~np.array(screened)])


def test_baselines_answer_a_sample_of_a_large_search_part(search):
    found = search()
    evolution = found.evolution()
    evolution = Evolution(found.journal, found.task, evolution.judging.executor, search_items=5)
    evolution.run(found.stages, {"start_point": found.merger.recipe(found.merger.space.init)}, 1)
    roles = found.record.roles()
    for name in ("baseline:start_point", "winner"):
        sizes = [
            len(found.record.items(found.record.evaluation(roles[name, part]).item_set))
            for part in ("search", "select", "test")
        ]
        assert sizes == [5, 12, 12]


@pytest.mark.parametrize(("asked", "kept"), [(0, 0), (5, 5), (12, 12), (99, 12)])
def test_some_test_items_are_kept_to_be_shown(search, asked, kept):
    found = search()
    executor = found.evolution().judging.executor
    evolution = Evolution(found.journal, found.task, executor, examples=asked)
    evolution.run(found.stages, {}, 1)
    examples = found.record.examples()
    items = {item.id: item for item in found.task.items("test")}
    places = [list(items).index(example.item) for example in examples]
    assert len(examples) == kept
    assert places == sorted(set(places))
    assert [example.question for example in examples] == [items[e.item].question for e in examples]


def test_the_items_that_are_shown_do_not_depend_on_what_was_found(pico, tmp_path):
    kept = []
    for seed in (0, 1):
        found = Search(pico, tmp_path / str(seed), seed=seed)
        evolution = found.evolution()
        evolution.examples = 4
        evolution.show()
        kept.append(found.record.examples())
        found.journal.close()
    assert kept[0] == kept[1]
    # Neither the first ones nor the last ones.
    ids = [item.id for item in found.task.items("test")]
    assert [e.item for e in kept[0]] not in (ids[:4], ids[-4:])
