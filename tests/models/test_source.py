import shutil

import pytest
import torch
from huggingface_hub import constants

from evoforge.errors import ConfigError, PoolError
from evoforge.models.files import ZOO
from evoforge.models.opening import open_source
from evoforge.models.source import Source
from evoforge.models.spec import SourceSpec

MAIN, OTHER = "0123456789" * 4, "abcdef0123" * 4


@pytest.fixture
def opened(remake):
    """Return what opens a remade folder: `opened("a", drop=["x"])`."""
    return lambda name, **changes: open_source(SourceSpec(name, str(remake(name, **changes))))


@pytest.fixture
def hub(bare, tmp_path, monkeypatch):
    """A cache that holds owner/model at two commits; the hub itself is switched off."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "cache" / "models--owner--model"
    for branch, commit in (("main", MAIN), ("v2", OTHER)):
        shutil.copytree(bare, folder / "snapshots" / commit)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / branch).write_text(commit)
    return folder


@pytest.fixture
def unanswered(hub, monkeypatch):
    """The same cache while the network does not answer: nothing listens on port 9."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return hub


def test_a_folder_is_a_source(bare):
    found = open_source(SourceSpec("a", str(bare)))
    assert (found.name, found.folder, found.revision) == ("a", bare, None)
    assert found.config["model_type"] == "mistral"
    assert len(found.tensors) == 3


def test_a_folder_may_lie_under_the_home(bare, monkeypatch):
    monkeypatch.setenv("HOME", str(bare.parent))
    assert open_source(SourceSpec("a", f"~/{bare.name}")).folder == bare


def test_a_relative_folder_is_recorded_whole(bare, monkeypatch):
    monkeypatch.chdir(bare.parent)
    assert open_source(SourceSpec("a", bare.name)).folder == bare


def test_equal_weights_have_equal_hashes_whatever_the_name(opened):
    assert opened("a").hash == opened("b").hash


def test_one_changed_weight_changes_the_hash(opened):
    changed = torch.tensor([1.0, 1.0, 1.0 + 1e-6])
    assert opened("a").hash != opened("b", tensors={"model.norm.weight": changed}).hash


def test_settings_do_not_change_the_hash(opened):
    assert opened("a").hash == opened("b", config={"sliding_window": 64}).hash


def test_the_stored_copy_of_tied_embeddings_is_dropped(opened):
    assert "lm_head.weight" not in opened("tied", config={"tie_word_embeddings": True}).tensors


def test_tied_embeddings_have_one_hash_whether_the_copy_is_stored_or_not(opened):
    tied = {"tie_word_embeddings": True}
    stored, single = opened("a", config=tied), opened("b", config=tied, drop=["lm_head.weight"])
    assert stored.hash == single.hash


def test_an_output_embedding_of_its_own_is_kept(opened):
    assert "lm_head.weight" in opened("untied").tensors


def test_the_output_embedding_of_a_tied_gpt_neox_is_dropped_too(opened):
    tied = {"tie_word_embeddings": True}
    tensors = {"embed_out.weight": torch.ones(4, 3)}
    assert "embed_out.weight" not in opened("a", config=tied, tensors=tensors).tensors
    assert "embed_out.weight" in opened("b", tensors=tensors).tensors


def test_stored_masks_and_frequencies_are_dropped_and_biases_kept(opened):
    first = "model.layers.0.attention"
    buffers = {
        f"{first}.bias": torch.ones(1, 1, 4, 4, dtype=torch.bool),
        f"{first}.masked_bias": torch.tensor(-1e9),
        f"{first}.rotary_emb.inv_freq": torch.ones(4),
        "h.0.attn.bias": torch.ones(1, 1, 4, 4),
    }
    found = opened("a", tensors={**buffers, "model.layers.1.attention.bias": torch.ones(4)}).tensors
    assert not {*buffers} & {*found}
    assert "model.layers.1.attention.bias" in found


def test_settings_as_an_object_are_made_anew(bare):
    found = open_source(SourceSpec("a", str(bare)))
    first = found.model_config()
    first.hidden_size = 99
    assert found.model_config().hidden_size == found.config["hidden_size"] != 99


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        (
            "pickled",
            "yes",
            r"pickled must be true or false, got 'yes'; set models\.sources\.a\.pic",
        ),
        ("adapter_of", 3, r"adapter_of must be a text, got 3; set models\.sources\.a\.adapter_of"),
        ("file", "../x.gguf", r"a file in the model's folder, got \.\./x\.gguf; set .*\.file"),
        ("file", "/x.gguf", r"a file in the model's folder, got /x\.gguf; set .*\.file"),
    ],
)
def test_options_of_another_kind_are_named(option, value, sentence):
    with pytest.raises(ConfigError, match=sentence):
        SourceSpec("a", "owner/model", **{option: value})


@pytest.mark.parametrize("line", ["license: apache-2.0", 'license: "apache-2.0"'])
def test_the_model_card_names_the_licence(opened, line):
    found = opened("a")
    (found.folder / "README.md").write_text(f"---\nlanguage: ja\n{line}\n---\n# A model\n")
    assert found.license == "apache-2.0"


def test_the_users_licence_wins_over_the_card(remake):
    folder = remake("a")
    (folder / "README.md").write_text("license: apache-2.0\n")
    assert open_source(SourceSpec("a", str(folder), license="mit")).license == "mit"


