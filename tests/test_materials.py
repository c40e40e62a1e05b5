"""Sources that changed between two sessions of a run."""

import json
import shutil

import pytest

from evoforge.errors import JournalError
from evoforge.materials import check_sources, hashes, settings
from tests.conftest import open_pico


class Recorded:
    """What a journal says of a run's sources."""

    folder = "outputs/x"

    def __init__(self, pool, *, old=False):
        self._meta = {"tensors": json.dumps(hashes(pool))}
        if not old:
            self._meta["settings"] = json.dumps(settings(pool))

    def meta(self, key):
        return self._meta[key]


@pytest.fixture
def folders(pico, tmp_path):
    return {name: shutil.copytree(pico[name], tmp_path / name) for name in ("base", "a")}


def change(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_changed_setting_is_refused_by_the_source_s_name(folders):
    record = Recorded(open_pico(folders))
    check_sources(open_pico(folders), record)
    change(folders["a"], rope_theta=5.0)
    with pytest.raises(JournalError, match=r"the settings \(config.json\) of a are not those"):
        check_sources(open_pico(folders), record)


def test_who_wrote_a_config_does_not_count(folders):
    record = Recorded(open_pico(folders))
    change(folders["a"], transformers_version="6.0")
    check_sources(open_pico(folders), record)


def test_a_journal_of_an_earlier_version_goes_on(folders):
    record = Recorded(open_pico(folders), old=True)
    change(folders["a"], rope_theta=5.0)
    check_sources(open_pico(folders), record)


def test_changed_weights_are_still_refused_first(folders, save_pico):
    record = Recorded(open_pico(folders))
    other = save_pico("other", seed=9, near=folders["base"])
    shutil.copy(other / "model.safetensors", folders["a"] / "model.safetensors")
    change(folders["a"], rope_theta=5.0)
    with pytest.raises(JournalError, match="the weights of a are not those"):
        check_sources(open_pico(folders), record)
