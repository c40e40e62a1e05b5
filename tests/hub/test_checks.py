import json

import pytest

from evoforge import checksums
from evoforge.errors import ConfigError
from evoforge.hub.checks import checked
from evoforge.hub.files import File


def check(finished, **options):
    return checked(finished.record, finished.recipe.hash, finished.folder, **options)


def edit(finished, name, old, new):
    path = finished.folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_model_as_it_was_exported_may_go(finished):
    found = check(finished)
    assert {file.name for file in found} == {path.name for path in finished.folder.iterdir()}
    assert sum(file.size for file in found) == sum(
        path.stat().st_size for path in finished.folder.iterdir()
    )


def test_the_hashes_are_those_of_git_and_sha256sum():
    # printf abc | git hash-object --stdin; printf abc | sha256sum
    assert File("a", b"abc").blob == "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"
    assert File("a", b"abc").sha256.startswith("ba7816bf8f01cfea414140de5dae2223")


def test_files_that_were_damaged_since_are_noticed_by_their_checksums(finished):
    with (finished.folder / "model-00001-of-00002.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(ConfigError, match="model-00001-of-00002.safetensors missing or damaged"):
        check(finished)


@pytest.mark.parametrize("name", ["model-00002-of-00002.safetensors", "config.json", "recipe.json"])
def test_without_checksums_a_missing_file_is_noticed(finished, name):
    (finished.folder / checksums.SUMS).unlink()
    (finished.folder / name).unlink()
    with pytest.raises(ConfigError, match=f"{name} missing or damaged"):
        check(finished)


def test_without_checksums_weights_that_end_early_are_noticed(finished):
    (finished.folder / checksums.SUMS).unlink()
    path = finished.folder / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ConfigError, match=f"{path.name} missing or damaged"):
        check(finished)


def test_a_folder_that_is_not_there_is_said_with_what_makes_it(finished):
    with pytest.raises(ConfigError, match="there is no model in .*; go on with the run by resume="):
        checked(finished.record, finished.recipe.hash, finished.folder / "x")


def test_a_card_may_be_edited(finished):
    edit(finished, "README.md", "## Limits", "It was made for my cat.\n\n## Limits")
    found = {file.name: file for file in check(finished)}
    assert "for my cat" in found["README.md"].text()


def test_a_model_of_another_candidate_is_refused(finished):
    path = finished.folder / "recipe.json"
    path.write_text(path.read_text().replace('"ties"', '"linear"'))
    (finished.folder / checksums.SUMS).unlink()
    with pytest.raises(ConfigError, match="is of another candidate"):
        check(finished)


def test_a_card_of_another_recipe_is_refused(finished):
    edit(finished, "README.md", finished.recipe.hash, "0" * 32)
    with pytest.raises(ConfigError, match="does not name the recipe"):
        check(finished)


def test_a_score_that_was_not_measured_is_refused(finished):
    text = (finished.folder / "README.md").read_text()
    line = next(line for line in text.splitlines() if "value: 0." in line)
    edit(finished, "README.md", line, line.partition("value")[0] + "value: 0.99")
    with pytest.raises(ConfigError, match="gives a score on mgsm_ja that this recipe does not hav"):
        check(finished)


def test_a_card_without_a_valid_head_is_refused(finished):
    edit(finished, "README.md", "library_name: transformers", "library_name: [")
    with pytest.raises(ConfigError, match="the head of .* is not valid"):
        check(finished)


def test_code_and_pickles_are_not_published(finished):
    for name in ("modeling_own.py", "pytorch_model.bin"):
        (finished.folder / name).write_text("")
        with pytest.raises(ConfigError, match="can hold code"):
            check(finished)
        (finished.folder / name).unlink()
    (finished.folder / checksums.SUMS).unlink()
    content = {"auto_map": {"AutoModel": "modeling_own.Own"}}
    (finished.folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="asks for code of its own"):
        check(finished)


def test_a_link_out_of_the_folder_is_not_published(finished):
    (finished.folder / "notes.txt").symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match="is a link"):
        check(finished)


def test_hidden_files_stay_here(finished):
    (finished.folder / ".env").write_text("x")
    assert ".env" not in {file.name for file in check(finished)}


@pytest.mark.parametrize("secret", ["hf_" + "a" * 34, "https://me:pass@host/x", "the-env-secret"])
def test_secrets_are_not_published(finished, secret, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "the-env-secret")
    edit(finished, "README.md", "## Limits", f"{secret}\n\n## Limits")
    with pytest.raises(ConfigError, match="README.md holds what looks like a token") as found:
        check(finished)
    assert secret not in str(found.value)


def test_an_unknown_licence_is_asked_for(without_licence):
    with pytest.raises(ConfigError, match="the licence of ja is not known; .* give --license"):
        check(without_licence)
    found = {file.name: file for file in check(without_licence, licence="cc-by-nc-4.0")}
    assert "license: cc-by-nc-4.0\n" in found["README.md"].text()
    with pytest.raises(ConfigError, match="must be an identifier of the hub"):
        check(without_licence, licence="do what you want")


def test_a_licence_that_asks_for_less_than_a_sources_is_refused(finished):
    with pytest.raises(ConfigError, match="under apache-2.0, which mit asks less than; .* apache"):
        check(finished, licence="mit")
    for licence in ("gpl-3.0", "other"):
        assert check(finished, licence=licence)
    edit(finished, "README.md", "license: apache-2.0", "license: mit")
    with pytest.raises(ConfigError, match="give --license apache-2.0"):
        check(finished)


def test_a_settings_file_that_is_no_mapping_is_refused(finished):
    (finished.folder / checksums.SUMS).unlink()
    for content in ("[]", "{"):
        (finished.folder / "config.json").write_text(content)
        with pytest.raises(ConfigError, match="config.json is damaged"):
            check(finished)
