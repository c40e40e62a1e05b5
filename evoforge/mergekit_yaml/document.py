"""A mergekit file as plain data: which models, which layers, which numbers.

Knows the format and the methods' parameters; does not open models. What evoforge cannot make is
refused here, by its name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError
from evoforge.mergekit_yaml.methods import METHODS, Method
from evoforge.mergekit_yaml.settings import Setting, settings, value
from evoforge.mergekit_yaml.text import documents_of, text_of

DTYPES = ("float32", "float16", "bfloat16")
TOP = {"merge_method", "models", "slices", "base_model", "parameters", "dtype", "out_dtype"}
TOP |= {"tokenizer_source", "tokenizer"}
# Names that mean something else in `models.tokenizer`, or in a path.
TAKEN = ("union", "merged")


@dataclass(frozen=True)
class Reference:
    """A model as mergekit names it.

    Args:
        path: a folder or a hub id.
        revision: branch, tag or commit.
        adapter: a LoRA adapter on it.
    """

    path: str
    revision: str | None = None
    adapter: "Reference | None" = None

    def __str__(self) -> str:
        text = self.path if self.revision is None else f"{self.path}@{self.revision}"
        return text if self.adapter is None else f"{text}+{self.adapter}"


@dataclass(frozen=True)
class Input:
    """A model, or some of its layers, with what is said of it alone.

    Args:
        model: which one.
        layers: the first, and the one after the last; None for all.
        parameters: by mergekit's names.
    """

    model: Reference
    layers: tuple[int, int] | None
    parameters: Mapping[str, Setting]


@dataclass(frozen=True)
class Slice:
    """Layers that are merged with each other.

    Args:
        inputs: the models, with as many layers each.
        parameters: by mergekit's names.
    """

    inputs: tuple[Input, ...]
    parameters: Mapping[str, Setting] = field(default_factory=dict)

    @property
    def depth(self) -> int | None:
        """The number of layers; None for all that the models have."""
        layers = self.inputs[0].layers
        return None if layers is None else layers[1] - layers[0]


@dataclass(frozen=True)
class Document:
    """What a mergekit file says.

    Args:
        name: of the method, as mergekit spells it.
        base: the model that `base_model` names.
        slices: one for files with `models`.
        parameters: of the whole merge, by mergekit's names.
        dtype: of the merged model; None for the models' own.
        tokenizer: `union`, `base`, a model, or None.
        pad_to_multiple_of: see mergekit's tokenizer section.
    """

    name: str
    base: Reference | None
    slices: tuple[Slice, ...]
    parameters: Mapping[str, Setting]
    dtype: str | None = None
    tokenizer: "str | Reference | None" = None
    pad_to_multiple_of: int | None = None

    @property
    def method(self) -> Method:
        """What the method takes."""
        return METHODS[self.name]

    @property
    def task_base(self) -> Reference | None:
        """The model that task vectors are taken from, if any are."""
        return self.base if self.method.base in ("needed", "optional") else None

    @property
    def sources(self) -> tuple[Reference, ...]:
        """The models that are merged, in order; without a base of task vectors."""
        found = {each.model: None for part in self.slices for each in part.inputs}
        if self.method.base == "start" and self.base is not None:
            found = {self.base: None, **found}
        elif self.method.base == "input" and self.base and self.slices[0].depth is None:
            found.setdefault(self.base)
        return tuple(model for model in found if model != self.task_base)

    @property
    def is_path(self) -> bool:
        """Whether it puts layers one after the other, as they are."""
        return self.name == "passthrough" and self.slices[0].depth is not None

    def names(self) -> dict[Reference, str]:
        """Return a name for each model, the base first: letters, digits, - and _, all different."""
        models = [*([self.task_base] if self.task_base else []), *self.sources]
        found: dict[Reference, str] = {}
        for model in models:
            path = (model.adapter or model).path.rstrip("/")
            name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(path).name)[:56] or "model"
            unique, count = name, 2
            while unique in (*TAKEN, *found.values()):
                unique, count = f"{name}_{count}", count + 1
            found[model] = unique
        return found

    def number(
        self, key: str, name: str, part: int, along: float, model: Reference | None = None
    ) -> float | None:
        """Return a parameter for a tensor; what is nearest to it counts.

        Args:
            key: as mergekit spells it.
            name: the tensor's.
            part: the number of its slice.
            along: its place along the layers of the slice, in [0, 1].
            model: whose; None for a parameter of the whole merge.

        Returns:
            The number, or None if the file does not say.
        """
        scopes = [self.slices[part].parameters, self.parameters]
        of_model = [each for each in self.slices[part].inputs if each.model == model]
        for scope in [*(each.parameters for each in of_model), *scopes]:
            found = value(scope[key], name, along) if key in scope else None
            if found is not None:
                return found
        return None


def read(path: str | Path) -> Document:
    """Read a mergekit file.

    Raises:
        ConfigError: it cannot be read, or says something that evoforge cannot make.
    """
    text = text_of(path)
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path} cannot be used: {error}") from error


def parse(text: str) -> Document:
    """Read the text of a mergekit file.

    Raises:
        ConfigError: it is no YAML, or says something that evoforge cannot make.
    """
    try:
        return _document(documents_of(text))
    except RecursionError as error:
        raise ConfigError("it is nested too deeply") from error
    except ValueError as error:  # a whole number of more digits than Python prints
        raise ConfigError(f"it has a value that cannot be read ({error})") from error


def _document(documents: list[Any]) -> Document:
    if len(documents) != 1 or not isinstance(documents[0], Mapping):
        raise ConfigError(f"it must hold one merge, got {len(documents)} documents")
    content = documents[0]
    if unknown := sorted(set(map(str, content)) - TOP):
        raise ConfigError(f"evoforge does not read {unknown[0]}; it reads {', '.join(sorted(TOP))}")
    name = content.get("merge_method")
    if not isinstance(name, str) or name not in METHODS:
        raise ConfigError(f"merge_method must be one of {', '.join(METHODS)}, got {name}")
    tokenizer, multiple = _tokenizer(content)
    found = Document(
        name=name,
        base=None if content.get("base_model") is None else reference(content["base_model"]),
        slices=_slices(content),
        parameters=settings(content.get("parameters"), "the merge"),
        dtype=_dtype(content.get("out_dtype") or content.get("dtype")),
        tokenizer=tokenizer,
        pad_to_multiple_of=multiple,
    )
    _check(found)
    return found


def reference(given: Any) -> Reference:
    """Read what names a model: `PATH@REVISION+ADAPTER`, or the same as a mapping.

    Raises:
        ConfigError: it names none.
    """
    if isinstance(given, Mapping):
        return _mapped(given)
    parts = given.split("+") if isinstance(given, str) else []
    if len(parts) not in (1, 2) or any(part.count("@") > 1 or not part for part in parts):
        raise ConfigError(f"a model must be PATH@REVISION+ADAPTER, got {given!r}")
    model, *adapter = map(_at, parts)
    return Reference(model.path, model.revision, *adapter)


def _at(text: str) -> Reference:
    path, _, revision = text.partition("@")
    return Reference(path, revision or None)


def _mapped(given: Mapping[str, Any]) -> Reference:
    if "path" in given and set(given) <= {"path", "revision"}:
        path, revision = given["path"], given.get("revision")
        if not isinstance(path, str) or not path:
            raise ConfigError(f"path must be a folder or a hub id, got {path!r}")
        if revision is not None and not isinstance(revision, str):
            raise ConfigError(f"revision must be a text, got {revision!r}; put it in quotes")
        return Reference(path, revision or None)
    if "model" not in given or not set(given) <= {"model", "lora"}:
        raise ConfigError(f"a model must be a path, or {{model, lora}}, got {dict(given)}")
    model, adapter = _alone(given["model"]), given.get("lora")
    return model if adapter is None else Reference(model.path, model.revision, _alone(adapter))


def _alone(given: Any) -> Reference:
    """Read what names a model without an adapter."""
    nested = isinstance(given, Mapping) and "path" not in given
    found = None if nested else reference(given)
    if found is None or found.adapter is not None:
        raise ConfigError(f"model and lora must each be one path, got {given!r}")
    return found


def _slices(content: Mapping[str, Any]) -> tuple[Slice, ...]:
    models, slices = content.get("models"), content.get("slices")
    if bool(models) == bool(slices):
        raise ConfigError("it must hold either models or slices")
    if models:
        return (Slice(tuple(_input(each, "models") for each in _list(models, "models"))),)
    return tuple(_slice(each) for each in _list(slices, "slices"))


def _slice(given: Any) -> Slice:
    if not isinstance(given, Mapping) or not {"sources"} <= set(given) <= {"sources", "parameters"}:
        raise ConfigError(f"a slice must be {{sources, parameters}}, got {given!r}")
    inputs = tuple(_input(each, "slices") for each in _list(given["sources"], "sources"))
    found = Slice(inputs, settings(given.get("parameters"), "a slice"))
    depths = {Slice((each,)).depth for each in inputs}
    if len(depths) > 1:
        raise ConfigError("all sources of a slice must have as many layers, check layer_range")
    return found


def _input(given: Any, where: str) -> Input:
    known = {"model", "parameters"} | ({"layer_range"} if where == "slices" else set())
    needed = known - {"parameters"}
    if not isinstance(given, Mapping) or not needed <= set(given) <= known:
        raise ConfigError(f"an entry of {where} must be {{{', '.join(sorted(known))}}}: {given!r}")
    model = reference(given["model"])
    layers = _layers(given["layer_range"]) if where == "slices" else None
    return Input(model, layers, settings(given.get("parameters"), str(model)))


def _layers(given: Any) -> tuple[int, int]:
    whole = isinstance(given, list) and len(given) == 2 and all(type(n) is int for n in given)
    if not whole or not 0 <= given[0] < given[1]:
        raise ConfigError(f"layer_range must be [FIRST, AFTER_LAST], got {given!r}")
    return given[0], given[1]


def _list(given: Any, key: str) -> list[Any]:
    if not isinstance(given, list) or not given:
        raise ConfigError(f"{key} must be a list of one entry or more, got {given!r}")
    return given


def _dtype(given: Any) -> str | None:
    name = None if given is None else str(given).removeprefix("torch.")
    if name is not None and name not in DTYPES:
        raise ConfigError(f"dtype must be one of {', '.join(DTYPES)}, got {given}")
    return name


def _tokenizer(content: Mapping[str, Any]) -> tuple["str | Reference | None", int | None]:
    source, section = content.get("tokenizer_source"), content.get("tokenizer")
    multiple = None
    if section is not None:
        if source is not None or not isinstance(section, Mapping):
            raise ConfigError("tokenizer must be a mapping, and tokenizer_source be left out then")
        if unknown := sorted(set(map(str, section)) - {"source", "pad_to_multiple_of"}):
            raise ConfigError(f"evoforge does not read tokenizer.{unknown[0]}; leave it out")
        source, multiple = section.get("source", "union"), section.get("pad_to_multiple_of")
        if multiple is not None and (type(multiple) is not int or multiple < 1):
            raise ConfigError(
                f"pad_to_multiple_of must be a whole number from 1 on, got {multiple!r}"
            )
    if source is None or source in ("union", "base"):
        return source, multiple
    return reference(source), multiple


def _check(document: Document) -> None:
    """Refuse parameters that the method does not have, and models that it does not take."""
    method = document.method
    scopes = [document.parameters, *(part.parameters for part in document.slices)]
    of_models = [each.parameters for part in document.slices for each in part.inputs]
    for known, given in ((method.keys, scopes), (method.source_keys | method.idle, of_models)):
        for key in (key for scope in given for key in scope if key not in known):
            where = "for one model" if key in method.keys else f"in {document.name}"
            raise ConfigError(
                f"evoforge does not read {key} {where}; it reads {', '.join(sorted(known)) or '-'}"
            )
    if method.base in ("needed", "start") and document.base is None:
        raise ConfigError(f"{document.name} needs a base_model")
    if document.name == "passthrough":
        if any(len(part.inputs) > 1 for part in document.slices):
            raise ConfigError("passthrough takes one model at a time")
        return
    count, least, most = len(document.sources), method.least, method.most
    if count < least or (most is not None and count > most):
        wanted = f"{least}" if least == most else f"{least} or more"
        raise ConfigError(f"{document.name} takes {wanted} models, got {count}")
