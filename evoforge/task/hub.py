"""Rows out of data sets of the hub, loaded by the `datasets` library; no code of theirs is run.

A data set's columns are brought to the keys that rows have here. Knows one data set at a time.
"""

import logging
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task._quiet import quiet
from evoforge.task.picture import Picture

log = logging.getLogger(__name__)

# Which keys of a row are lists of texts, whatever the column holds.
LISTS = ("answers", "choices")
# What `path` may be instead of a hub id: kinds of files, for the address in `files`.
KINDS = ("json", "parquet", "csv")
# What may be done to a column, see `DataSet.keys`.
CHANGES = ("after", "join", "has", "values")


@dataclass(frozen=True)
class DataSet:
    """Where rows are on the hub, and what their columns mean.

    Args:
        path: the hub id, a folder that `datasets` saved, or a kind of file (`json`, `parquet`,
            `csv`) for the address in `files`.
        name: of the configuration, where the data set has several.
        split: of the data set.
        revision: branch, tag or commit; None for the newest.
        files: addresses or places in the repository, where not all of it is wanted.
        keys: key -> column. Columns may be inside others (`answers.text`), several in a list,
            or `{column: ..., after: text}` for what follows a text, or `{column: ..., values:
            {old: new}}` for other values, or `{column: ..., join: text}` for texts as one, or
            `{column: ..., has: value}` for whether a value is among several; of these at `most`
            so many count.
        where: values that rows must have, after `keys`.
        fixed: keys that every row has.
        id: of a row, with `{row}` (counted from `first`) or columns in it.
        first: the number of the first row.
    """

    path: str
    name: str | None = None
    split: str = "train"
    revision: str | None = None
    files: str | Sequence[str] | None = None
    keys: Mapping[str, Any] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    first: int = 0

    @property
    def title(self) -> str:
        """What it is called in errors."""
        if self.path in KINDS and self.files:
            return ", ".join(_listed(self.files))
        return " ".join(filter(None, [self.path, self.name, self.split]))


def data_set(file: str, options: Any) -> DataSet:
    """Return what the user says of a data set.

    Args:
        file: the file that it stands for.
        options: of `DataSet`.

    Raises:
        ConfigError: an option is unknown, or `path` is missing.
    """
    known = list(DataSet.__dataclass_fields__)
    given = list(options) if isinstance(options, Mapping) else [options]
    if not isinstance(options, Mapping) or "path" not in options or set(given) - set(known):
        raise ConfigError(
            f"the data set for {file} must have {', '.join(known)} (path at least), got "
            f"{', '.join(map(str, given))}; set task.items.hub"
        )
    _check_types(file, options)
    for key, column in (options.get("keys") or {}).items():
        _check_column(key, column)
    return DataSet(**options)


def _check_types(file: str, options: Mapping[str, Any]) -> None:
    texts = {key: options[key] for key in ("path", "split") if key in options}
    texts |= {key: options.get(key) or "" for key in ("name", "revision", "id")}
    files = options.get("files") or []
    for key, value in (*texts.items(), *(("files", each) for each in _listed(files) or [""])):
        if not isinstance(value, str):
            raise ConfigError(f"{key} of {file} must be a text, got {value!r}; set task.items.hub")
    for key in ("keys", "where", "fixed"):
        if not isinstance(options.get(key, {}), Mapping):
            raise ConfigError(
                f"{key} of {file} must be a mapping, got {options[key]!r}; set task.items.hub"
            )
    if type(options.get("first", 0)) is not int:
        raise ConfigError(
            f"first of {file} must be a whole number, got {options['first']!r}; set task.items.hub"
        )


def _check_column(key: str, column: Any) -> None:
    """Refuse what does not say which columns a key is; a picture is one column as it is."""
    names = [column.get("column") if isinstance(column, Mapping) else column]
    if isinstance(column, list | tuple):
        names = list(column)
    changed = isinstance(column, Mapping) and len(set(column) & set(CHANGES)) == 1
    fits = isinstance(column, str) or (key != "image" and (changed or len(names) > 1))
    if not fits or not all(isinstance(name, str) for name in names):
        more = f", several, or {{column: NAME}} with one of {', '.join(CHANGES)}"
        raise ConfigError(
            f"{key} in keys must be a column{'' if key == 'image' else more}, got {column!r}; set "
            "task.items.hub"
        )


def load(file: str, source: DataSet) -> list[dict[str, Any]]:
    """Return the rows of a data set, with the picture of its column `image` or of that in `keys`.

    Args:
        file: the file that it stands for, for errors.
        source: where it is.

    Raises:
        ConfigError: `datasets` is not installed, the hub does not answer, there is no such data
            set, it has other columns, or what should be a picture is none.
    """
    columns, images = _load(file, source)
    rows = []
    for place, given in enumerate(columns):
        number = place + source.first
        row = {k: v for k, v in given.items() if v is not None and k not in images}
        mapped = {key: _value(key, given, column, source) for key, column in source.keys.items()}
        made = {**row, **mapped, **source.fixed}
        if any(made.get(key) != value for key, value in source.where.items()):
            continue
        shown = source.keys.get("image", "image")
        if shown in images and given[shown] is not None:
            again = partial(_bytes, columns, place, shown)
            where = f"{source.title}, row {number}"
            made["image"] = Picture.of(given[shown], where, again=again)
        name = _id(file, source, {**given, "row": number})
        rows.append({**made, "id": name, "_row": number})
    return rows


