"""A merge of adapters of one base stays an adapter where the method adds their changes up."""

import pytest
import torch

from evoforge.export import export
from evoforge.merge.base import merger_class
from evoforge.models.pool import open_pool
from tests.models.test_adapter import ALL, bases, train  # noqa: F401
from tests.models.test_combined import loaded

WEIGHT = {"low": 0.0, "high": 1.5}


@pytest.fixture
def pool(bases, train):  # noqa: F811
    paths = {
        n: train(bases["mistral"], name=n, seed=s, target_modules=ALL, r=2)[0]
        for s, n in enumerate("ab")
    }
    tuned = {name: {"path": str(path), "adapter_of": "base"} for name, path in paths.items()}
    return open_pool(sources={"base": {"path": str(bases["mistral"]), "role": "base"}, **tuned})


def candidate(pool, method, **options):
    merger = merger_class(method)(pool, **{"weight": WEIGHT, **options})
    recipe = merger.recipe(merger.space.init * 0 + 0.3)
    return merger.build(recipe), recipe


@pytest.mark.parametrize("granularity", ["whole", "layer"])
@pytest.mark.parametrize(
    ("method", "options"), [("task_arithmetic", {"lambda_": 0.7}), ("linear", {})]
)
def test_the_adapter_on_the_base_is_the_merge(pool, bases, method, options, granularity, tmp_path):  # noqa: F811
    made, recipe = candidate(pool, method, granularity=granularity, **options)
    export(made, recipe, pool, tmp_path / "model", card="# card")
    found = loaded(bases["mistral"], tmp_path / "model" / "adapter")
    for name in made.names:
        torch.testing.assert_close(found[name], made.tensor(name), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("method", "options"), [("ties", {}), ("linear", {"normalize": False})])
def test_what_does_not_add_up_is_a_whole_model_only(pool, method, options):
    made, _ = candidate(pool, method, **options)
    assert made.adapter() is None


def test_other_embeddings_make_it_a_whole_model_only(pool):
    sources = {s.name: vars(s.spec) | {"name": None} for s in pool.members}
    options = [{k: v for k, v in spec.items() if v is not None} for spec in sources.values()]
    padded = open_pool(
        sources=dict(zip(sources, options, strict=True)), tokenizer="base", pad_to_multiple_of=512
    )
    made, _ = candidate(padded, "task_arithmetic")
    assert made.adapter() is None


def test_models_are_no_adapters(pico):
    from tests.conftest import open_pico

    made, _ = candidate(open_pico(pico), "task_arithmetic")
    assert made.adapter() is None
