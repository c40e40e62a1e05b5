"""Sources of different vocabularies: which rows they get, and whether such a merge is a model."""

import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from evoforge.baseline import baselines
from evoforge.errors import ConfigError, PoolError
from evoforge.evaluator.hf import Hf
from evoforge.export import export
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import Dfs
from evoforge.merge.linear import Linear
from evoforge.merge.task_arithmetic import TaskArithmetic
from evoforge.mergekit_writer.files import mergekit_config
from evoforge.models.preflight import preflight
from evoforge.path import Hop
from evoforge.recipe import canonical
from evoforge.task.generation import Generation
from tests.conftest import CHARACTERS, open_pico
from tests.loop import WEIGHT, Sums

EMBEDDING, HEAD, NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
SPECIAL = ("<s>", "</s>", "<pad>")


def tokenizer(tokens, **special):
    """Return a tokenizer that has the tokens in this order, most of them single characters."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate(tokens)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    made.decoder = decoders.Fuse()
    given = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", **special}
    return PreTrainedTokenizerFast(tokenizer_object=made, **given)


@pytest.fixture
def spell(bare, remake):
    """Return a maker of toy folders whose row of a token is (10 x seed + its id) everywhere."""

    def make(name, letters, seed, *, rows=None, dtype=torch.float32, **config):
        tokens = [*SPECIAL, *letters]
        numbers = torch.arange(rows or len(tokens)).float() + 100 * seed
        table = numbers[:, None].repeat(1, 3).to(dtype)
        tensors = {EMBEDDING: table, NORM: torch.ones(3), HEAD: -table}
        folder = remake(name, tensors=tensors, config={"vocab_size": len(numbers), **config})
        tokenizer(tokens).save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def three(spell):
    """A base and two sources: `d` is new in a and in b, `e` in a alone, `f` in b alone."""
    return {
        "base": spell("base", "abc", 0),
        "a": spell("a", "cbde", 1),
        "b": spell("b", "adf", 2),
    }


def rows(pool, name):
    """Return the numbers in a source's embeddings, after making sure that the head has the same."""
    tensors = pool.tensors(name)
    assert torch.equal(tensors[HEAD], -tensors[EMBEDDING])
    return tensors[EMBEDDING][:, 0].tolist()


def test_sources_of_one_vocabulary_are_left_alone(pico):
    pool = open_pico(pico, tokenizer="union")
    pool.check()
    assert all(pool.tensors(m.name) is m.tensors for m in pool.members)
    assert pool.vocabulary is None
    assert pool.tokenizer.get_vocab() == open_pico(pico).tokenizer.get_vocab()


def test_a_union_keeps_the_base_s_ids_and_adds_the_others_in_order(three):
    pool = open_pico(three, tokenizer="union")
    tokens = sorted(pool.tokenizer.get_vocab(), key=pool.tokenizer.get_vocab().get)
    assert tokens == [*SPECIAL, *"abcdef"]


def test_each_token_s_row_is_its_own_or_the_base_s_or_its_owner_s_or_their_mean(three):
    pool = open_pico(three, tokenizer="union")
    pool.check()
    # a has c b d e as 103 to 106, b has a d f as 203 to 205; d is the mean of 105 and 204.
    assert rows(pool, "base") == [0, 1, 2, 3, 4, 5, 154.5, 106, 205]
    assert rows(pool, "a") == [100, 101, 102, 3, 104, 103, 105, 106, 205]
    assert rows(pool, "b") == [200, 201, 202, 203, 4, 5, 204, 106, 205]


def test_without_a_base_the_owners_give_a_row(three):
    pool = open_pico({"x": three["base"], "a": three["a"], "b": three["b"]}, tokenizer="union")
    pool.check()
    # Two have a (3 and 203): their mean; two have b (4 and 104), two have c (5 and 103).
    assert rows(pool, "a") == [100, 101, 102, 103, 104, 103, 105, 106, 205]
    assert rows(pool, "b") == [200, 201, 202, 203, 54, 54, 204, 106, 205]


