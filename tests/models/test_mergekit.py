"""Pools of the models that a mergekit file names."""

import warnings

import pytest

from evoforge.errors import ConfigError
from evoforge.mergekit_yaml.document import read, reference
from evoforge.models.mergekit import members, mergekit_reference, open_mergekit
from tests.mergekit_cases import text


@pytest.fixture
def file(tmp_path):
    return tmp_path / "recipe.yml"


def test_models_are_called_by_the_last_part_of_their_path(file, pico):
    file.write_text(text("ties", pico))
    pool = open_mergekit(file=str(file))
    assert [source.name for source in pool.members] == [pico[n].name for n in ("base", "a", "b")]
    assert pool.base.name == pico["base"].name
    assert pool.dtype_name == "float32"


def test_the_base_of_an_interpolation_is_the_first_source(file, pico):
    file.write_text(text("slerp", pico))
    pool = open_mergekit(file=str(file), dtype="float16")
    assert pool.base is None
    assert [source.name for source in pool.sources] == [pico["a"].name, pico["b"].name]
    assert pool.dtype_name == "float16"


def test_the_tokenizer_is_that_of_the_file(file, pico):
    # The base is none of role base in a linear merge, and its tokenizer is taken nonetheless.
    file.write_text(text("linear", pico))
    pool = open_mergekit(file=str(file))
    assert pool.tokenizer_source == pico["a"].name


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tokenizer_source: other/model", "tokenizer of other/model, which is none of its models"),
        ("tokenizer_source: base", "tokenizer of base_model, which it does not name"),
    ],
)
def test_a_tokenizer_that_is_not_there_is_named(line, message, file, pico):
    file.write_text(f"merge_method: karcher\nmodels: [{{model: {pico['a']}}}]\n{line}\n")
    with pytest.raises(ConfigError, match=message):
        open_mergekit(file=str(file))


def test_an_adapter_needs_its_model_in_the_file(file, pico):
    file.write_text(f"merge_method: karcher\nmodels: [{{model: {pico['a']}+/lora}}]\n")
    with pytest.raises(ConfigError, match="which must be one of the file's models too"):
        open_mergekit(file=str(file))


def test_a_file_must_be_named():
    with pytest.raises(ConfigError, match=r"set models\.file"):
        open_mergekit()


def test_members_are_found_by_folder_whatever_they_are_called(file, pico, pool):
    file.write_text(text("ties", pico))
    assert sorted(members(read(file), pool).values()) == ["a", "b", "base"]


def test_what_mergekit_calls_a_source_leads_back_to_it(pool, pico):
    found = mergekit_reference(pool.member("a"))
    assert found == str(pico["a"])
    assert reference(found).path == str(pico["a"])


def test_an_adapter_is_a_source_on_its_model(file, pico, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(pico["base"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft uses what transformers is about to drop
        lora = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
        lora.save_pretrained(tmp_path / "lora")
    named = f"{pico['base']}+{tmp_path / 'lora'}"
    file.write_text(
        f"merge_method: task_arithmetic\nbase_model: {pico['base']}\n"
        f"models: [{{model: {named}, parameters: {{weight: 0.5}}}}]\n"
    )
    pool = open_mergekit(file=str(file))
    (source,) = pool.sources
    assert (source.name, source.changed) == ("lora", pool.base)
    assert mergekit_reference(source) == named
    assert list(members(read(file), pool).values()) == [pico["base"].name, "lora"]


def test_a_file_may_name_a_model_that_sees(file, vlms, tmp_path):
    folders = vlms("llava")
    models = "".join(f"  - model: {folders[name]}\n" for name in ("llm", "vlm"))
    file.write_text(f"merge_method: linear\nmodels:\n{models}parameters:\n  weight: 0.5\n")
    pool = open_mergekit(file=str(file), vision={"from": "vlm"})
    pool.check()
    assert pool.vision.source.name == "vlm"
