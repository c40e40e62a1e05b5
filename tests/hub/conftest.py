"""A finished run with a model in its folder, and a hub to publish it on."""

import json
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import HfApi
from safetensors.numpy import save_file

from evoforge import checksums
from evoforge.hub.pushing import Wish, publication
from evoforge.recipe import canonical
from evoforge.report import card, result
from tests.hub.server import TOKEN, FakeHub
from tests.report.conftest import Run

REPO = "me/merged"


def write_model(record, recipe, folder):
    """Make what an export leaves, with a few numbers for weights in two files."""
    folder.mkdir(parents=True)
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for number, name in enumerate(names):
        tensor = np.full((64, 64), number, np.float32)
        save_file({f"w{number}": tensor}, folder / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {f"w{n}": name for n, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps({"model_type": "mistral"}))
    (folder / "recipe.json").write_text(record.recipe(recipe).text + "\n")
    (folder / "README.md").write_text(card.card(record, result.instead(record, recipe)))
    checksums.write(folder)
    return folder


class Finished:
    """A run, its winner's recipe and folder."""

    def __init__(self, folder, **facts):
        self.run = Run(folder, **facts)
        self.run.baselines()
        self.recipe = self.run.search(generations=2)
        self.run.win(self.recipe)
        self.run.journal.finish()
        self.record = self.run.record
        self.folder = write_model(self.record, self.recipe.hash, folder / "model")

    def ready(self, hub, to=REPO, **wish):
        api = HfApi(endpoint=hub.url, token=wish.pop("token", TOKEN))
        return publication(self.record, self.recipe.hash, self.folder, Wish(to, **wish), api)


@pytest.fixture
def finished(tmp_path):
    made = Finished(tmp_path / "run")
    yield made
    made.run.journal.close()


@pytest.fixture
def without_licence(finished):
    """The run, of sources one of which does not say its licence."""
    sources = json.loads(finished.record.meta("sources"))
    sources[1]["license"] = None
    connection = finished.run.journal._connection
    connection.execute("UPDATE meta SET value=? WHERE key='sources'", (canonical(sources),))
    text = (finished.folder / "README.md").read_text()
    (finished.folder / "README.md").write_text(
        text.replace("license: apache-2.0", "license: other")
    )
    return finished


@pytest.fixture
def hub(monkeypatch):
    """A hub that is asked instead of the real one; nobody sleeps before asking again."""
    constants = huggingface_hub.constants
    server = FakeHub()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # Its storage for large files has a protocol of its own; this one is what others speak.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere/token")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    clock = SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr(huggingface_hub.utils._http, "time", clock)
    yield server
    server.close()
