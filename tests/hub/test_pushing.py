import logging

import pytest

from evoforge.errors import ConfigError, HubError
from evoforge.hub import pushing
from tests.hub.conftest import REPO
from tests.hub.server import TOKEN

# The client of the hub warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def refuse(_):
    return False


def agree(_):
    return True


def local(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_model_goes_into_a_new_private_repository(finished, hub):
    assert finished.ready(hub).send(refuse) == f"{hub.url}/{REPO}"
    assert hub.files(REPO) == local(finished.folder)
    assert hub.repos[REPO].private
    assert hub.repos[REPO].commits["main"] == 1


def test_a_repository_is_public_only_if_asked_for(finished, hub):
    finished.ready(hub, private=False).send(refuse)
    assert not hub.repos[REPO].private
    with pytest.raises(ConfigError, match="everybody can see it; say --public"):
        finished.ready(hub).send(refuse)


def test_what_is_there_already_is_not_sent_again(finished, hub):
    finished.ready(hub).send(refuse)
    asked = len(hub.asked)
    assert finished.ready(hub).send(refuse) == f"{hub.url}/{REPO}"
    assert {method for method, _ in hub.asked[asked:]} == {"GET"}


def test_other_content_is_not_changed_unless_someone_agrees(finished, hub):
    theirs = {"README.md": b"mine", "config.json": b"{}", "notes.txt": b"keep"}
    hub.add(REPO, theirs)
    with pytest.raises(ConfigError, match="other content: README.md, config.json would change"):
        finished.ready(hub).send(refuse)
    assert hub.files(REPO) == theirs
    finished.ready(hub).send(agree)
    assert hub.files(REPO) == local(finished.folder) | {"notes.txt": b"keep"}


def test_files_of_others_beside_ours_are_asked_about_too(finished, hub):
    hub.add(REPO, {"notes.txt": b"keep"})
    with pytest.raises(ConfigError, match=r"holds other files \(notes.txt\)"):
        finished.ready(hub).send(refuse)


def test_weights_of_another_model_do_not_stay_between_ours(finished, hub):
    hub.add(REPO, {"model.safetensors": b"old", "adapter/model.safetensors": b"kept"})
    with pytest.raises(ConfigError, match="other content: model.safetensors would change"):
        finished.ready(hub).send(refuse)
    finished.ready(hub).send(agree)
    assert "model.safetensors" not in hub.files(REPO)
    assert "adapter/model.safetensors" in hub.files(REPO)


def test_a_branch_is_made_and_the_main_one_left_alone(finished, hub):
    hub.add(REPO, {"README.md": b"mine"})
    url = finished.ready(hub, revision="second").send(agree)
    assert url == f"{hub.url}/{REPO}/tree/second"
    assert hub.files(REPO) == {"README.md": b"mine"}
    assert hub.files(REPO, "second") == local(finished.folder)


def test_after_a_break_only_what_is_missing_is_sent(finished, hub):
    second = next(f for f in finished.ready(hub).files if f.name.endswith("2-of-00002.safetensors"))
    # Once, and five times more before the client gives up.
    hub.faults["PUT", second.sha256] = ["drop"] * 6
    with pytest.raises(HubError, match="give the same command again"):
        finished.ready(hub).send(refuse)
    assert hub.files(REPO) == {}
    sent = hub.count("PUT", "/lfs/")
    finished.ready(hub).send(refuse)
    assert hub.count("PUT", "/lfs/") == sent + 1
    assert hub.files(REPO) == local(finished.folder)


def test_a_commit_that_did_not_arrive_is_repeated_without_the_weights(finished, hub):
    hub.faults["POST", "/commit/"] = [503] * 9
    with pytest.raises(HubError, match=r"the hub has trouble \(503\): later give the same"):
        finished.ready(hub).send(refuse)
    hub.faults.clear()
    sent = hub.count("PUT", "/lfs/")
    finished.ready(hub).send(refuse)
    assert hub.count("PUT", "/lfs/") == sent
    assert hub.files(REPO) == local(finished.folder)


def test_a_repository_that_changes_meanwhile_is_left_alone(finished, hub):
    ready = finished.ready(hub)
    prepare = ready.hub.prepare

    def overtaken(**options):
        found = prepare(**options)
        hub.repos[REPO].commits["main"] += 1
        return found

    ready.hub.prepare = overtaken
    with pytest.raises(HubError, match=r"was changed meanwhile \(412\)"):
        ready.send(refuse)
    assert hub.files(REPO) == {}


def test_what_does_not_arrive_whole_is_noticed(finished, hub):
    ready = finished.ready(hub)
    send = ready.hub.send

    def damaging(*arguments, **options):
        send(*arguments, **options)
        hub.repos[REPO].branches["main"]["config.json"] = b"{}"

    ready.hub.send = damaging
    with pytest.raises(HubError, match="does not hold what was sent"):
        ready.send(refuse)


FAULTS = {
    (("POST", "/repos/create"), 401): r"does not know who you are \(401\): set HF_TOKEN",
    (("POST", "/repos/create"), 403): r"may not write to me/merged \(403\)",
    (("POST", "/preupload/"), 404): r"no me/merged on the hub, or you may not see it \(404\)",
    (("POST", "/commit/"), 409): r"was changed meanwhile \(409\)",
    (("PUT", "/lfs/"), 413): r"larger than the hub takes \(413\)",
    (("GET", "/tree/"), 429): r"asks to wait \(429\)",
    (("POST", "/batch"), 500): r"the hub has trouble \(500\)",
    (("POST", "/commit/"), 400): r"does not take it \(400\): made to fail with \[redacted\]",
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.items(), ids=lambda value: str(value)[:40])
def test_what_the_hub_refuses_is_one_sentence_without_the_token(finished, hub, fault, said):
    where, status = fault
    hub.faults[where] = [status] * 20
    with pytest.raises(HubError, match=said) as found:
        finished.ready(hub).send(refuse)
    assert "\n" not in str(found.value)
    assert TOKEN not in str(found.value)


def test_a_hub_that_is_not_there_is_one_sentence(finished, hub):
    ready = finished.ready(hub)
    hub.close()
    with pytest.raises(HubError, match=r"cannot be reached, or broke off \(\w+\): check the net"):
        ready.send(refuse)


def test_without_a_token_the_hub_asks_for_one(finished, hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="set HF_TOKEN"):
        finished.ready(hub, token=None).send(refuse)


def test_names_that_are_none_of_the_hub_are_refused(finished, hub):
    for name in ("merged", "../merged", "me/merged/x", "me/", "me/..", "me/a b"):
        with pytest.raises(ConfigError, match="is user/name"):
            finished.ready(hub, to=name)
    with pytest.raises(ConfigError, match="--revision must be the name of a branch"):
        finished.ready(hub, revision="../main")


def test_a_run_publishes_its_winner_when_it_ends(finished, hub, caplog):
    caplog.set_level(logging.INFO)
    pushing.after_run(finished.record, REPO)
    assert hub.files(REPO) == local(finished.folder)
    assert f"published: {hub.url}/{REPO}" in caplog.text


def test_a_run_stands_when_its_model_cannot_be_published(finished, hub, caplog):
    hub.add(REPO, {"README.md": b"mine"})
    pushing.after_run(finished.record, REPO)
    assert f"python -m evoforge.publish {finished.record.folder} --to {REPO}" in caplog.text
    assert hub.files(REPO) == {"README.md": b"mine"}


def test_a_run_that_is_to_be_published_says_before_it_begins_what_is_missing(
    hub, monkeypatch, caplog
):
    with pytest.raises(ConfigError, match="set --to or push_to_hub"):
        pushing.check_target("merged")
    pushing.check_target(REPO)
    assert not caplog.text
    monkeypatch.delenv("HF_TOKEN")
    pushing.check_target(REPO)
    assert "push_to_hub needs a token" in caplog.text
