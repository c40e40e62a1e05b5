from evoforge.config import build


def test_its_weights_are_those_of_linear(compose, pool):
    node = compose("merge=linear_dfs", "merge.dfs.sources=[b]", "merge.dfs.repeats=1")["merge"]
    merger = build(node, "merge", pool=pool)
    recipe = merger.recipe(merger.space.init)
    inner = recipe.content["sources"][0]["recipe"]
    alone = build(compose("merge=linear")["merge"], "merge", pool=pool)
    assert inner == alone.recipe(alone.space.init).content
    assert [phase.merger.method for phase in merger.phases] == ["linear", "dfs"]