def _undecoded(found: Any) -> tuple[Any, set[str]]:
    """Return rows whose pictures stay files, and the columns that hold one each.

    Lists of pictures are left out: a prompt shows one.
    """
    import datasets

    features = dict(found.features)
    images = {name for name, kind in features.items() if isinstance(kind, datasets.Image)}
    more = [n for n, kind in features.items() if n not in images and "Image(" in repr(kind)]
    if more:
        log.warning(
            "what holds several pictures a row is left out (%s): a prompt shows one",
            ", ".join(more),
        )
    found = found.remove_columns(more)
    for name in images:
        found = found.cast_column(name, datasets.Image(decode=False))
    return found, images


def _bytes(columns: Any, place: int, column: str) -> bytes:
    return bytes(columns[place][column]["bytes"])


def _id(file: str, source: DataSet, row: Mapping[str, Any]) -> str:
    try:
        return (source.id or f"{file.rpartition('.')[0]}-{{row}}").format_map(row)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"the id {source.id!r} of {source.title} must be a text with row or columns in braces "
            f"({', '.join(row)}); set task.items.hub"
        ) from error


def _load(file: str, source: DataSet) -> tuple[Any, set[str]]:
    """Return the rows of a data set, and the columns that hold a picture each."""
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            f"{file} comes from the hub, which needs pip install datasets; or set data_dir to the "
            "folder that holds the file"
        ) from error
    from huggingface_hub.errors import HTTPError

    try:
        with quiet("datasets", "huggingface_hub"):  # they tell of every attempt
            found = _opened(source)
    # A data set may be missing, changed, damaged or not reachable; the library has a name for each.
    except (
        OSError,
        HTTPError,
        ValueError,
        RuntimeError,
        TypeError,
        datasets.exceptions.DatasetsError,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"cannot get {source.title} ({reason}); {_advice(file, source, reason)}"
        ) from error
    return _undecoded(found)


def _advice(file: str, source: DataSet, reason: str) -> str:
    """Say what to do where a data set cannot be had."""
    files = _listed(source.files or ())
    if files and all(Path(each).is_file() for each in files):
        return "replace the file"
    folder = f"set data_dir to the folder that holds {file}"
    if "script" not in reason:
        return f"check the network, or {folder}"
    split = f"{source.name or 'default'}/{source.split}/*.parquet"
    return (
        "it is a program, which is not run here: where the hub has converted it, set "
        f"task.items.hub to revision: refs/convert/parquet, name: null, files: {split}; or {folder}"
    )


def _opened(source: DataSet) -> Any:
    import datasets

    folder = Path(source.path)
    if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        found = datasets.load_from_disk(source.path)
        if isinstance(found, datasets.DatasetDict):
            if source.split not in found:
                raise ValueError(f"it has the splits {', '.join(found)}")
            found = found[source.split]
        return found
    files = None if source.files is None else _listed(source.files)
    try:
        return datasets.load_dataset(
            source.path, source.name, split=source.split, revision=source.revision, data_files=files
        )
    except ConnectionError:
        fetched = _fetched(source)
        if fetched is None:
            raise
        return datasets.load_dataset(fetched, source.name, split=source.split, data_files=files)


def _fetched(source: DataSet) -> str | None:
    """Return the folder of a data set that the hub's cache has, without asking the hub."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return str(
            snapshot_download(
                source.path, repo_type="dataset", revision=source.revision, local_files_only=True
            )
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def _listed(files: Any) -> list[Any]:
    """Return files as a list; what is none stands in it alone, to be refused."""
    return list(files) if isinstance(files, list | tuple) else [files]


def _value(key: str, row: Mapping[str, Any], column: Any, source: DataSet) -> Any:
    """Return what a row has for one of our keys."""
    if isinstance(column, str):
        value = _inside(row, column, key, source)
    elif isinstance(column, Sequence):
        return [str(_inside(row, each, key, source)) for each in column]
    else:
        value = _changed(_inside(row, column["column"], key, source), column)
    if key == "answer_number" and isinstance(value, str):
        return _number(value)
    if key in LISTS and isinstance(value, str):
        return [value]
    return "" if value is None else value


def _inside(row: Mapping[str, Any], column: str, key: str, source: DataSet) -> Any:
    value: Any = row
    for name in column.split("."):
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = [each[name] for each in value]
        elif isinstance(value, Mapping) and name in value:
            value = value[name]
        else:
            raise ConfigError(
                f"{source.title} has no column {column} for {key}; it has {', '.join(row)}: set "
                "task.items.hub, or data_dir to a folder with files"
            )
    return value


def _changed(value: Any, change: Mapping[str, Any]) -> Any:
    if "after" in change:
        return str(value).rpartition(change["after"])[2].strip()
    if "join" in change:
        return change["join"].join(map(str, value[: change.get("most")]))
    if "has" in change:
        return change["has"] in value[: change.get("most")]
    values = {str(old): new for old, new in change["values"].items()}
    return values.get(str(value), value)


def _number(text: str) -> Any:
    """Return the number that a text is, or the text where it is none, which is refused later."""
    plain = text.replace(",", "").strip()
    if set(plain) <= set(string.digits + ".-"):
        try:
            return float(plain)
        except ValueError:
            return text
    return text