def test_the_vocabulary_of_a_source_has_its_tokens_alone(three):
    pool = open_pico(three, tokenizer="a")
    pool.check()
    assert pool.tokenizer.get_vocab() == AutoTokenizer.from_pretrained(three["a"]).get_vocab()
    assert rows(pool, "base") == [0, 1, 2, 5, 4, 154.5, 106]
    assert pool.tensors("a") is pool.member("a").tensors


def test_base_is_the_source_of_that_role_whatever_its_name(three):
    from evoforge.models.pool import open_pool

    sources = {
        "first": {"path": str(three["a"])},
        "root": {"path": str(three["base"]), "role": "base"},
    }
    pool = open_pool(sources=sources, tokenizer="base")
    assert pool.tokenizer_source == "root"
    assert rows(pool, "first") == [100, 101, 102, 3, 104, 103]


def test_a_source_of_the_name_base_comes_before_the_role(three):
    from evoforge.models.pool import open_pool

    sources = {
        "base": {"path": str(three["a"])},
        "root": {"path": str(three["base"]), "role": "base"},
    }
    assert open_pool(sources=sources, tokenizer="base").tokenizer_source == "base"


def test_what_a_source_takes_from_the_base_has_no_task_vector_in_any_type(spell):
    folders = {"base": spell("base", "abc", 1), "a": spell("a", "b", 2, dtype=torch.bfloat16)}
    pool = open_pico(folders, tokenizer="base")
    base = pool.member("base").tensors[EMBEDDING]
    base += 0.001  # finer numbers than bfloat16 holds
    taken = pool.tensors("a")[EMBEDDING]
    assert taken.dtype == torch.float32
    assert torch.equal(taken[3], base[3])
    assert taken[4].tolist() == [203.0] * 3


def test_rows_keep_the_type_of_the_sources_where_it_holds_them(spell):
    folders = {
        name: spell(name, letters, 0, dtype=torch.bfloat16)
        for name, letters in (("base", "ab"), ("a", "ac"))
    }
    pool = open_pico(folders, tokenizer="union")
    assert {pool.tensors(name)[EMBEDDING].dtype for name in folders} == {torch.bfloat16}


def test_a_mean_is_not_rounded(spell):
    folders = {
        "base": spell("base", "a", 0, dtype=torch.bfloat16),
        "a": spell("a", "ab", 2, dtype=torch.bfloat16),
        "b": spell("b", "cb", 2.01, dtype=torch.bfloat16),
    }
    pool = open_pico(folders, tokenizer="union")
    found = pool.tensors("base")[EMBEDDING]
    # 204 and 205 are bfloat16, what lies between them is not.
    assert found.dtype == torch.float32
    assert found[4].tolist() == [204.5] * 3


def test_nothing_is_made_before_it_is_asked_for(three):
    pool = open_pico(three, tokenizer="union")
    pool.check()
    assert pool.tensors("a").shape(EMBEDDING) == (9, 3)
    assert not pool.tensors("a")._made


def test_all_else_is_passed_through_untouched(three):
    pool = open_pico(three, tokenizer="union")
    found = pool.tensors("a")
    assert found[NORM] is pool.member("a").tensors[NORM]
    assert tuple(found) == tuple(pool.member("a").tensors)
    assert len(found) == 3
    assert found[EMBEDDING] is found[EMBEDDING]


def test_tied_embeddings_stay_tied(spell):
    tied = {"tie_word_embeddings": True}
    folders = {"base": spell("base", "ab", 0, **tied), "a": spell("a", "ac", 1, **tied)}
    pool = open_pico(folders, tokenizer="union")
    pool.check()
    assert HEAD not in pool.names
    assert pool.tensors("base")[EMBEDDING].shape == (6, 3)


def test_padding_of_one_source_is_no_reason_to_refuse(spell):
    folders = {"base": spell("base", "abc", 0, rows=9), "a": spell("a", "abc", 1)}
    with pytest.raises(PoolError, match=r"models\.tokenizer=union, or =base .*truncate=true"):
        open_pico(folders).check()
    for choice in ("base", "union"):
        pool = open_pico(folders, tokenizer=choice)
        pool.check()
        # The padding of the base is the others' too.
        assert rows(pool, "a") == [100, 101, 102, 103, 104, 105, 6, 7, 8]
        assert pool.tensors("base") is pool.member("base").tensors


