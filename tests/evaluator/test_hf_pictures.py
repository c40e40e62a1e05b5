"""Candidates that see, from items to results."""

import pytest
import torch

from evoforge.baseline import baselines
from evoforge.errors import ConfigError
from evoforge.evaluator.hf import Hf
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import Dfs
from evoforge.merge.linear import Linear
from evoforge.path import Hop
from evoforge.task.generation import Generation
from evoforge.task.multiple_choice import MultipleChoice
from evoforge.task.picture import Picture
from evoforge.task.request import Response
from tests.evaluator.conftest import END, Seer, pictures
from tests.loop import WEIGHT, Sums
from tests.vlms import open_vlm

SHOWN = pictures(18)
START = {"search": 0, "select": 6, "test": 12}


class Shown:
    """Questions about pictures, of which some break off."""

    def __init__(self, broken=()):
        self.broken = broken

    def rows(self, part):
        return [self.row(f"{part}-{i}", START[part] + i) for i in range(6)]

    def row(self, name, number):
        row = {"id": name, "question": f"what is {number}", "answer_number": number}
        shown = SHOWN[number]
        if name in self.broken:
            shown = Picture(name, f"{name}.png", lambda: SHOWN[number].read()[:200])
        return {**row, "image": shown}


class Choices(Shown):
    """The same with choices."""

    def row(self, name, number):
        row = super().row(name, number)
        del row["answer_number"]
        return {**row, "choices": ["ab", "c"], "label": number % 2}


@pytest.fixture
def task():
    return Generation(name="t", items=Shown(), prompt="<image>{question}?", max_new_tokens=6)


def merged(pool, name="uniform_soup"):
    merger = Linear(pool, weight=WEIGHT)
    return Mergers(pool).build(baselines(merger)[name])


def path(pool):
    merger = Dfs(pool, sources=["vlm", "llm"], scale="none")
    hops = [Hop("vlm", 0), Hop("llm", 1), Hop("vlm", 1), Hop("llm", 1), Hop("vlm", 2)]
    return merger.build(merger.recipe_of(hops))


@pytest.mark.parametrize("make", [merged, path])
@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "gemma3"])
def test_answers_about_pictures_are_those_of_plain_generate(seer, family, make, task):
    seer = seer(family)
    evaluator = Hf(task, seer.pool, batch_size=4)
    evaluator.ends = (END,)
    found = evaluator.evaluate(make(seer.pool), task.items("search"))
    assert found.status == "ok", found.reason
    for item, result in zip(task.items("search"), found.results, strict=True):
        text = f"<image>{item.question}?"
        wanted = seer.plain(text, item.picture, evaluator.live.model, max_new_tokens=6)
        decode = seer.pool.tokenizer.decode
        assert result.completion == decode(wanted, skip_special_tokens=True)
        assert result.tokens == len(wanted)


def test_no_candidate_makes_the_tower_look_again(seer, task):
    seer = seer("llava")
    evaluator = Hf(task, seer.pool)
    looks = []
    tower = evaluator.live.model.base_model.vision_tower
    tower.register_forward_hook(lambda *_: looks.append(1))
    for name in ("uniform_soup", "vlm", "llm"):
        evaluator.evaluate(merged(seer.pool, name), task.items("search"))
    evaluator.evaluate(path(seer.pool), task.items("search"))
    assert len(looks) == 6


def test_a_broken_picture_fails_alone(seer, caplog):
    seer = seer("llava")
    results = []
    for broken in ((), ("search-2", "test-1")):
        task = Generation(
            name="t", items=Shown(broken), prompt="<image>{question}?", max_new_tokens=6
        )
        evaluator = Hf(task, seer.pool)
        found = evaluator.evaluate(merged(seer.pool), task.items("search"))
        results.append(found.results)
    whole, lacking = results
    assert [lacking[i] for i in (0, 1, 3, 4, 5)] == [whole[i] for i in (0, 1, 3, 4, 5)]
    assert lacking[2].completion == ""
    assert lacking[2].tokens == 0
    assert lacking[2].reason.startswith("no picture: search-2.png does not decode")
    assert lacking[2].metrics == task.score(task.items("search")[2], Response())
    assert caplog.text.count("its items get no answer: no picture: search-2.png does not") == 1


def test_no_choice_about_a_broken_picture_is_right(seer):
    seer = seer("llava")
    items = Choices(broken=["search-2"])
    task = MultipleChoice(name="m", items=items, prompt="<image>{question}?", separate=True)
    found = Hf(task, seer.pool).evaluate(merged(seer.pool), task.items("search"))
    assert found.status == "ok", found.reason
    assert found.results[2].reason.startswith("no picture: search-2.png")
    assert found.results[2].metrics == {"acc": 0.0, "choice": -1.0}
    assert all(not result.reason for i, result in enumerate(found.results) if i != 2)


