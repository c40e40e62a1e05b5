"""The live model of pools that see: the merge in its language part, the rest untouched."""

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from evoforge.errors import ConfigError
from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._plain import loaded, logits, logits_of
from evoforge.merge._path import check_foldable
from evoforge.merge.base import Mergers
from evoforge.merge.dfs import Dfs, whole
from evoforge.merge.linear import Linear
from evoforge.path import Hop
from tests.vlms import FAMILIES, make_vlm, open_vlm, picture

SEARCHED = {"low": 0.0, "high": 1.0}


def live_of(pool):
    return LiveModel(pool, device="cpu", attention="auto")


def merged(pool, gene=0.25):
    merger = Linear(pool, weight=SEARCHED)
    found = merger.space.init * 0 + gene
    found[0] = 3 * gene
    return merger.build(merger.recipe(found))


def shown(pool):
    """Return what the processor makes of a picture between two letters."""
    text = f"a{pool.vision.marker}b"
    return pool.vision.processor(pool.tokenizer)(images=picture(), text=text, return_tensors="pt")


@torch.no_grad()
def by_hand(folders):
    """Return three quarters of the text model and one of the language part, in the VLM."""
    text = AutoModelForCausalLM.from_pretrained(folders["llm"])
    model = AutoModelForImageTextToText.from_pretrained(folders["vlm"]).eval()
    head = model.get_output_embeddings().weight
    tied = head is model.get_input_embeddings().weight
    pairs = [*zip(model.get_decoder().parameters(), text.get_decoder().parameters(), strict=True)]
    if not tied:
        pairs.append((head, text.get_output_embeddings().weight))
    for mine, other in pairs:
        mine.copy_(0.25 * mine + 0.75 * other)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_a_merge_is_the_merge_by_hand(family, vlms):
    pool = open_vlm(vlms(family))
    live, hand = live_of(pool), by_hand(vlms(family))
    live.write(merged(pool))
    mine, other = live.model.state_dict(), hand.state_dict()
    assert set(mine) == set(other)
    for name in other:
        torch.testing.assert_close(mine[name], other[name], msg=name)
    given = shown(pool)
    with torch.no_grad():
        torch.testing.assert_close(live.model(**given).logits, hand(**given).logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_source_alone_is_the_source(family, vlms):
    pool = open_vlm(vlms(family), base="vlm")
    live = live_of(pool)
    live.write(Mergers(pool).build(whole(pool, "vlm")))
    own = loaded(vlms(family)["vlm"], torch.float32, "sdpa")
    given = shown(pool)
    with torch.no_grad():
        assert torch.equal(live.model(**given).logits, own(**given).logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_path_is_the_layers_by_hand(family, vlms):
    pool = open_vlm(vlms(family))
    merger = Dfs(pool, sources=["vlm", "llm"], scale="none")
    path = [Hop("vlm", 0), Hop("llm", 1), Hop("vlm", 1), Hop("llm", 1), Hop("vlm", 2)]
    live = live_of(pool)
    live.write(merger.build(merger.recipe_of(path)))
    # The same as another model of five layers, written tensor by tensor.
    config = pool.model_config()
    text = config.get_text_config()
    text.num_hidden_layers = 5
    kinds = getattr(text, "layer_types", None)
    if kinds:
        text.layer_types = [kinds[hop.layer] for hop in path]
    model = AutoModelForImageTextToText.from_config(config).eval()
    model.load_state_dict(live.model.state_dict())
    decoder = model.get_decoder()
    with torch.no_grad():
        for number, hop in enumerate(path):
            for name, parameter in decoder.layers[number].named_parameters():
                parameter.copy_(pool.tensors(hop.source)[f"model.layers.{hop.layer}.{name}"])
    given = shown(pool)
    with torch.no_grad():
        torch.testing.assert_close(live.model(**given).logits, model(**given).logits)


def test_a_merge_after_a_path_is_as_before_it(vlms):
    pool = open_vlm(vlms("llava"))
    live, candidate, given = live_of(pool), merged(pool), shown(pool)
    live.write(candidate)
    with torch.no_grad():
        before = live.model(**given).logits
        dfs = Dfs(pool, sources=["vlm", "llm"])
        live.write(dfs.build(dfs.recipe_of([Hop("vlm", 0), Hop("llm", 2, 1.5), Hop("vlm", 2)])))
        between = live.model(**given).logits
        live.write(candidate)
        assert torch.equal(live.model(**given).logits, before)
    assert not torch.equal(between, before)


def test_the_kinds_of_layers_that_were_chosen_stay(tmp_path):
    kinds = {"layer_types": ["full_attention"] * 3}
    folders = make_vlm("gemma3", tmp_path, of_llm=kinds)
    pool = open_vlm(folders, base="llm", vision={"from": "vlm"})
    live = live_of(pool)
    live.write(merged(open_vlm(folders, vision={"from": "vlm"})))
    assert live.model.config.get_text_config().layer_types[0] == "sliding_attention"
    assert live.model.get_decoder().config.layer_types[0] == "sliding_attention"


def test_what_is_around_the_language_part_is_written_once_and_of_the_pools_type(vlms):
    pool = open_vlm(vlms("llava"), dtype="bfloat16")
    live = live_of(pool)
    assert live.write(merged(pool)) == len(pool.names)
    tower = live.model.model.vision_tower.embeddings.patch_embedding.weight
    name = "vision_tower.embeddings.patch_embedding.weight"
    assert torch.equal(tower, pool.vision.frozen[name].to(torch.bfloat16))


def test_a_scale_before_the_first_hop_is_refused(vlms):
    pool = open_vlm(vlms("llava"))
    merger = Dfs(pool, sources=["vlm", "llm"])
    recipe = merger.recipe_of([Hop("vlm", 0, 1.5), Hop("vlm", 2)])
    with pytest.raises(ConfigError, match="scale of the first hop must be 1 where models see"):
        Mergers(pool).build(recipe)


def test_scales_fold_if_they_fold_in_the_model_that_sees():
    # Qwen3-VL adds what is seen to several layers, which scales would multiply.
    llm = SimpleNamespace(config={"model_type": "qwen3"})
    vlm = SimpleNamespace(config={"model_type": "qwen3_vl_text"})
    check_foldable(SimpleNamespace(reference=llm, vision=None))
    with pytest.raises(ConfigError, match="got qwen3_vl_text; set merge.scale=none"):
        check_foldable(SimpleNamespace(reference=llm, vision=SimpleNamespace(source=vlm)))


def test_logits_of_a_folder_that_sees_are_the_live_models(vlms):
    folder = vlms("llava")["vlm"]
    model, given = loaded(folder, torch.float32, "sdpa"), dict(shown(open_vlm(vlms("llava"))))
    tokens = given.pop("input_ids")[0].tolist()
    mine = logits(model, tokens, **given)
    assert mine.shape == (len(tokens), 79)
    (other,) = logits_of(folder, model, [tokens], [given])
    assert torch.equal(mine, other)
    blind = logits(model, tokens[:1])
    assert torch.equal(logits_of(folder, model, [tokens[:1]])[0], blind)
