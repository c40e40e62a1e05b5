from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evoforge.baseline import baselines
from evoforge.errors import ConfigError, MergeError
from evoforge.evaluator._decode import Decoder
from evoforge.evaluator.hf import Hf
from evoforge.merge.base import Mergers
from evoforge.merge.ties import Ties
from evoforge.models.pool import open_pool
from evoforge.task.generation import Generation
from evoforge.task.multiple_choice import MultipleChoice
from evoforge.task.text_scoring import TextScoring
from tests.conftest import open_pico
from tests.loop import WEIGHT, Sums


class Questions:
    """Prompts of many lengths."""

    def rows(self, part):
        return [
            {"id": f"{part}-{i}", "question": "ab" * (i % 7) + f"{i} {part}", "answer_number": i}
            for i in range(20)
        ]


@pytest.fixture
def task():
    return Generation(name="t", items=Questions(), prompt="{question}=", max_new_tokens=8)


@pytest.fixture
def merger(pool):
    return Ties(pool, weight=WEIGHT)


def candidate(pool, merger, name):
    return Mergers(pool).build(baselines(merger)[name])


def test_answers_are_those_of_plain_generate(pool, merger, task, pico):
    found = Hf(task, pool, batch_size=6).evaluate(
        candidate(pool, merger, "a"), task.items("search")
    )
    model = AutoModelForCausalLM.from_pretrained(pico["a"])
    tokenizer = AutoTokenizer.from_pretrained(pico["a"])
    assert found.status == "ok", found.reason
    for item, result in zip(task.items("search"), found.results, strict=True):
        prompt = tokenizer(task.request(item).context.text, return_tensors="pt")
        output = model.generate(**prompt, do_sample=False, max_new_tokens=8)
        answer = output[0, prompt["input_ids"].shape[1] :]
        assert result.item == item.id
        assert result.completion == tokenizer.decode(answer, skip_special_tokens=True)


def test_the_batch_size_does_not_change_the_answers(pool, merger, task):
    found = [
        Hf(task, pool, batch_size=size).evaluate(
            candidate(pool, merger, "uniform_soup"), task.items("search")
        )
        for size in (1, 3, 64)
    ]
    completions = [[result.completion for result in each.results] for each in found]
    assert completions[0] == completions[1] == completions[2]


def test_the_live_model_is_the_candidate_bit_for_bit(pool, merger, task):
    evaluator = Hf(task, pool)
    for name in ("b", "start_point", "unoptimised_ties", "b"):
        wanted = candidate(pool, merger, name)
        evaluator.live.write(wanted)
        state = evaluator.live.model.state_dict()
        for tensor in wanted.names:
            assert torch.equal(state[tensor], wanted.tensor(tensor))


def test_only_what_changed_is_merged_again(pool, task):
    merger = Ties(pool, weight=WEIGHT, granularity="layer")
    evaluator = Hf(task, pool)
    genome = merger.space.init
    assert evaluator.live.write(merger.build(merger.recipe(genome))) == len(pool.names)
    assert evaluator.live.write(merger.build(merger.recipe(genome))) == 0
    genome[merger.space.names.index("layer1.a.weight")] = 0.9
    of_layer = sum(".layers.1." in name for name in pool.names)
    assert evaluator.live.write(merger.build(merger.recipe(genome))) == of_layer


def test_weights_that_are_not_finite_are_a_failure_and_do_not_stay(pool, merger, task):
    evaluator = Hf(task, pool)
    good = candidate(pool, merger, "a")
    expected = evaluator.evaluate(good, task.items("select"))

    class Broken:
        identity, names, walk = "broken", good.names, None

        def key(self, name):
            return ("broken", name)

        def shape(self, name):
            return good.shape(name)

        def write(self, name, out):
            if name == good.names[5]:
                raise MergeError(f"the merged {name} has values that are not finite")
            out.fill_(0.5)

    found = evaluator.evaluate(Broken(), task.items("select"))
    assert (found.status, found.fitness, found.score) == ("failed", float("-inf"), None)
    assert "MergeError: the merged" in found.reason
    again = evaluator.evaluate(good, task.items("select"))
    assert again.results == expected.results


