import pytest

from evoforge.report.lineage import merged, merges, methods, numbers, origins

TIES = {
    "method": "ties",
    "base": {"name": "base", "hash": "b"},
    "sources": [{"name": "ja", "hash": "j"}, {"name": "math", "hash": "m"}],
    "values": {"all": {"ja": {"weight": 0.5}}},
}
DFS = {
    "method": "dfs",
    "base": None,
    "sources": [{"name": "merged", "hash": "t", "recipe": TIES}, {"name": "code", "hash": "c"}],
    "path": [["merged", 0, 1.0]],
}
TWICE = {"method": "dfs", "sources": [{"name": "outer", "hash": "d", "recipe": DFS}], "path": []}


@pytest.mark.parametrize(
    ("content", "wanted"),
    [(TIES, ["ties"]), (DFS, ["ties", "dfs"]), (TWICE, ["ties", "dfs"])],
    ids=["plain", "nested", "twice"],
)
def test_methods_are_told_in_the_order_they_were_applied(content, wanted):
    assert methods(content) == wanted


def test_origins_are_models_and_no_merge():
    assert origins(TIES) == ["ja", "math", "base"]
    assert origins(DFS) == ["ja", "math", "base", "code"]
    assert origins(TWICE) == origins(DFS)


def test_numbers_are_found_wherever_they_are():
    assert numbers(TIES) == numbers(DFS) == numbers(TWICE) == TIES["values"]
    assert numbers({"method": "dfs", "sources": [{"name": "ja"}]}) == {}


def test_the_merge_that_has_the_numbers_is_named():
    assert merged(TIES) is None
    assert merged(DFS) == "merged"
    assert merged({"method": "dfs", "sources": [{"name": "ja"}]}) is None


def test_the_hashes_of_all_merges_inside_are_told():
    assert merges(TIES) == []
    assert merges(DFS) == ["t"]
    assert merges(TWICE) == ["t", "d"]
