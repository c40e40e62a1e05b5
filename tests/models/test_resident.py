import pytest
import torch

from evoforge.models import resident
from evoforge.models.resident import Resident

META = torch.device("meta")
NAME = "model.norm.weight"


def test_on_a_cpu_sources_are_where_they_are_needed(pool):
    found = Resident().tensor("a", pool.tensors("a"), NAME, torch.device("cpu"))
    assert found is pool.tensors("a")[NAME]


@pytest.mark.parametrize(("room", "kept"), [(1, True), (0, False), (-5, False)])
def test_on_a_device_what_fits_stays(pool, monkeypatch, room, kept):
    monkeypatch.setattr(resident, "room", lambda device: room)
    here = Resident()
    first = here.tensor("a", pool.tensors("a"), NAME, META)
    assert first.device == META
    assert (here.tensor("a", pool.tensors("a"), NAME, META) is first) is kept
    assert here.tensor("b", pool.tensors("b"), NAME, META) is not first
