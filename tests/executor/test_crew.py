"""The core of executors with workers, with workers that only say what a test has them say."""

import logging
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoforge.errors import ConfigError, SearchError
from evoforge.executor import _crew
from evoforge.executor._crew import Crew, Patience
from evoforge.executor._messages import Beat, Broken, Done, Gone, Raised, Ready, Said
from evoforge.executor._seat import Worker
from evoforge.executor.base import Job
from evoforge.recipe import Recipe
from tests.executor.trouble import evaluate


class Toy(Worker):
    """Remembers what it is told."""

    def __init__(self, number):
        self.number, self.jobs, self.dead = number, [], False

    def give(self, job):
        self.jobs.append(job)

    def dismiss(self):
        pass

    def kill(self):
        self.dead = True

    @property
    def done(self):
        return Done(evaluate(self.jobs[-1]))


class Scripted(Crew):
    """A crew whose workers say what is in a script, one line for each time it listens.

    A line is (seconds that pass, what is said by number of seat); a callable is asked for what the
    worker says.
    """

    def __init__(self, script, workers=2, timeout=None, retries=1, heartbeat=10.0, start=100.0):
        super().__init__(None, None, lambda _: "p", Patience(timeout, retries, heartbeat, start))
        self.script = list(script)
        self.hired = []
        self.now = 0.0
        self._count = workers

    @property
    def workers(self):
        return self._count

    def _hire(self, number):
        self.hired.append(Toy(number))
        return self.hired[-1]

    def _now(self):
        return self.now

    def _listen(self, seconds):
        if not seconds:
            return []
        passed, said = self.script.pop(0)
        self.now += passed
        heard = []
        for number, message in said.items():
            worker = self._seats[number].worker
            heard.append((worker, message(worker) if callable(message) else message))
        return heard


READY = (0, {0: Ready(), 1: Ready()})


def done(worker):
    return worker.done


def jobs(*numbers):
    return [Job(Recipe({"number": number}), ()) for number in numbers]


def fitness(found):
    return [evaluation.fitness for evaluation in found]


def test_jobs_go_to_who_is_free_and_results_come_in_order():
    crew = Scripted([READY, (1, {1: done}), (1, {1: done}), (1, {0: done})])
    assert fitness(crew.run(jobs(1, 2, 3))) == [1, 2, 3]
    assert [len(worker.jobs) for worker in crew.hired] == [1, 2]


def test_who_takes_too_long_is_replaced_and_the_job_is_not_repeated():
    crew = Scripted([READY, (31, {0: Beat(), 1: done})], timeout=30)
    slow, quick = crew.run(jobs(1, 2))
    assert (slow.status, slow.reason) == ("failed", "took longer than 30 s; set executor.timeout")
    assert (slow.recipe, slow.protocol) == (jobs(1)[0].recipe.hash, "p")
    assert quick.fitness == 2
    assert [worker.dead for worker in crew.hired] == [True, False, False]


def test_who_beats_may_work_long():
    crew = Scripted([READY, *[(9, {0: Beat()})] * 20, (9, {0: done})], workers=1)
    crew.script[0] = (0, {0: Ready()})
    assert fitness(crew.run(jobs(1))) == [1]


def test_who_says_nothing_at_work_is_replaced_and_the_job_repeated(caplog):
    crew = Scripted([(0, {0: Ready()}), (11, {}), (0, {0: Ready()}), (1, {0: done})], workers=1)
    assert fitness(crew.run(jobs(1))) == [1]
    assert "worker 0 said nothing for 10 s" in caplog.text


def test_who_has_no_work_need_not_say_anything():
    crew = Scripted([READY, (60, {0: Beat()}), (1, {0: done})], heartbeat=100, workers=2)
    crew.start()
    crew.now += 1000
    crew.script[0] = (0, {0: done})
    assert fitness(crew.run(jobs(1))) == [1]
    assert not any(worker.dead for worker in crew.hired)


def test_a_job_that_kills_a_worker_comes_before_the_others():
    script = [(0, {0: Ready()}), (0, {0: Gone("died")}), (0, {0: Ready()}), *[(0, {0: done})] * 2]
    crew = Scripted(script, workers=1)
    assert fitness(crew.run(jobs(1, 2))) == [1, 2]
    assert crew.hired[1].jobs == jobs(1, 2)


@pytest.mark.parametrize(("retries", "reason"), [(0, "died"), (1, "died (2 times)")])
def test_a_job_is_given_up_after_so_many_deaths(retries, reason):
    script = [(0, {0: Ready()}), (0, {0: Gone("died")})] * (retries + 1)
    (found,) = Scripted(script, workers=1, retries=retries).run(jobs(1))
    assert found.reason == f"its worker {reason}"


