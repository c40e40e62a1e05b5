import pytest

from evoforge.merge._path import Whole
from evoforge.merge.linear import Linear
from evoforge.report.summary import reading
from evoforge.rounding import rounding


def test_rounding_beside_what_merging_changed(pool):
    merger = Linear(pool, weight={"low": 0, "high": 1})
    candidate = merger.build(merger.recipe(merger.space.init))
    found = rounding(candidate, pool)
    merged = {name: candidate.tensor(name) for name in candidate.names}
    changed = sum(float((t - pool.tensors("base")[n]).square().sum()) for n, t in merged.items())
    lost = sum(float((t.bfloat16().float() - t).square().sum()) for t in merged.values())
    assert found["dtype"] == "float32"
    assert found["lost"]["bfloat16"] == pytest.approx((lost / changed) ** 0.5, rel=1e-3)
    assert found["lost"]["float32"] == 0.0
    assert 0 < found["lost"]["float16"] < found["lost"]["bfloat16"]


def test_a_source_as_it_is_and_unchanged_has_nothing_to_lose(pool):
    assert rounding(Whole(pool, "base"), pool) is None


def result(**lost):
    content = {
        "winner": {"test": None, "search": None, "curse": None},
        "paired": {},
        "baselines": {},
        "stages": {},
    }
    return {**content, "sources": [], "rounding": {"dtype": "bfloat16", "lost": lost}}


def test_what_would_keep_more_is_said_if_much_is_lost():
    said = reading(result(bfloat16=0.26, float16=0.03, float32=0.0))[-1]
    assert said == (
        "Storing the winner in bfloat16 takes 26% of what merging changed; float16 would take "
        "3.0%, float32 would take nothing (models.dtype)."
    )


def test_little_is_not_worth_a_word():
    assert "models.dtype" not in " ".join(reading(result(bfloat16=0.01, float32=0.0)))


def test_a_path_has_nothing_to_say():
    assert "models.dtype" not in " ".join(reading({**result(), "rounding": None}))
