from evoforge.config import build


def test_its_weights_are_those_of_dare_ties(compose, pool):
    node = compose("merge=dare_ties_dfs", "merge.dfs.sources=[b]", "merge.dfs.repeats=1")["merge"]
    merger = build(node, "merge", pool=pool)
    recipe = merger.recipe(merger.space.init)
    inner = recipe.content["sources"][0]["recipe"]
    alone = build(compose("merge=dare_ties")["merge"], "merge", pool=pool)
    assert inner == alone.recipe(alone.space.init).content
    assert [phase.merger.method for phase in merger.phases] == ["dare_ties", "dfs"]
