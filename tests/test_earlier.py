from importlib import import_module
from inspect import signature

from evoforge.earlier import ADDED, completed


def test_a_part_gets_the_options_that_it_is_too_old_to_have():
    old = {"optimizer": {"_target_": "evoforge.optimizer.cma_es.CmaEs", "active": False}}
    optimizer = completed(old)["optimizer"]
    assert (optimizer["active"], optimizer["restarts"]) == (False, "none")
    assert old["optimizer"].keys() == {"_target_", "active"}


def test_other_parts_are_left_as_they_are():
    node = {"_target_": "evoforge.optimizer.random_search.RandomSearch", "population": 4}
    found = completed({"optimizer": node, "start": ["soup"]})
    assert (found["optimizer"], found["start"]) == (node, ["soup"])


def test_every_option_is_one_of_its_class_and_its_default():
    for target, options in ADDED.items():
        if target:
            module, _, name = target.rpartition(".")
            known = signature(getattr(import_module(module), name)).parameters
            assert {key: known[key].default for key in options} == dict(options)
