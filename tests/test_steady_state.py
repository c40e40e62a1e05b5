"""Steady state: candidates asked ahead and told as they finish, on pico models."""

import signal
from dataclasses import replace
from functools import partial
from itertools import count

import pytest

from evoforge.errors import ConfigError, SearchError
from evoforge.fitness.full import Full
from evoforge.fitness.racing import Racing
from evoforge.optimizer.genetic import Genetic
from evoforge.optimizer.random_search import RandomSearch
from evoforge.record import Record
from evoforge.tracker.base import Progress, Told
from evoforge.tracker.console import _budget
from tests.conftest import ROOT
from tests.executor.test_runs import stop
from tests.loop import Search, content
from tests.test_run import own_models

LOOP = ROOT / "tests" / "loop.py"


class StopError(Exception):
    pass


@pytest.fixture
def steady(pico, tmp_path):
    """Return a maker of steady-state runs: `steady("run", workers=(4, 1))`; closed at the end."""
    opened = []

    def make(name="run", **options):
        found = Search(pico, tmp_path / name, steady=True, **options)
        opened.append(found)
        return found

    yield make
    for search in opened:
        search.journal.close()


def stopped(search, commits):
    """Run a search that is stopped after so many commits; return whether it was."""
    left = count(1)

    def changed():
        if next(left) == commits:
            raise StopError

    try:
        search.run(changed)
        return False
    except StopError:
        return True
    finally:
        search.journal.close()


def check(record, evaluations):
    """Refuse a record that does not hang together; return who was told, in order."""
    candidates = record.candidates()
    assert len(candidates) == evaluations
    assert all(candidate.evaluation is not None for candidate in candidates)
    known = {(c.generation, c.position) for c in candidates}
    told = [place for telling in record.tellings("search") for place in telling.places]
    assert len(set(told)) == len(told)
    arrivals = record.arrivals("search")
    assert sorted(arrivals) == sorted(known)
    assert told == arrivals[: len(told)]
    assert len(arrivals) - len(told) < 4
    for telling in record.tellings("search"):
        assert all(generation < telling.asked for generation, _ in telling.places)
    for generation in {c.generation for c in candidates}:
        own = record.generation("search", generation)
        fitness = [record.evaluation(c.evaluation).fitness for c in own]
        assert record.told("search", generation).tolist() == fitness
    return told


def test_one_worker_searches_as_generations_do(steady, pico, tmp_path):
    steady().run()
    found = Search(pico, tmp_path / "other")
    found.run()
    found.journal.close()
    one, other = content(tmp_path / "run"), content(tmp_path / "other")
    assert one["candidates"] == other["candidates"]
    assert one["generations"] == other["generations"]
    assert one["roles"] == other["roles"]


def test_workers_are_kept_busy_and_told_in_the_order_they_finish(steady):
    search = steady(workers=(6, 3))
    evolution = search.evolution()
    evolution.search(search.stage)
    assert evolution.judging.executor.most == 6
    told = check(search.record, 24)
    # Of more than one generation at a time, and not in the order asked.
    assert search.record.tellings("search")[0].asked > 1
    assert told != sorted(told)


def test_the_same_order_gives_the_same_journal(steady, tmp_path):
    for name in ("one", "two"):
        search = steady(name, workers=(3, 5))
        search.run()
        search.journal.close()
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.parametrize("commits", [12, 26, 35])
def test_killed_anywhere_and_resumed_it_ends_with_the_same_journal(
    steady, forks, pico, tmp_path, commits
):
    models = ",".join(map(str, pico.values()))
    given = [str(LOOP), models, str(tmp_path / "killed"), str(commits), "steady_state"]
    done = forks.run(given)
    assert done.returncode == -signal.SIGKILL, done.stderr
    for name in ("killed", "whole"):
        search = steady(name)
        search.run()
        search.journal.close()
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.mark.parametrize("optimizer", [None, Genetic])
def test_stopped_again_and_again_with_several_workers_it_ends_whole(steady, optimizer):
    def make(seed):
        search = steady(workers=(5, seed), evaluations=30)
        if optimizer is not None:
            space = search.stage.merger.space
            search.stages = [replace(search.stage, optimizer=optimizer(space, population=4))]
        return search

    stops, before = 0, []
    for seed in count():
        search = make(seed)
        told = [place for t in search.record.tellings("search") for place in t.places]
        assert told[: len(before)] == before
        before = told
        if not stopped(search, 12 + 3 * seed):
            break
        stops += 1
    assert stops > 2
    check(make(0).record, 30)


def test_a_complete_search_is_replayed_without_evaluating(steady, tmp_path):
    search = steady(workers=(4, 1))
    search.run()
    search.journal.close()
    before = content(tmp_path / "run")
    again = steady(workers=(4, 2))
    again.run()
    again.journal.close()
    assert again.evaluator.evaluated == 0
    assert content(tmp_path / "run") == before


def test_the_budget_is_spent_to_the_last_evaluation(steady):
    search = steady(evaluations=11, workers=(3, 1))
    search.search_only()
    check(search.record, 11)
    assert [len(search.record.generation("search", g)) for g in range(3)] == [4, 4, 3]