@pytest.mark.parametrize("card", [None, "# A model without a licence\n"])
def test_an_unknown_licence_is_none(opened, card):
    found = opened("a")
    if card:
        (found.folder / "README.md").write_text(card)
    assert found.license is None


def test_facts_name_path_commit_licence_role_and_hash(bare):
    found = Source(SourceSpec("a", "owner/model", role="base", license="mit"), bare, MAIN)
    assert found.facts == {
        "name": "a",
        "path": "owner/model",
        "revision": MAIN,
        "license": "mit",
        "role": "base",
        "hash": found.hash,
    }


def test_a_missing_folder_names_the_option():
    with pytest.raises(PoolError, match=r"no folder /no/such, .*; set models\.sources\.a\.path"):
        open_source(SourceSpec("a", "/no/such"))


@pytest.mark.parametrize("path", ["model", "a/b/c", "./a", "../a", "own er/model", "owner/", ""])
def test_what_is_neither_folder_nor_hub_id_is_refused(path, tmp_path, monkeypatch):
    if not path:
        monkeypatch.chdir(tmp_path)
    with pytest.raises(
        PoolError, match=r"set models\.sources\.a\.path|as models\.sources\.a\.path"
    ):
        open_source(SourceSpec("a", path))


def test_a_folder_without_settings_names_the_option(tmp_path):
    with pytest.raises(PoolError, match=rf"{tmp_path} has no config\.json; .*models\.sources\.a\."):
        open_source(SourceSpec("a", str(tmp_path)))


@pytest.mark.parametrize("text", ["", "{", "{}", '{"model_type": "nonsense"}'])
def test_unusable_settings_name_the_file(opened, text):
    found = opened("a")
    (found.folder / "config.json").write_text(text)
    with pytest.raises(PoolError, match=rf"{found.folder}/config\.json cannot be used: \w+"):
        _ = found.config


def test_code_in_a_model_folder_is_not_run(opened):
    own = {"model_type": "nonsense", "auto_map": {"AutoConfig": "own.Own"}}
    found = opened("a", config=own)
    (found.folder / "own.py").write_text("raise SystemExit('was run')\n")
    with pytest.raises(PoolError, match=r"config\.json cannot be used: .*custom code"):
        _ = found.config


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a/b", "é", "x" * 65])
def test_a_name_that_recipes_cannot_use_is_refused(name):
    with pytest.raises(ConfigError, match=r"letters, digits, - and _, got .*in models\.sources"):
        SourceSpec(name, "owner/model")


def test_a_bad_role_answers_with_the_roles():
    with pytest.raises(
        ConfigError, match=r"one of source, base, got judge; set models\.sources\.a\.role"
    ):
        SourceSpec("a", "owner/model", role="judge")


def test_a_bundled_model_is_found_by_its_name():
    found = open_source(SourceSpec("a", "bundled:base"))
    assert found.folder == ZOO / "base"
    assert found.config["model_type"]


@pytest.mark.parametrize("name", ["nothing", "", "../zoo/base", "base/", "/etc"])
def test_an_unknown_bundled_model_answers_with_the_choices(name):
    with pytest.raises(
        PoolError, match=r"no bundled model .*; choose from base, .*sources\.a\.path"
    ):
        open_source(SourceSpec("a", f"bundled:{name}"))


def test_a_hub_id_is_found_in_the_cache(hub):
    found = open_source(SourceSpec("a", "owner/model"))
    assert found.folder == hub / "snapshots" / MAIN
    assert len(found.tensors) == 3


def test_the_commit_of_a_hub_model_is_recorded(hub):
    assert open_source(SourceSpec("a", "owner/model")).facts["revision"] == MAIN


@pytest.mark.parametrize("revision", ["v2", OTHER])
def test_a_branch_or_a_commit_of_a_hub_model_can_be_asked_for(hub, revision):
    found = open_source(SourceSpec("a", "owner/model", revision=revision))
    assert (found.folder.name, found.revision) == (OTHER, OTHER)


@pytest.mark.parametrize("revision", [None, "v2"])
def test_the_cache_is_enough_while_the_network_does_not_answer(unanswered, revision):
    found = open_source(SourceSpec("a", "owner/model", revision=revision))
    assert found.revision == (OTHER if revision else MAIN)


@pytest.mark.parametrize(
    ("path", "revision"), [("owner/other", None), ("owner/model", "v3"), ("owner/model", "0" * 40)]
)
def test_a_model_that_the_cache_has_not_is_named(hub, path, revision):
    with pytest.raises(
        PoolError, match=rf"cannot get {path} from the hub \(.+\); check the id and"
    ):
        open_source(SourceSpec("a", path, revision=revision))


def test_a_model_that_is_not_there_while_the_network_does_not_answer(unanswered):
    with pytest.raises(
        PoolError,
        match=r"ConnectError.*check the .* network, or give a folder as models\.sources\.a\.",
    ):
        open_source(SourceSpec("a", "owner/other"))


@pytest.mark.parametrize("path", ["owner--x/model", "owner/..model", "-owner/model", "owner/x.git"])
def test_an_impossible_hub_id_is_refused(hub, path):
    with pytest.raises(PoolError, match=rf"cannot get {path} from the hub \(.*; check the id"):
        open_source(SourceSpec("a", path))
