import json

import pytest
import torch

from evoforge.errors import ConfigError, PoolError
from evoforge.models.opening import open_source
from evoforge.models.pool import Pool, open_pool
from evoforge.models.spec import SourceSpec
from tests.conftest import open_pico

EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"


def fitting(folders, **options):
    """Return a pool whose weights can be merged."""
    pool = open_pico(folders, **options)
    pool.check()
    return pool


@pytest.fixture
def beside(bare, remake):
    """Return what opens a pool of a base and a source `a` that differs from it."""

    def make(*, ignore=(), **changes):
        return fitting({"base": bare, "a": remake("a", **changes)}, ignore=ignore)

    return make


def widths(*types):
    """Return the toy tensors, each in a type of its own."""
    shapes = {EMBEDDING: (4, 3), NORM: (3,), HEAD: (4, 3)}
    pairs = zip(shapes.items(), types, strict=True)
    return {name: torch.ones(shape).to(dtype) for (name, shape), dtype in pairs}


def test_a_pool_knows_its_base_and_its_sources_in_order(pool):
    assert pool.base.name == "base"
    assert [source.name for source in pool.sources] == ["a", "b", "c"]
    assert [source.name for source in pool.members] == ["base", "a", "b", "c"]


def test_the_base_may_stand_anywhere(bare):
    pool = open_pico({"a": bare, "base": bare})
    assert pool.reference.name == "base"
    assert [source.name for source in pool.sources] == ["a"]


def test_the_first_source_is_the_reference_without_a_base(bare):
    pool = open_pico({"b": bare, "a": bare})
    assert (pool.base, pool.reference.name) == (None, "b")


def test_tensors_and_hashes_are_found_by_name(pool, pico):
    alone = open_source(SourceSpec("x", str(pico["b"])))
    assert pool.hash("b") == alone.hash
    assert torch.equal(pool.tensors("b")[NORM], alone.tensors[NORM])
    assert pool.names == tuple(pool.tensors("base"))


def test_an_unknown_member_answers_with_the_members(pool):
    with pytest.raises(ConfigError, match=r"must name one of base, a, b, c, got z"):
        pool.tensors("z")


def test_a_pool_has_the_tokenizer_of_its_base(pool):
    assert pool.tokenizer.name_or_path == str(pool.base.folder)


def test_a_pool_has_the_tokenizer_that_was_asked_for(bare, remake):
    pool = open_pico({"base": bare, "a": remake("a")}, tokenizer="a")
    assert pool.tokenizer.name_or_path == str(pool.sources[0].folder)


def test_two_bases_are_named(bare):
    sources = [open_source(SourceSpec(name, str(bare), role="base")) for name in "ab"]
    with pytest.raises(ConfigError, match="a pool has one base, got a, b"):
        Pool(sources)


@pytest.mark.parametrize("names", [[], ["base"]])
def test_a_pool_without_sources_is_refused(bare, names):
    with pytest.raises(ConfigError, match="at least one source beside the base; set models"):
        open_pico(dict.fromkeys(names, bare))


def test_an_unknown_tokenizer_source_answers_with_the_members(bare):
    with pytest.raises(
        ConfigError, match=r"tokenizer must name one of base, a, got z; set models\.tokenizer"
    ):
        open_pico({"base": bare, "a": bare}, tokenizer="z")


def test_an_unknown_option_of_a_source_answers_with_the_options(bare):
    with pytest.raises(ConfigError, match=r"license, path, .*, got branch; set models\.sources\.a"):
        open_pool(sources={"a": {"path": str(bare), "branch": "main"}})


def test_a_source_without_a_path_names_the_option():
    with pytest.raises(ConfigError, match=r"a source needs a path; set models\.sources\.a\.path"):
        open_pool(sources={"a": {"role": "source"}})


def test_an_unknown_type_answers_with_the_types(bare):
    with pytest.raises(
        ConfigError, match=r"auto, float32, float16, bfloat16, got int8; set models\.dtype"
    ):
        open_pico({"a": bare}, dtype="int8")


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_the_type_of_merged_models_can_be_set(bare, name):
    assert open_pico({"a": bare}, dtype=name).dtype == getattr(torch, name)