def test_more_budget_completes_the_generation_that_was_cut_off(steady, tmp_path):
    # 8 baselines and a stage, then the search: 8 candidates, 2 generations, and one of 2 more.
    assert stopped(steady(evaluations=10), 20)
    search = steady(evaluations=18)
    assert len(search.record.generation("search", 2)) == 2
    assert search.record.told("search", 2) is None
    search.run()
    search.journal.close()
    whole = steady("whole", evaluations=18)
    whole.run()
    whole.journal.close()
    one, other = content(tmp_path / "run"), content(tmp_path / "whole")
    assert one["candidates"] == other["candidates"]
    assert one["tellings"] == other["tellings"]


def test_minutes_end_the_asking(steady):
    search = steady(workers=(3, 1))
    search.stages = [replace(search.stage, budget=replace(search.stage.budget, minutes=1e-9))]
    search.search_only()
    check(search.record, 4)


def test_candidates_of_a_generation_share_their_items(steady):
    search = steady(workers=(5, 2))
    search.search_only()
    for generation in range(6):
        own = search.record.generation("search", generation)
        assert len({search.record.evaluation(c.evaluation).item_set for c in own}) == 1


def test_it_stops_when_more_than_half_of_those_told_failed(steady):
    calls = count()
    search = steady(workers=(3, 1), fail=lambda candidate: next(calls) > 20)
    with pytest.raises(SearchError, match="of 4 candidates that were judged last failed, the fi"):
        search.run()
    search.journal.close()
    with pytest.raises(SearchError, match="made to fail"):
        steady(workers=(3, 1)).run()


def test_equal_candidates_are_evaluated_once_also_at_the_same_time(steady):
    class Stubborn(RandomSearch):
        """Asks one genome only."""

        def ask(self):
            return super().ask() * 0 + 0.5

    search = steady(workers=(3, 1), evaluations=10, fitness=lambda items, seed: Full(items))
    space = search.stage.merger.space
    search.stages = [replace(search.stage, optimizer=Stubborn(space, population=4))]
    search.search_only()
    check(search.record, 10)
    assert search.record.count("evaluations") == 1
    assert search.record.count("hits") == 9


def test_what_an_optimizer_says_is_kept_for_each_generation(steady):
    search = steady(workers=(5, 2))
    search.search_only()
    states = search.record.states("search")
    assert sorted(states) == list(range(6))
    assert all("sigma" in state for state in states.values())


def test_trackers_see_whole_generations_however_they_end(steady):
    search = steady(workers=(7, 4))
    search.search_only()
    told = [news for news in Progress(search.record).news() if isinstance(news, Told)]
    # With this seed one ends before an earlier one.
    assert [news.generation for news in told] != sorted(news.generation for news in told)
    for news in told:
        own = search.record.generation("search", news.generation)
        scores = [search.record.evaluation(c.evaluation).score for c in own]
        assert (news.best, news.mean) == (max(scores), pytest.approx(sum(scores) / 4))
    best = max(e.score for e in search.record.evaluations().values())
    assert told[-1].best_so_far == best


def test_the_console_counts_to_the_last_evaluation(steady):
    search = steady(evaluations=11, workers=(3, 1))
    search.search_only()
    progress = Progress(search.record)
    list(progress.news())
    assert _budget(progress) == 11


def test_origins_name_candidates_asked_before(steady):
    search = steady(workers=(5, 2))
    space = search.stage.merger.space
    search.stages = [replace(search.stage, optimizer=Genetic(space, population=4, seed=1))]
    search.search_only()
    origins = search.record.origins("search")
    assert len(origins) == 24
    parents = {(place, parent) for place, o in origins.items() for parent in o.parents}
    assert parents
    assert all(parent[0] < place[0] for place, parent in parents)


def test_policies_that_compare_a_generation_are_refused(steady):
    race = partial(Racing, size=12, block=3)
    with pytest.raises(ConfigError, match=r"set fitness=full, fitness=subset or schedule=gener"):
        steady(fitness=race)


def test_an_optimizer_that_cannot_be_asked_ahead_is_refused(steady):
    class Strict(RandomSearch):
        steady = False

    stage = steady().stage
    with pytest.raises(ConfigError, match="Strict must be told a generation before it asks"):
        replace(stage, optimizer=Strict(stage.merger.space, population=4))


def test_the_journal_of_generations_knows_no_tellings(pico, tmp_path):
    search = Search(pico, tmp_path / "run")
    search.search_only()
    assert search.record.tellings("search") == []
    assert "schedule" not in search.record.stages()["search"]
    search.journal.close()


def test_killed_with_workers_in_processes_it_goes_on(forks, pico, tmp_path):
    folder = tmp_path / "run"
    command = [*own_models(tmp_path, pico), "schedule=steady_state"]
    left, code, _ = stop(command, folder, signal.SIGKILL)
    assert (left, code) == ([], -signal.SIGKILL)
    before = Record.open(folder).tellings("search")
    changed = [f"resume={folder}", "budget.evaluations=12", "executor=local"]
    again = forks.run([*command[1:-1], *changed], tmp_path)
    assert again.returncode == 0, again.stderr
    record = Record.open(folder)
    assert record.tellings("search")[: len(before)] == before
    check(record, len(record.candidates()))


def test_the_configuration_says_which_schedule(compose):
    from evoforge.assembly import assemble

    cfg = compose("schedule=steady_state", "fitness=full", "tracker=console")
    assert all(stage.steady for stage in assemble(cfg).stages)
    with pytest.raises(ConfigError, match="schedule must be one of generational, steady_state, go"):
        assemble({**cfg, "schedule": "sometimes"})
