import pytest

from evoforge.origin import Descent
from evoforge.tracker._lineage import MOST, Lineage, parents


@pytest.fixture
def lineage(new_run):
    new_run.stage()
    new_run.generation(0, origins=[Descent("start")] * 4)
    return Lineage(new_run.journal.record), new_run


def test_descents_are_found_also_of_what_comes_later(lineage):
    looked, run = lineage
    record = run.journal.record
    assert looked.descent(record.candidate("ps", 0, 1)) == Descent("start")
    run.generation(1, origins=[Descent("blx", ((0, 1), (0, 3)))] * 4)
    found = looked.descent(record.candidate("ps", 1, 0))
    assert parents(found) == "0/1 0/3"


def test_an_optimizer_that_says_nothing_has_none(new_run):
    new_run.stage()
    new_run.generation(0)
    looked = Lineage(new_run.journal.record)
    assert looked.descent(new_run.journal.record.candidate("ps", 0, 0)) is None
    assert looked.state("ps", 0) is None
    assert parents(None) is None


def test_numbers_of_a_state_are_told_and_nothing_else(lineage):
    looked, run = lineage
    assert looked.state("ps", 0) is None
    state = {
        "sigma": 0.5,
        "regime": "large",
        "cells": [1, 2],
        "of": {"v1.0": 3},
        "values": {"a": 1},
    }
    run.journal.add_state("ps", 0, state)
    assert looked.state("ps", 0) == {"sigma": 0.5, "of/v1/0": 3}


def test_a_state_of_many_numbers_is_cut(lineage):
    looked, run = lineage
    run.journal.add_state("ps", 0, {f"cell_{i:03}": i for i in range(100)})
    assert len(looked.state("ps", 0)) == MOST