@pytest.mark.parametrize(
    ("types", "own"),
    [
        (("float32",) * 3, "float32"),
        (("float16",) * 3, "float16"),
        (("bfloat16",) * 3, "bfloat16"),
        (("bfloat16", "float32", "bfloat16"), "float32"),
        (("bfloat16", "float16", "int8"), "float16"),
    ],
)
def test_auto_is_the_widest_type_of_the_reference(remake, types, own):
    tensors = widths(*(getattr(torch, name) for name in types))
    assert open_pico({"a": remake("a", tensors=tensors)}).dtype_name == own


def test_auto_is_the_type_of_the_base_and_not_of_the_sources(bare, remake):
    half = remake("base", tensors=widths(*[torch.bfloat16] * 3))
    assert open_pico({"a": bare, "base": half}).dtype == torch.bfloat16


def test_quantised_weights_are_refused(remake):
    folder = remake("a", tensors=widths(*[torch.int8] * 3))
    with pytest.raises(PoolError, match=rf"{folder} holds torch.int8.*give unquantised weights"):
        open_pico({"a": folder})


def test_sources_of_another_type_fit(beside):
    pool = beside(tensors=widths(*[torch.float16] * 3), config={"dtype": "float16"})
    assert pool.tensors("a")[NORM].dtype == torch.float16
    assert pool.dtype == torch.float32


@pytest.mark.parametrize("setting", ["use_cache", "transformers_version", "architectures"])
def test_settings_that_say_nothing_of_the_weights_may_differ(beside, setting):
    other = {"use_cache": False, "transformers_version": "4.0.0", "architectures": ["Own"]}
    assert beside(config={setting: other[setting]})


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("num_hidden_layers", 3, "num_hidden_layers is 3 against 4"),
        ("hidden_size", 32, "hidden_size is 32 against 16"),
        ("intermediate_size", 20, "intermediate_size is 20 against 24"),
        ("vocab_size", 99, "vocab_size is 99 against"),
        ("sliding_window", 64, "sliding_window is 64 against None"),
        ("tie_word_embeddings", True, "tie_word_embeddings is True against False"),
        ("rms_norm_eps", 1e-5, "rms_norm_eps is 1e-05 against 1e-06"),
        ("eos_token_id", 2, "eos_token_id is 2 against 1"),
        ("hidden_act", "gelu", "hidden_act is gelu against silu"),
        ("max_position_embeddings", 64, "max_position_embeddings is 64 against 128"),
    ],
)
def test_a_differing_setting_is_named_with_what_to_set(beside, setting, value, words):
    with pytest.raises(
        PoolError, match=rf"^a does not fit base: {words}.*; .*models\.ignore=\[{setting}\]$"
    ):
        beside(config={setting: value})


def test_another_rope_is_named_with_what_to_set(beside):
    rope = {"rope_type": "default", "rope_theta": 5.0}
    with pytest.raises(
        PoolError,
        match=r"rope_parameters is .*5\.0.* against .*10000.*models\.ignore=\[rope_parameters\]",
    ):
        beside(config={"rope_parameters": rope})


def test_another_architecture_is_refused(bare, save_pico):
    from transformers import LlamaConfig

    other = save_pico("llama", seed=0)
    LlamaConfig(
        **json.loads((bare / "config.json").read_text()) | {"model_type": "llama"}
    ).save_pretrained(other)
    with pytest.raises(PoolError, match="a does not fit base: "):
        fitting({"base": bare, "a": other})


def test_only_the_first_difference_is_named(beside):
    with pytest.raises(PoolError, match="num_hidden_layers is 3") as caught:
        beside(config={"num_hidden_layers": 3, "sliding_window": 64})
    assert "sliding_window" not in str(caught.value)


def test_an_ignored_setting_is_the_base_s(beside):
    pool = beside(config={"sliding_window": 64}, ignore=["sliding_window"])
    assert pool.reference.config["sliding_window"] is None


def test_ignoring_one_setting_accepts_no_other(beside):
    with pytest.raises(PoolError, match="sliding_window is 64 against None"):
        beside(config={"rms_norm_eps": 1e-5, "sliding_window": 64}, ignore=["rms_norm_eps"])


