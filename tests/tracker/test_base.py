import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from evoforge.record import Record
from evoforge.secrets import HIDDEN, redact
from evoforge.tracker.base import Named, Progress, Scored, Staged, Told, Tracker, Trackers


class Note(Tracker):
    """Notes its calls; breaks at the method it is told to."""

    def __init__(self, breaks_at: str = "") -> None:
        self.breaks_at = breaks_at
        self.calls: list[str] = []

    def _note(self, name: str) -> None:
        self.calls.append(name)
        if name == self.breaks_at:
            raise RuntimeError("the network is gone")

    def start(self, record: Record) -> None:
        self._note("start")

    def update(self) -> None:
        self._note("update")

    def finish(self, status: str, result: Mapping[str, Any] | None) -> None:
        self._note("finish")


@pytest.mark.parametrize("method", ["start", "update", "finish"])
def test_a_raising_tracker_is_dropped_and_the_run_goes_on(method, new_run, caplog):
    broken, sound = Note(method), Note()
    trackers = Trackers([broken, sound])
    with caplog.at_level(logging.WARNING):
        trackers.start(new_run.journal.record)
        trackers.update()
        trackers.update()
        trackers.finish("finished", None)
    assert sound.calls == ["start", "update", "update", "finish"]
    assert broken.calls[broken.calls.index(method) :] in ([method, "finish"], ["finish"] * 2)
    assert len(caplog.records) == 1
    assert "the network is gone" in caplog.text


def test_an_interrupt_is_not_swallowed(new_run):
    tracker = Note()
    tracker.update = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        Trackers([tracker]).update()


def test_news_come_once_and_in_order(whole_run):
    progress = Progress(whole_run[0].journal.record)
    news = list(progress.news())
    assert isinstance(news[0], Named)
    assert isinstance(news[1], Staged)
    assert [n.index for n in news if isinstance(n, Scored)] == list(range(12))
    assert [n.generation for n in news if isinstance(n, Told)] == [0, 1, 2]
    assert list(progress.news()) == []
    assert (progress.candidates, progress.failures, progress.hits) == (12, 1, 3)


def test_a_generation_is_summed_up(whole_run):
    run = whole_run[0]
    told = [n for n in Progress(run.journal.record).news() if isinstance(n, Told)][1]
    # Scores 0.10, failed, 0.12, and 0.10 again from the cache.
    assert told.best == told.best_so_far == pytest.approx(0.12)
    assert told.mean == pytest.approx(0.32 / 3)
    assert told.min == pytest.approx(0.10)
    assert (told.failures, told.hits) == (1, 1)
    assert told.seconds == pytest.approx(2 * 0.75)
    genomes = np.array([c.genome for c in run.journal.record.generation("ps", 1)])
    assert told.spread == pytest.approx(genomes.std(axis=0).mean())


def test_the_best_of_a_run_outlives_a_worse_generation(new_run):
    new_run.stage()
    new_run.generation(5)
    new_run.generation(2)
    told = [n for n in Progress(new_run.journal.record).news() if isinstance(n, Told)]
    assert [t.best_so_far for t in told] == pytest.approx([0.52, 0.52])
    assert told[1].best == pytest.approx(0.22)


def test_who_left_early_or_met_a_proxy_alone_is_not_the_best(new_run):
    new_run.stage()
    # The best scores are on one item, and by the proxy.
    new_run.race(0, [(0.99, 2), (0.5, 2), (0.9, 1), (0.3, 2)], proxies=1)
    progress = Progress(new_run.journal.record)
    news = list(progress.news())
    scored = [n for n in news if isinstance(n, Scored)]
    assert [n.score for n in scored] == [None, 0.5, 0.9, 0.3]
    assert [n.items for n in scored] == [2, 2, 1, 2]
    (told,) = [n for n in news if isinstance(n, Told)]
    assert told.best == told.best_so_far == 0.5
    assert (told.mean, told.min) == (pytest.approx(1.7 / 3), 0.3)
    assert (told.screened, told.items, told.failures) == (1, 2, 0)
    assert progress.history == [0.5]


def test_the_best_so_far_waits_for_those_that_answer_more(new_run):
    new_run.stage()
    progress = Progress(new_run.journal.record)
    seen = []
    new_run.race(0, [(0.9, 1), (0.8, 1), (0.4, 2), (0.6, 2)])
    for news in progress.news():
        if isinstance(news, Scored):
            seen.append(progress.best.score)
    assert seen == [0.9, 0.9, 0.4, 0.6]
    # A later generation has to beat the best of those that were complete.
    new_run.race(1, [(0.5, 2), (0.7, 1)])
    list(progress.news())
    assert progress.best.score == 0.6
    assert progress.history == [0.6, 0.6]


def test_a_generation_that_a_proxy_alone_has_seen_has_no_best(new_run):
    new_run.stage()
    new_run.race(0, [(-1.5, 2), (-1.2, 2)], proxies=2)
    progress = Progress(new_run.journal.record)
    (told,) = [n for n in progress.news() if isinstance(n, Told)]
    assert (told.best, told.best_so_far, told.mean, told.items) == (None, None, None, 0)
    assert told.screened == 2


def test_every_stage_has_its_own_best_path_and_count(new_run):
    new_run.stage("ps")
    new_run.generation(2)
    new_run.walks = True
    new_run.stage("dfs")
    new_run.generation(0)
    progress = Progress(new_run.journal.record)
    told = [n for n in progress.news() if isinstance(n, Told)]
    assert [t.best_so_far for t in told] == pytest.approx([0.22, 0.02])
    assert [t.index for t in told] == [0, 1]
    assert told[0].hops is None
    assert told[1].hops == len(progress.path) > 0
    assert (progress.candidates, progress.candidates_of_stage) == (8, 4)
    assert progress.history == pytest.approx([0.02])


def test_a_stage_that_goes_on_with_another_budget_keeps_its_count(new_run):
    new_run.stage()
    new_run.generation(0)
    new_run.stage(evaluations=40)
    new_run.generation(1)
    progress = Progress(new_run.journal.record)
    assert len(list(progress.news())) == 12
    assert progress.candidates_of_stage == 8


@pytest.mark.parametrize("name", ["hf_token", "api_key", "apikey", "Password", "client-secret"])
def test_secrets_are_taken_out_by_name(name):
    assert redact({"a": [{name: "letmein"}]}) == {"a": [{name: HIDDEN}]}


@pytest.mark.parametrize(
    "value",
    [
        "hf_" + "a1B2" * 8,
        "0123456789abcdef" * 2 + "01234567",
        "see https://me:pw@host/x",
        "sk-" + "a" * 20,
    ],
)
def test_secrets_are_taken_out_by_look(value):
    assert HIDDEN in redact({"note": value})["note"]


def test_secrets_of_the_environment_are_taken_out(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "plain-words")
    assert redact(["with plain-words inside"]) == [f"with {HIDDEN} inside"]


def test_what_only_sounds_like_a_secret_stays():
    kept = {"max_new_tokens": 256, "tokenizer": "base", "revision": "a" * 40, "keywords": "x"}
    assert redact(kept) == kept