class Small:
    """A decoder that has memory for so many answers at once."""

    sizes: list[int]
    room = 8

    def __init__(self, *given, batch_size, **more):
        self.real = Decoder(*given, batch_size=batch_size, **more)
        self.sizes.append(batch_size)

    def generate(self, prompts):
        if self.real.batch_size > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.real.generate(prompts)


def test_running_out_of_memory_is_tried_once_with_half_the_batch(pool, merger, task, monkeypatch):
    expected = Hf(task, pool).evaluate(candidate(pool, merger, "a"), task.items("search"))
    Small.sizes = []
    monkeypatch.setattr("evoforge.evaluator.hf.Decoder", Small)
    evaluator = Hf(task, pool, batch_size=16)
    found = evaluator.evaluate(candidate(pool, merger, "a"), task.items("search"))
    assert found.status == "ok"
    assert Small.sizes == [16, 8]
    assert found.results == expected.results


def test_running_out_of_memory_twice_is_a_failure(pool, merger, task, monkeypatch):
    Small.sizes = []
    monkeypatch.setattr("evoforge.evaluator.hf.Decoder", Small)
    evaluator = Hf(task, pool, batch_size=128)
    found = evaluator.evaluate(candidate(pool, merger, "a"), task.items("search"))
    assert found.status == "failed"
    assert found.reason == "OutOfMemoryError: CUDA out of memory"
    assert Small.sizes == [128, 64]


def test_stop_texts_end_an_answer_and_are_cut_off(pool, merger):
    plain = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=8)
    soup = candidate(pool, merger, "a")
    results = Hf(plain, pool).evaluate(soup, plain.items("search")).results
    longest = max(results, key=lambda result: len(result.completion))
    stop = longest.completion[2]
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=8, stop=[stop])
    found = Hf(task, pool).evaluate(soup, task.items("search"))
    cut = next(r.completion for r in found.results if r.item == longest.item)
    assert cut == longest.completion[: longest.completion.index(stop)]
    assert not any(stop in result.completion for result in found.results)


def test_a_prompt_longer_than_the_context_names_the_item_and_the_option(pool, merger):
    task = Generation(name="t", items=Sums(), prompt="a" * 125 + "{question}", max_new_tokens=8)
    with pytest.raises(ConfigError, match="the prompt of search-.*; set task.too_long"):
        Hf(task, pool)


def test_a_device_that_is_not_there_is_a_clear_error(pool, task):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ConfigError, match="no CUDA device for evaluator.device=cuda"):
        Hf(task, pool, device="cuda")


def test_a_device_of_no_known_kind_is_a_clear_error(pool, task):
    with pytest.raises(ConfigError, match="device must be auto, cpu, cuda or cuda:N, got foo"):
        Hf(task, pool, device="foo")


def test_weights_beyond_float16_are_a_failure(pico, task):
    pool = open_pico(pico, dtype="float16")
    merger = Ties(pool, weight=WEIGHT, lambda_=1e9)
    found = Hf(task, pool).evaluate(
        merger.build(merger.recipe(merger.space.init)), task.items("search")
    )
    assert "do not fit into float16; set models.dtype" in found.reason


def test_an_unknown_attention_is_a_clear_error(pool, task):
    with pytest.raises(ConfigError, match="set evaluator.attention"):
        Hf(task, pool, attention="nonsense")


def test_a_checkpoint_that_lacks_a_weight_is_a_clear_error(save_pico, task):
    from safetensors.torch import load_file, save_file

    folder = save_pico("headless", seed=0)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors.pop("lm_head.weight")
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="headless has no tensor lm_head.weight, which Mistral"):
        Hf(task, open_pico({"headless": folder}))


def test_stored_rotary_frequencies_are_no_weights(save_pico, task, pool, merger):
    from safetensors.torch import load_file, save_file

    folder = save_pico("old", seed=0)
    path = folder / "model.safetensors"
    extra = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    save_file({**load_file(path), **extra}, path, metadata={"format": "pt"})
    assert Hf(task, open_pico({"old": folder})).live.model is not None