def test_what_was_forgotten_is_neither_repeated_nor_told():
    script = [READY, (0, {0: Gone("died"), 1: done}), (0, {0: Ready()}), (0, {1: done})]
    crew = Scripted(script)
    crew.start()
    for job in jobs(1, 2):
        crew.submit(job)
    crew.forget()
    assert fitness(crew.run(jobs(3))) == [3]
    assert sum(len(worker.jobs) for worker in crew.hired) == 3


def test_a_seat_whose_workers_never_start_stays_empty_while_others_work(caplog):
    script = [
        (0, {0: Ready(), 1: Gone("died")}),
        (0, {1: Gone("died")}),
        (0, {0: done}),
        (0, {0: done}),
    ]
    crew = Scripted(script)
    assert fitness(crew.run(jobs(1, 2))) == [1, 2]
    assert "goes on without worker 1" in caplog.text


def test_the_run_ends_when_no_worker_can_start():
    crew = Scripted([(0, {0: Gone("died")})] * 2, workers=1)
    with pytest.raises(SearchError, match=r"no worker can start: it died"):
        crew.start()
    assert all(worker.dead for worker in crew.hired)


def test_the_run_ends_when_nobody_says_a_word():
    with pytest.raises(SearchError, match="no worker started in 100 s"):
        Scripted([(60, {}), (60, {})]).start()


def test_new_workers_have_time_to_start_late_in_a_run():
    script = [(0, {0: Ready()}), (5000, {0: Gone("died")}), (60, {0: Ready()}), (1, {0: done})]
    assert fitness(Scripted(script, workers=1, heartbeat=9999).run(jobs(1))) == [1]


def test_mistakes_of_the_user_end_all_workers_and_are_raised():
    crew = Scripted([(0, {1: Raised(ConfigError("set it right"))})])
    with pytest.raises(ConfigError, match="set it right"):
        crew.start()
    assert all(worker.dead for worker in crew.hired)


def test_faults_of_ours_are_logged_with_their_traceback_and_raised(caplog):
    crew = Scripted([READY, (0, {0: Broken("Traceback ...\n  here\nKeyError: \x1b[31m'a'\n")})])
    with pytest.raises(RuntimeError, match="a worker failed, see above: KeyError: .x1b"):
        list(crew.run(jobs(1)))
    assert "Traceback ...\n  here" in caplog.text
    assert "\x1b" not in caplog.text


def test_what_all_workers_log_is_logged_once(caplog):
    said = Said("evoforge.toy", logging.WARNING, "models read 128 tokens")
    crew = Scripted([(0, {0: said, 1: said}), READY])
    crew.start()
    assert [record.getMessage() for record in caplog.records] == ["models read 128 tokens"]


def test_time_in_which_this_process_was_stopped_counts_for_nobody(monkeypatch):
    clock = {"now": 0.0}
    monkeypatch.setattr(_crew.time, "monotonic", lambda: clock["now"])
    crew = Scripted([READY, (0, {}), (0, {0: done})], timeout=30, workers=2)
    crew._now = lambda: Crew._now(crew)
    listen = crew._listen

    def stopped(seconds):
        clock["now"] += 3600 if len(crew.script) == 2 and seconds else 0  # Ctrl-Z, and fg
        return listen(seconds)

    crew._listen = stopped
    assert fitness(crew.run(jobs(1))) == [1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"timeout": 0}, "timeout must be above 0, got 0; set executor.timeout"),
        ({"retries": -1}, "retries must be at least 0, got -1; set executor.retries"),
        ({"heartbeat": 0.0}, r"heartbeat must be above 0, got 0.0; set executor.heartbeat"),
    ],
)
def test_patience_is_checked(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Scripted([], **options)


@given(st.data())
def test_whoever_dies_whenever_every_job_is_told_once(data):
    """Workers are ready, done or dead in any order; each job dies at most once."""
    count = data.draw(st.integers(1, 4))
    crew = Scripted([], workers=count)
    deaths = defaultdict(int)

    def listen(seconds):
        if not seconds:
            return []
        seat = data.draw(st.sampled_from(crew._seats))
        if not seat.ready:
            return [(seat.worker, Ready())]
        if seat.task is None:
            return []
        number = seat.task.number
        if not deaths[number] and data.draw(st.booleans()):
            deaths[number] += 1
            return [(seat.worker, Gone("died"))]
        return [(seat.worker, seat.worker.done)]

    crew._listen = listen
    numbers = data.draw(st.lists(st.integers(0, 9), max_size=6))
    assert fitness(crew.run(jobs(*numbers))) == numbers