def test_new_tokens_take_the_place_of_padding(spell):
    folders = {"base": spell("base", "a", 0, rows=6), "a": spell("a", "ab", 1)}
    pool = open_pico(folders, tokenizer="union")
    assert rows(pool, "base") == [0, 1, 2, 3, 104, 5]


def test_rows_are_padded_with_the_mean_of_the_real_ones(spell):
    folders = {"base": spell("base", "abc", 0), "a": spell("a", "abc", 1)}
    pool = open_pico(folders, pad_to_multiple_of=4)
    pool.check()
    assert rows(pool, "base") == [0, 1, 2, 3, 4, 5, 2.5, 2.5]
    assert rows(pool, "a") == [100, 101, 102, 103, 104, 105, 102.5, 102.5]
    assert pool.model_config().vocab_size == 8
    assert pool.vocabulary["rows"] == 8
    assert pool.vocabulary["padding"] == 2


def test_a_number_of_rows_that_is_a_multiple_is_not_padded(spell):
    folders = {"base": spell("base", "abc", 0), "a": spell("a", "abc", 1)}
    assert open_pico(folders, pad_to_multiple_of=3).vocabulary is None


def test_old_padding_is_not_part_of_the_mean(spell):
    folders = {"base": spell("base", "a", 0, rows=5), "a": spell("a", "a", 1, rows=5)}
    pool = open_pico(folders, pad_to_multiple_of=6)
    # Row 4 is padding already; 1.5 is the mean of 0 to 3.
    assert rows(pool, "base") == [0, 1, 2, 3, 4, 1.5]


def test_truncation_cuts_to_the_common_rows_and_says_what_is_lost(spell, caplog):
    folders = {"base": spell("base", "abc", 0), "a": spell("a", "abcde", 1)}
    pool = open_pico(folders, truncate=True)
    with caplog.at_level(logging.WARNING):
        pool.check()
    assert "the embeddings of a to 6 rows, without 2 tokens: 'd', 'e'" in caplog.text
    assert "differ" not in caplog.text
    assert rows(pool, "a") == [100, 101, 102, 103, 104, 105]
    assert pool.tensors("base") is pool.member("base").tensors


def test_truncation_says_where_tokens_differ_that_it_does_not_look_at(spell, caplog):
    folders = {"base": spell("base", "abc", 0), "a": spell("a", "acbd", 1)}
    with caplog.at_level(logging.WARNING):
        open_pico(folders, truncate=True).check()
    assert "base and a differ: token 4 is 'b' against 'c'" in caplog.text


def test_the_tokenizer_of_truncated_models_has_no_token_beyond(spell):
    folders = {"base": spell("base", "abcd", 0, pad_token_id=6), "a": spell("a", "ab", 1)}
    tokenizer([*SPECIAL, *"abc", "<fill>"], pad_token="<fill>").save_pretrained(folders["base"])
    pool = open_pico(folders, truncate=True)
    assert sorted(pool.tokenizer.get_vocab().values()) == list(range(5))
    assert pool.tokenizer("ab")["input_ids"] == [3, 4]
    # What fills lines is lost with its row, and is not named any more.
    assert pool.tokenizer.pad_token is None
    assert (pool.model_config().vocab_size, pool.model_config().pad_token_id) == (5, None)
    assert pool.model_config().eos_token_id == 1


def test_truncation_does_not_take_the_end_token_away(spell):
    folders = {"base": spell("base", "abc", 0), "a": spell("a", "a", 1)}
    tokenizer([*SPECIAL, *"abc"], eos_token="c").save_pretrained(folders["base"])
    with pytest.raises(PoolError, match="cut to 4 rows, the vocabulary of base has no eos_token"):
        _ = open_pico(folders, truncate=True).tokenizer