def test_tied_embeddings_are_written_once_and_shared(save_pico):
    base = save_pico("base", seed=0, tie_word_embeddings=True)
    folders = {"base": base, "a": save_pico("a", seed=1, near=base)}
    pool = open_pico(folders)
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=4)
    evaluator = Hf(task, pool)
    evaluator.live.write(candidate(pool, Ties(pool, weight=WEIGHT), "a"))
    state = evaluator.live.model.state_dict()
    assert "lm_head.weight" not in pool.names
    assert torch.equal(state["lm_head.weight"], pool.tensors("a")["model.embed_tokens.weight"])


def test_a_type_that_the_processor_emulates_is_said(task, save_pico, monkeypatch, caplog):
    folder = save_pico("half", seed=1, dtype=torch.bfloat16)
    pool = open_pool(sources={"a": {"path": str(folder)}})
    for fast in (True, False):
        caplog.clear()
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda f=fast: f)
        Hf(task, pool)
        assert ("no instructions for bfloat16" in caplog.text) != fast


class Choices:
    """Questions with two choices each."""

    def rows(self, part):
        offset = {"search": 0, "select": 10, "test": 20}[part]
        return [
            {
                "id": f"{part}-{i}",
                "question": f"{i + offset}=",
                "choices": ["1", "23"],
                "label": i % 2,
            }
            for i in range(6)
        ]


def test_multiple_choice_takes_what_a_plain_pass_finds_likelier(pool, merger, pico):
    task = MultipleChoice(name="m", items=Choices(), prompt="{question}")
    found = Hf(task, pool).evaluate(candidate(pool, merger, "a"), task.items("search"))
    assert found.status == "ok", found.reason
    model = AutoModelForCausalLM.from_pretrained(pico["a"])
    tokenizer = AutoTokenizer.from_pretrained(pico["a"])
    for item, result in zip(task.items("search"), found.results, strict=True):
        plain = [_log_likelihood(model, tokenizer, item.question, c) for c in item.choices]
        assert result.metrics["acc"] == float(plain.index(max(plain)) == item.label)
        assert result.tokens == 3


def test_text_scoring_is_the_mean_of_a_plain_pass(pool, merger, pico):
    rows = Choices().rows
    items = SimpleNamespace(rows=lambda part: [{**row, "solution": "123"} for row in rows(part)])
    task = TextScoring(name="t", items=items, prompt="{question}", text="{solution}")
    found = Hf(task, pool).evaluate(candidate(pool, merger, "a"), task.items("search"))
    assert found.status == "ok", found.reason
    model = AutoModelForCausalLM.from_pretrained(pico["a"])
    tokenizer = AutoTokenizer.from_pretrained(pico["a"])
    for item, result in zip(task.items("search"), found.results, strict=True):
        plain = _log_likelihood(model, tokenizer, item.question, "123") / 3
        assert result.metrics["logprob"] == pytest.approx(plain, abs=1e-4)


def _log_likelihood(model, tokenizer, context, continuation):
    ids = tokenizer(context + continuation, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logs = model(ids).logits[0].log_softmax(-1)
    places = range(ids.shape[1] - len(continuation), ids.shape[1])
    return sum(float(logs[place - 1, ids[0, place]]) for place in places)


def test_the_proxy_of_a_task_is_asked_where_it_is_wanted(pool, merger):
    options = {"max_new_tokens": 8, "proxy": "{answer_number}"}
    task = Generation(name="t", items=Sums(), prompt="{question}", **options)
    evaluator = Hf(task, pool)
    whole = candidate(pool, merger, "a")
    proxy = evaluator.evaluate(whole, task.items("search"), proxy=True)
    real = evaluator.evaluate(whole, task.items("search"))
    assert proxy.proxy
    assert not real.proxy
    assert proxy.protocol != real.protocol
    assert set(proxy.results[0].metrics) == {"logprob", "probability"}


def test_a_task_without_a_proxy_says_so(pool, merger, task):
    with pytest.raises(ConfigError, match="has no proxy; set task.proxy"):
        Hf(task, pool).evaluate(candidate(pool, merger, "a"), task.items("search"), proxy=True)