def test_ignoring_a_setting_does_not_accept_other_shapes(beside):
    with pytest.raises(PoolError, match=r"model\.norm\.weight has shape \(4,\) against \(3,\)"):
        beside(
            config={"hidden_size": 32},
            tensors={NORM: torch.ones(4)},
            ignore=["hidden_size"],
        )


def test_a_tensor_of_another_shape_is_named(beside):
    with pytest.raises(
        PoolError,
        match=r"a does not fit base: lm_head\.weight has shape \(3, 4\) against \(4, 3\);",
    ):
        beside(tensors={HEAD: torch.ones(3, 4)})


def test_a_missing_tensor_is_named(beside):
    with pytest.raises(
        PoolError, match=r"a does not fit base: it has no tensor model\.norm\.weight; take a source"
    ):
        beside(drop=[NORM])


def test_a_tensor_beyond_is_named(beside):
    with pytest.raises(
        PoolError,
        match=r"a does not fit base: it has the tensor model\.extra beyond; take a source",
    ):
        beside(tensors={"model.extra": torch.ones(1)})


def test_a_stored_copy_of_tied_embeddings_fits_a_model_without_it(remake):
    tied = {"tie_word_embeddings": True}
    pool = fitting(
        {"base": remake("base", config=tied), "a": remake("a", config=tied, drop=[HEAD])}
    )
    assert HEAD not in pool.names


@pytest.fixture
def reworded(remake):
    """A folder whose tokenizer gives two words the other's number."""
    folder = remake("a")
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    words = content["model"]["vocab"]
    words["1"], words["2"] = words["2"], words["1"]
    path.write_text(json.dumps(content))
    return folder


def test_another_vocabulary_is_named_with_what_to_set(bare, reworded):
    with pytest.raises(
        PoolError, match=r"in the vocabulary token 4 is '1' against '2'; .*models\.ignore=\[tokeni"
    ):
        fitting({"base": bare, "a": reworded})


def test_another_special_token_is_named(bare, remake):
    folder = remake("a")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token": "="}))
    with pytest.raises(PoolError, match="a does not fit base: .*eos_token is '</s>' against '='"):
        fitting({"base": bare, "a": folder})


def test_another_vocabulary_can_be_accepted(bare, reworded):
    pool = fitting({"base": bare, "a": reworded}, ignore=["tokenizer"])
    assert pool.tokenizer.name_or_path == str(bare)


def test_ignoring_the_tokenizer_accepts_no_setting(beside):
    with pytest.raises(PoolError, match="sliding_window is 64 against None"):
        beside(config={"sliding_window": 64}, ignore=["tokenizer"])


def test_sources_that_do_not_fit_are_told_when_their_weights_are_to_be_merged(bare, remake):
    pool = open_pico({"base": bare, "a": remake("a", config={"sliding_window": 64})})
    assert list(pool.misfits) == ["a"]
    with pytest.raises(PoolError, match="sliding_window is 64 against None"):
        pool.check()


def test_a_pool_led_by_a_source_has_its_settings_and_its_tokenizer(pool, pico):
    led = pool.led_by("b")
    assert (led.reference.name, led.base.name) == ("b", "base")
    assert led.tokenizer.name_or_path == str(pico["b"])
    assert [source.name for source in led.sources] == ["a", "b", "c"]
    with pytest.raises(ConfigError, match="must name one of base, a, b, c, got z"):
        pool.led_by("z")


def test_layers_may_share_a_path_whatever_lies_outside_them(save_pico):
    folders = {
        "a": save_pico("a", seed=0),
        "b": save_pico("b", seed=1, num_hidden_layers=2, vocab_size=99, eos_token_id=2),
    }
    open_pico(folders).check_layers(["a", "b"])


def test_layers_that_hold_other_tensors_cannot_share_a_path(pool, remake, pico):
    name = "model.layers.2.mlp.up_proj.weight"
    folders = {**pico, "b": remake("b", near=pico["b"], drop=[name])}
    with pytest.raises(PoolError, match=r"in layer 2 mlp.up_proj.weight has shape none against"):
        open_pico(folders).check_layers(["a", "b"])