@pytest.mark.parametrize("choice", [{"tokenizer": "union"}, {"pad_to_multiple_of": 8}])
def test_embeddings_smaller_than_the_vocabulary_are_refused(spell, choice):
    folders = {"base": spell("base", "abc", 0), "a": spell("a", "abcd", 1, rows=6)}
    with pytest.raises(
        PoolError, match=r"of a have 6 rows, its tokenizer has tokens up to 6; .*truncate=true"
    ):
        open_pico(folders, **choice).check()
    open_pico(folders, truncate=True).check()


def test_other_settings_than_the_vocabulary_s_still_have_to_agree(spell):
    folders = {
        "base": spell("base", "abc", 0),
        "a": spell("a", "cd", 1, eos_token_id=2, rms_norm_eps=1e-3),
    }
    with pytest.raises(PoolError, match="a does not fit base: rms_norm_eps"):
        open_pico(folders, tokenizer="union").check()
    open_pico(folders, tokenizer="union", ignore=["rms_norm_eps"]).check()


def test_the_refusal_of_another_vocabulary_names_the_choices(spell):
    folders = {"base": spell("base", "abc", 0), "a": spell("a", "acb", 1)}
    with pytest.raises(
        PoolError,
        match=r"token 4 is 'b' against 'c'; set models\.tokenizer=union, or =base or =a .*ignore=",
    ):
        open_pico(folders).check()


WRONG = {
    "nobody": ({"tokenizer": "z"}, r"one of base, a, got z; .*models\.tokenizer to a source, or"),
    "no multiple": ({"pad_to_multiple_of": 0}, r"from 1 on or null, got 0; .*pad_to_multiple_of"),
    "half a row": ({"pad_to_multiple_of": 1.5}, r"whole number .* got 1\.5"),
    "perhaps": ({"truncate": "perhaps"}, r"true or false, got 'perhaps'; set models\.truncate"),
    "all but fewer": ({"truncate": True, "tokenizer": "union"}, r"got true; .*truncate=false"),
}


@pytest.mark.parametrize("case", WRONG)
def test_options_that_make_no_sense_are_refused(spell, case):
    options, words = WRONG[case]
    folders = {"base": spell("base", "abc", 0), "a": spell("a", "abc", 1)}
    with pytest.raises(ConfigError, match=words):
        open_pico(folders, **options)


def test_base_names_nobody_where_there_is_none(spell):
    with pytest.raises(ConfigError, match="one of x, a, got base"):
        open_pico({"x": spell("x", "abc", 0), "a": spell("a", "abc", 1)}, tokenizer="base")


def test_vocabularies_of_different_kinds_are_told(spell, caplog):
    folders = {"base": spell("base", "abcdefgh", 0), "a": spell("a", "ijklmnop", 1)}
    with caplog.at_level(logging.WARNING):
        open_pico(folders, tokenizer="union").check()
    assert "vocabularies of base and a have only 3 tokens in common" in caplog.text


def test_vocabularies_of_one_kind_are_not(three, caplog):
    with caplog.at_level(logging.WARNING):
        open_pico(three, tokenizer="union").check()
    assert "in common" not in caplog.text


def test_embeddings_that_nobody_knows_by_name_are_refused(three, remake):
    folders = {**three, "a": remake("odd", near=three["a"], drop=[EMBEDDING, HEAD])}
    with pytest.raises(PoolError, match="a has no embeddings that evoforge knows by name; set"):
        open_pico(folders, tokenizer="union").check()


def test_embeddings_of_positions_are_left_alone(three):
    folders = {name: three[name] for name in ("base", "a")}
    for folder in folders.values():
        found = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        places = torch.ones(len(found[EMBEDDING]), 3)[:5]
        save_file({**found, "model.embed_positions.weight": places}, folder / "model.safetensors")
    pool = open_pico(folders, tokenizer="union")
    pool.check()
    name = "model.embed_positions.weight"
    assert pool.tensors("a")[name] is pool.member("a").tensors[name]


