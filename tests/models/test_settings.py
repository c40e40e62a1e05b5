from types import SimpleNamespace

from transformers import Gemma3TextConfig, MistralConfig, Qwen2VLTextConfig

from evoforge.models.settings import adapt, adopt, common_differences, flat

GEMMA = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}


def test_settings_of_rotary_embeddings_are_beside_the_others():
    assert flat({"a": 1, "rope_parameters": {"rope_theta": 2}}) == {"a": 1, "rope_theta": 2}
    assert flat({"rope_parameters": GEMMA})["full_attention.rope_theta"] == 1e6
    assert flat({"a": 1, "rope_parameters": None}) == {"a": 1}


def test_only_what_both_have_can_differ():
    mine = {"a": 1, "b": 2, "model_type": "x", "rope_parameters": {"rope_theta": 1, "mrope": [1]}}
    other = {"a": 2, "c": 3, "model_type": "y", "rope_parameters": {"rope_theta": 2}}
    assert list(common_differences(mine, other, ())) == [("a", 1, 2), ("rope_theta", 1, 2)]
    assert list(common_differences(mine, other, {"a"})) == [("rope_theta", 1, 2)]


def test_adopted_settings_are_the_givers_and_the_rest_stays():
    config = Qwen2VLTextConfig(
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}
    )
    giver = MistralConfig(
        sliding_window=8, rope_parameters={"rope_type": "default", "rope_theta": 5}
    )
    adopt(config, giver.to_dict(), ["rope_theta", "sliding_window"])
    assert config.sliding_window == 8
    assert config.rope_parameters == {
        "rope_type": "default",
        "rope_theta": 5,
        "mrope_section": [1, 1, 2],
    }


def test_another_kind_of_rotary_embeddings_comes_with_all_that_belongs_to_it():
    config = MistralConfig(rope_parameters={"rope_type": "default", "rope_theta": 1e4})
    yarn = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0}
    adopt(config, {"rope_parameters": yarn}, ["rope_type", "rope_theta"])
    assert config.rope_parameters == yarn


def test_of_another_kind_of_rotary_embeddings_only_what_was_chosen_is_taken():
    config = MistralConfig(rope_parameters={"rope_type": "default", "rope_theta": 1e4})
    yarn = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0}
    adopt(config, {"rope_parameters": yarn}, ["rope_type"])  # and not rope_theta, which differs
    assert config.rope_parameters == {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}


def test_kinds_of_attention_have_rotary_embeddings_of_their_own():
    config = Gemma3TextConfig(num_hidden_layers=2)
    giver = {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 7}}}
    adopt(config, giver, ["full_attention.rope_theta"])
    assert config.rope_parameters["full_attention"]["rope_theta"] == 7
    assert config.rope_parameters["sliding_attention"]["rope_theta"] == 1e4


def test_a_candidates_settings_go_to_the_language_part_and_contradict_nothing():
    text = SimpleNamespace(num_hidden_layers=3, tie_word_embeddings=True)
    whole = SimpleNamespace(tie_word_embeddings=True, get_text_config=lambda: text)
    adapt(whole, {"num_hidden_layers": 5, "tie_word_embeddings": False})
    assert (text.num_hidden_layers, text.tie_word_embeddings) == (5, False)
    assert whole.tie_word_embeddings is False
    assert not hasattr(whole, "num_hidden_layers")
