"""How the parts of a run come together; what workers build, and what the search does not."""

import pytest
import torch

from evoforge.assembly import assemble, workplace
from evoforge.errors import ConfigError
from evoforge.executor.base import Job, Place

SMALL = [
    "tracker=[]",
    "fitness.size=8",
    "task.items.search=8",
    "task.items.select=4",
    "task.items.test=4",
    "task.max_new_tokens=4",
]


@pytest.fixture
def cfg(compose, pico):
    """Return a maker of configurations of small searches over pico models."""
    sources = {
        name: {"path": str(path), "role": "base" if name == "base" else "source"}
        for name, path in pico.items()
    }

    def make(*overrides):
        made = compose(*SMALL, *overrides)
        made["models"] = {"_target_": "evoforge.models.pool.open_pool", "sources": sources}
        return made

    return make


def test_where_workers_evaluate_the_search_has_no_live_model(cfg):
    parts = assemble(cfg("executor=processes"))
    assert parts.evaluator._made is None
    parts.executor.close()
    assert assemble(cfg()).evaluator._made is not None


def test_the_search_knows_the_protocol_of_its_workers(cfg):
    here, there = (assemble(cfg(f"executor={name}")) for name in ("local", "processes"))
    assert here.task.protocol_hash("search") == there.task.protocol_hash("search")
    job = Job(next(iter(there.baselines.values())), there.task.items("search")[:2])
    lost = there.executor.lost(job, "took too long")
    (found,) = here.executor.run([job])
    assert (lost.recipe, lost.protocol, lost.item_set) == (
        found.recipe,
        found.protocol,
        found.item_set,
    )
    assert (lost.status, lost.fitness, lost.reason) == ("failed", float("-inf"), "took too long")


@pytest.mark.parametrize("merge", ["merge=ties", "merge=dfs"])
def test_a_worker_says_what_the_search_itself_would(cfg, merge):
    # The path begins with another model than the base, which then says settings and tokenizer.
    path = ["merge.sources=[b,a]"] if merge == "merge=dfs" else []
    made = cfg(merge, *path)
    parts = assemble(made)
    recipe = parts.stages[0].merger.recipe(parts.stages[0].optimizer.ask()[0])
    job = Job(recipe, parts.task.items("search")[:4])
    (here,) = parts.executor.run([job])
    there = workplace(made, Place())(job)
    assert here.status == "ok"
    assert (there.results, there.fitness) == (here.results, here.fitness)


@pytest.mark.skipif(torch.cuda.is_available(), reason="cuda:0 is there")
def test_a_worker_takes_the_gpu_that_it_was_given_unless_the_user_said_cpu(cfg):
    with pytest.raises(ConfigError, match="evaluator.device"):
        workplace(cfg(), Place("cuda:0"))
    assert workplace(cfg("evaluator.device=cpu"), Place("cuda:0"))