def test_the_facts_are_json_and_fix_the_choice(three):
    facts = open_pico(three, tokenizer="union").vocabulary
    assert facts == json.loads(canonical(facts))
    assert (facts["tokenizer"], facts["rows"], facts["tokens"]) == ("union", 9, 9)
    assert [member["name"] for member in facts["members"]] == ["base", "a", "b"]
    assert open_pico(three, tokenizer="union").vocabulary == facts
    again = open_pico({name: three[name] for name in ("base", "b", "a")}, tokenizer="union")
    assert again.vocabulary["digest"] != facts["digest"]


def test_a_pool_with_another_lead_has_the_same_weights(three):
    pool = open_pico(three, tokenizer="union")
    led = pool.led_by("b")
    assert led.tensors("a") is pool.tensors("a")
    assert led.vocabulary == pool.vocabulary
    assert led.tokenizer.get_vocab() == pool.tokenizer.get_vocab()


def test_a_source_whose_ids_are_shuffled_is_the_same_source(pico, remake):
    tokens = [*SPECIAL, *CHARACTERS]
    order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(0))
    found = load_file(pico["a"] / "model.safetensors")
    shuffled = {name: found[name][order].contiguous() for name in (EMBEDDING, HEAD)}
    folder = remake("shuffled", near=pico["a"], tensors=shuffled)
    tokenizer([tokens[number] for number in order]).save_pretrained(folder)
    pool = open_pico({**pico, "a": folder}, tokenizer="base")
    pool.check()
    plain = open_pico(pico)
    values = {"all": {name: {"weight": 0.4} for name in "abc"}}
    merged, wanted = (TaskArithmetic(p, weight=WEIGHT) for p in (pool, plain))
    recipes = [merger.recipe_of(values) for merger in (merged, wanted)]
    for name in pool.names:
        assert torch.equal(
            merged.build(recipes[0]).tensor(name), wanted.build(recipes[1]).tensor(name)
        ), name


# --- whole models -----------------------------------------------------------------------------

# The source has the base's characters in another order, without some and with others.
OTHERS = "ßéñ" + CHARACTERS[::-1].replace("x", "").replace("y", "")
TEMPLATE = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"


@pytest.fixture(scope="module")
def mixed(save_pico):
    """Folders of a base, and of a source that has other tokens, special ids and a template."""
    tokens = [*OTHERS[:5], "</s>", "<s>", *OTHERS[5:], "<pad>"]
    ids = {token: i for i, token in enumerate(tokens)}
    special = {
        "bos_token_id": ids["<s>"],
        "eos_token_id": ids["</s>"],
        "pad_token_id": ids["<pad>"],
    }
    folders = {
        "base": save_pico("base", seed=0),
        "a": save_pico("a", seed=1, vocab_size=len(tokens), **special),
    }
    own = tokenizer(tokens)
    own.chat_template = TEMPLATE
    own.save_pretrained(folders["a"])
    return folders


def write(pool, folder):
    """Score a merge and export it; return what scored it."""
    merger = TaskArithmetic(pool, weight=WEIGHT)
    recipe = merger.recipe(merger.space.init)
    candidate = merger.build(recipe)
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=8)
    evaluator = Hf(task, pool)
    items = task.items("search")
    found = evaluator.evaluate(candidate, items)
    assert found.status == "ok", found.reason
    export(candidate, recipe, pool, folder, card="")
    return evaluator, candidate, items


@pytest.mark.parametrize("choice", ["base", "union", "a"])
def test_the_exported_model_is_the_scored_one_whatever_the_vocabulary(mixed, tmp_path, choice):
    pool = open_pico(mixed, tokenizer=choice)
    evaluator, candidate, items = write(pool, tmp_path / "model")
    scored = evaluator.logits(candidate, items)
    written = evaluator.logits_of(tmp_path / "model", items)
    assert all(torch.equal(a, b) for a, b in zip(scored, written, strict=True))


