import io
import logging
import re
import sys
from contextlib import closing

import numpy as np
import pytest
from rich.console import Console as Terminal

from evoforge.errors import ConfigError
from evoforge.journal import Journal
from evoforge.path import hops
from evoforge.tracker.console import Console, _sparkline


def paper(**options):
    return Terminal(file=io.StringIO(), width=88, **options)


def text(terminal):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.file.getvalue())


def test_without_a_terminal_it_writes_one_line_a_generation(new_run):
    terminal = paper()
    console = Console(terminal)
    console.start(new_run.journal.record)
    new_run.role("baseline:ja", "search", 0.4)
    new_run.stage()
    for generation in range(2):
        new_run.generation(generation)
        console.update()
    result = new_run.finish()
    console.update()
    console.finish("finished", result)
    lines = text(terminal).splitlines()
    assert lines[0] == f"{'baseline ja':<31} 0.400  on search"
    assert lines[1].startswith(
        "ps generation 0  best 0.020 (so far 0.020)  mean 0.007  4 of 12  1 cached"
    )
    assert lines[2].startswith("ps generation 1  best 0.120 (so far 0.120)")
    assert "8 of 12  1 failed  1 cached" in lines[2]
    assert lines[3] == f"{'finalist ps 1':<31} 0.700  on select"
    assert lines[4] == f"{'winner':<31} 0.750  on test"
    assert lines[-1] == "finished after 0:00  best 0.120"


def test_runs_that_share_a_terminal_say_whose_lines_theirs_are(new_run):
    terminal = paper()
    console = Console(terminal, label="seed=1")
    console.start(new_run.journal.record)
    new_run.stage()
    new_run.generation(0)
    console.update()
    console.finish("finished", None)
    lines = text(terminal).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("seed=1  ") for line in lines)


def test_scores_come_after_their_protocol(tmp_path):
    protocol = '{"task":"mgsm_ja","protocol":"sakana","hash":"0123456789abcdef"}'
    with closing(Journal.create(tmp_path / "run", {"protocol": protocol})) as journal:
        terminal = paper()
        Console(terminal).start(journal.record)
    assert text(terminal) == "scores under the protocol mgsm_ja, sakana, 0123456789ab\n"


def test_two_stages_are_told_apart_and_a_path_has_hops(new_run):
    terminal = paper()
    console = Console(terminal)
    console.start(new_run.journal.record)
    new_run.stage("ps")
    new_run.generation(2)
    new_run.role("finalist:ps:1", "select", 0.7)
    new_run.walks = True
    new_run.stage("dfs", merge="dfs")
    new_run.generation(0)
    console.update()
    console.finish("finished", None)
    lines = text(terminal).splitlines()
    record = new_run.journal.record
    best = len(hops(record.recipe(record.candidate("dfs", 0, 2).recipe).content))
    assert lines[0].startswith("ps generation 2  best 0.220 (so far 0.220)  mean")
    assert lines[1] == f"{'finalist ps 1':<31} 0.700  on select"
    assert lines[2].startswith(f"dfs generation 0  best 0.020 (so far 0.020, {best} hops)  mean")
    assert "4 of 12" in lines[2]
    assert lines[-1] == f"finished after 0:00  best 0.020, {best} hops"


def test_the_live_display_shows_the_hops_of_the_best_path(new_run):
    terminal = paper(force_terminal=True)
    console = Console(terminal)
    console.start(new_run.journal.record)
    new_run.walks = True
    new_run.stage("search", merge="dfs")
    new_run.generation(0)
    console.update()
    console.finish("interrupted", None)
    record = new_run.journal.record
    best = len(hops(record.recipe(record.candidate("search", 0, 2).recipe).content))
    assert f"best 0.020  {best} hops  mean 0.007" in text(terminal)


def test_a_resumed_run_tells_its_past_in_one_line(new_run):
    new_run.stage()
    for generation in range(2):
        new_run.generation(generation)
    terminal = paper()
    Console(terminal).start(new_run.journal.record)
    assert text(terminal) == "resumed after 8 candidates  best 0.120\n"


def test_a_failed_generation_has_no_scores(new_run):
    new_run.stage()
    new_run.journal.add_generation("ps", 0, [], [])
    terminal = paper()
    console = Console(terminal)
    console.start(new_run.journal.record)
    new_run.journal.tell("ps", 0, np.zeros(0))
    console.update()
    assert "best - (so far -)  mean -" in text(terminal)


def test_the_live_display_shows_the_run_and_gives_the_terminal_back(new_run, monkeypatch):
    stdout, stderr = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    handler = logging.StreamHandler(stdout)
    logger = logging.getLogger("evoforge.test_live")
    logger.addHandler(handler)
    terminal = Terminal(file=stdout, force_terminal=True, width=88)
    console = Console(terminal)
    console.start(new_run.journal.record)
    new_run.stage()
    new_run.generation(0)
    new_run.generation(1)
    console.update()
    logger.warning("a line from the log")
    assert handler.stream is not stdout
    console.finish("interrupted", None)
    logger.removeHandler(handler)
    assert handler.stream is stdout
    assert (sys.stdout, sys.stderr) == (stdout, stderr)
    shown = text(terminal)
    assert "a line from the log\n" in shown
    assert "interrupted  ps  generation 1" in shown
    assert "8 of 12" in shown
    assert "1 failed  2 cached" in shown
    assert stdout.getvalue().count("\x1b[?25l") == stdout.getvalue().count("\x1b[?25h")  # cursor


def test_finish_is_safe_before_start_and_twice(new_run):
    terminal = paper()
    console = Console(terminal)
    console.finish("failed", None)
    console.start(new_run.journal.record)
    console.finish("failed", None)
    console.finish("failed", None)
    assert text(terminal).count("failed after") == 1


@pytest.mark.parametrize(("option", "value"), [("width", 10), ("frames_per_second", 0.0)])
def test_an_option_out_of_range_is_named(option, value):
    with pytest.raises(ConfigError, match=f"tracker.console.{option}"):
        Console(**{option: value})


def test_who_was_screened_out_is_counted_and_not_the_best(new_run):
    terminal = paper()
    console = Console(terminal)
    console.start(new_run.journal.record)
    new_run.stage()
    new_run.race(0, [(0.99, 2), (0.5, 2), (0.9, 1)], proxies=1)
    console.update()
    assert "best 0.500 (so far 0.500)  mean 0.700  3 of 12  1 screened out" in text(terminal)


def test_only_whole_generations_count_as_budget(new_run):
    new_run.stage(evaluations=11)
    new_run.generation(0)
    terminal = paper()
    console = Console(terminal)
    console.start(new_run.journal.record)
    new_run.generation(1)
    console.update()
    assert "8 of 8" in text(terminal)


def test_up_is_better_in_the_sparkline():
    assert _sparkline([0.1, 0.4, 0.8], lower_is_better=False) == "▁▄█"
    assert _sparkline([80.0, 40.0, 10.0], lower_is_better=True) == "▁▅█"
    assert _sparkline([0.5, 0.5], lower_is_better=False) == "▁▁"
    assert len(_sparkline([float(i) for i in range(1000)], lower_is_better=False)) == 24