def test_a_picture_that_turns_out_too_large_fails_alone(seer, task, monkeypatch, caplog):
    """Some processors cannot say before how many tokens it takes."""
    seer = seer("llava")
    evaluator = Hf(task, seer.pool)
    real = evaluator._encoder._fit

    def fit(item, *rest):
        if item == "search-3":
            raise ConfigError("the prompt of search-3 has 9 tokens, and models read 8")
        return real(item, *rest)

    monkeypatch.setattr(evaluator._encoder, "_fit", fit)
    for _ in range(2):
        found = evaluator.evaluate(merged(seer.pool), task.items("search"))
        assert found.status == "ok"
        (failed,) = (result for result in found.results if result.reason.startswith("no picture"))
        assert (failed.item, failed.completion) == ("search-3", "")
        assert failed.reason == (
            "no picture: the prompt of search-3 has 9 tokens, and models read 8"
        )
    assert caplog.text.count("the item search-3 gets no answer: no picture: the prompt") == 1


def test_a_tower_that_speaks_to_several_layers_is_refused(seer, task, monkeypatch):
    """As those of Qwen3-VL do; without all that they say answers would be wrong."""
    evaluator = Hf(task, seer("llava").pool)
    real = evaluator.live.model.base_model.get_image_features

    def deep(**given):
        found = real(**given)
        found.deepstack_features = [found.pooler_output]
        return found

    monkeypatch.setattr(evaluator.live.model.base_model, "get_image_features", deep)
    with pytest.raises(ConfigError, match="LlavaForConditionalGeneration takes of a picture more"):
        evaluator.evaluate(merged(seer("llava").pool), task.items("search"))


@pytest.mark.parametrize("family", ["llava_next", "qwen2_5_vl", "idefics3"])
def test_logits_are_those_of_the_model_that_sees(seer, family, task):
    seer = seer(family)
    evaluator = Hf(task, seer.pool)
    items = task.items("select")[:2]
    candidate = merged(seer.pool, "vlm")
    evaluator.evaluate(candidate, task.items("search"))
    found = evaluator.logits(candidate, items)
    wanted = _said(seer, evaluator, items)
    assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))
    assert all(
        torch.allclose(mine, other)
        for mine, other in zip(found, evaluator.logits_of(seer.folders["vlm"], items), strict=True)
    )
    # It is the picture that is asked for.
    (other,) = evaluator.logits(candidate, [task.items("select")[2]])
    assert found[0].shape != other.shape or not torch.allclose(found[0], other)


@torch.inference_mode()
def _said(seer, evaluator, items):
    for item in items:
        given = seer.inputs(f"<image>{item.question}?", item.picture)
        yield evaluator.live.model(**given).logits[0]


def test_texts_are_answered_by_models_that_see_as_by_others(seer):
    seer = seer("llava")
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=6)
    evaluator = Hf(task, seer.pool)
    evaluator.ends = (END,)
    found = evaluator.evaluate(merged(seer.pool), task.items("search"))
    for item, result in zip(task.items("search"), found.results, strict=True):
        wanted = seer.plain(item.question, None, evaluator.live.model, max_new_tokens=6)
        decode = seer.pool.tokenizer.decode
        assert result.completion == decode(wanted, skip_special_tokens=True)


def test_models_without_eyes_are_refused_before_the_search(pool, task):
    with pytest.raises(ConfigError, match="search-0 shows a picture, and the models see none"):
        Hf(task, pool)


def test_room_for_features_is_above_none(seer, task):
    with pytest.raises(ConfigError, match=r"above 0, got 0; set evaluator\.feature_cache_gb"):
        Hf(task, seer("llava").pool, feature_cache_gb=0)


def test_only_a_few_pictures_are_looked_at_before_the_search(seer, task, monkeypatch):
    made = []
    real = Picture.image
    monkeypatch.setattr(Picture, "image", lambda self: made.append(self.where) or real(self))
    Hf(task, seer("llava").pool)
    assert len(made) == 6  # two of each part


def test_where_the_first_pictures_all_are_broken_there_is_no_search(seer):
    items = Shown(broken=[f"select-{i}" for i in (0, 1)])
    task = Generation(name="t", items=items, prompt="<image>{question}?", max_new_tokens=6)
    with pytest.raises(
        ConfigError, match="the first 2 pictures of the select part cannot be shown: no picture: s"
    ):
        Hf(task, seer("llava").pool)


def test_one_broken_picture_of_several_questions_stops_no_run(seer):
    class Same(Shown):
        def row(self, name, number):
            return {**super().row(name, number), "image": first if number < 3 else SHOWN[number]}

    first = Picture("half", "half.png", lambda: SHOWN[0].read()[:200])
    task = Generation(name="t", items=Same(), prompt="<image>{question}?", max_new_tokens=6)
    assert Hf(task, seer("llava").pool)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("llava_next", {"vision": {"model_type": "llava"}}),
        ("llava", {"tokenizer": "union", "pad_to_multiple_of": 32}),
    ],
)
def test_models_of_another_class_or_vocabulary_see_too(seer, family, options, task):
    seer = seer(family)
    pool = open_vlm(seer.folders, **options)
    evaluator = Hf(task, pool)
    evaluator.ends = (END,)
    found = evaluator.evaluate(merged(pool), task.items("search"))
    assert found.status == "ok", found.reason
    other = Seer(seer.folders, pool)
    for item, result in zip(task.items("search"), found.results, strict=True):
        text = f"<image>{item.question}?"
        wanted = other.plain(text, item.picture, evaluator.live.model, max_new_tokens=6)
        assert result.completion == pool.tokenizer.decode(wanted, skip_special_tokens=True)
