import subprocess
import sys

import pytest

from evoforge.recipe import Recipe, canonical

CONTENT = {"method": "ties", "values": {"all": {"ja": {"weight": 0.1, "density": 1.0}}}}


def test_key_order_does_not_change_the_hash():
    turned = {"values": CONTENT["values"], "method": "ties"}
    assert Recipe(turned).hash == Recipe(CONTENT).hash


def test_any_other_number_changes_the_hash():
    other = {"method": "ties", "values": {"all": {"ja": {"weight": 0.100001, "density": 1.0}}}}
    assert Recipe(other).hash != Recipe(CONTENT).hash


def test_text_reads_back_as_the_same_recipe():
    assert Recipe.from_text(Recipe(CONTENT).text).hash == Recipe(CONTENT).hash


def test_hash_is_the_same_in_another_process():
    code = f"from evoforge.recipe import Recipe; print(Recipe({CONTENT!r}).hash)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == Recipe(CONTENT).hash


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        canonical({"weight": float("nan")})
