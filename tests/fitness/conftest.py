"""Toy items: ten of them, called 0 to 9."""

import pytest

from evoforge.task.base import Item


@pytest.fixture
def items():
    return tuple(Item(str(i), f"{i}=", answer_number=float(i)) for i in range(10))