@pytest.mark.parametrize("choice", ["base", "union", "a"])
def test_the_exported_tokenizer_and_settings_are_those_of_the_choice(mixed, tmp_path, choice):
    pool = open_pico(mixed, tokenizer=choice, pad_to_multiple_of=16)
    write(pool, tmp_path / "model")
    found = AutoTokenizer.from_pretrained(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert found.get_vocab() == pool.tokenizer.get_vocab()
    assert found.chat_template == (TEMPLATE if choice == "a" else None)
    assert model.config.vocab_size == len(model.get_input_embeddings().weight)
    assert model.config.vocab_size % 16 == 0
    for settings in (model.config, model.generation_config):
        for kind in ("bos", "eos", "pad"):
            key = f"{kind}_token_id"
            assert getattr(settings, key) == getattr(found, key), (kind, settings)
    prompt = found("12+3=", return_tensors="pt", return_token_type_ids=False)
    answer = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert found.decode(answer[0]).startswith("12+3=")


def test_a_token_of_one_source_alone_says_the_same_wherever_it_stands(mixed):
    pool = open_pico(mixed, tokenizer="union")
    assert pool.tokenizer("ß")["input_ids"] == [len(CHARACTERS) + 3]
    alone = Linear(pool).recipe_of({"all": {"a": {"weight": 1.0}}})
    aligned = Mergers(pool).build(alone).tensor(EMBEDDING)
    own = AutoTokenizer.from_pretrained(mixed["a"]).get_vocab()
    new = pool.tokenizer.get_vocab()
    for token in OTHERS:
        assert torch.equal(aligned[new[token]], pool.member("a").tensors[EMBEDDING][own[token]])


def test_a_source_answers_as_before_in_another_vocabulary(mixed):
    pool = open_pico(mixed, tokenizer="union")
    alone = Linear(pool).build(Linear(pool).recipe_of({"all": {"a": {"weight": 1.0}}}))
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=8)
    (item, *_) = task.items("search")
    ((found),) = Hf(task, pool).logits(alone, [item])
    own = AutoTokenizer.from_pretrained(mixed["a"])
    model = AutoModelForCausalLM.from_pretrained(mixed["a"])
    # The text has no token that a has not.
    text = pool.tokenizer.decode(pool.tokenizer(task.request(item).context.text)["input_ids"])
    wanted = model(torch.tensor([own(text)["input_ids"]])).logits[0]
    new = pool.tokenizer.get_vocab()
    for token, number in own.get_vocab().items():
        assert torch.allclose(found[:, new[token]], wanted[:, number], atol=1e-5), token


def test_a_path_leads_through_sources_of_other_vocabularies(mixed, tmp_path):
    merger = Dfs(open_pico(mixed, tokenizer="union"), sources=["a", "base"], scale="none")
    pool = merger.pool
    recipe = merger.recipe_of([Hop("a", 0), Hop("base", 1), Hop("a", 3)])
    candidate = merger.build(recipe)
    # The first model leads, but the vocabulary is the base's and more: so are the special tokens.
    assert pool.model_config().eos_token_id == pool.tokenizer.eos_token_id == 1
    assert len(candidate.tensor(EMBEDDING)) == len(pool.tokenizer)
    assert mergekit_config(candidate, recipe, pool) is None
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=8)
    evaluator, items = Hf(task, pool), task.items("search")
    export(
        candidate,
        recipe,
        pool,
        tmp_path / "model",
        card="",
        scored=lambda: evaluator.logits(candidate, items),
        written=lambda folder: evaluator.logits_of(folder, items),
    )
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").config.num_hidden_layers == 3


def test_baselines_and_the_look_before_the_run_see_one_vocabulary(mixed):
    pool = open_pico(mixed, tokenizer="union")
    assert pool.misfits == {}
    found = baselines(TaskArithmetic(pool, weight=WEIGHT))
    assert {"base", "a", "uniform_soup", "unoptimised_ties"} <= set(found)
    assert [row.name for row in preflight(pool).rows] == ["base", "a"]


def test_several_end_tokens_of_the_chosen_source_go_along(mixed, tmp_path):
    import shutil

    chatty = shutil.copytree(mixed["a"], tmp_path / "chatty")
    path = chatty / "generation_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "eos_token_id": [5, 7]}))
    pool = open_pico({"base": mixed["base"], "a": chatty}, tokenizer="a")
    assert pool.generation_settings()["eos_token_id"] == [5, 7]
    assert pool.model_config().eos_token_id == 5
