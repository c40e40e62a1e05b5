"""The tasks of lm-eval, loaded once, quietly and the same each time; what they may ask is checked.

Knows lm-eval's objects; it does not know items, parts or models.
"""

import copy
import difflib
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evoforge.errors import ConfigError
from evoforge.task._quiet import quiet

log = logging.getLogger(__name__)

# What lm-eval's own command seeds the generators with before it loads tasks.
PYTHON_SEED, NUMPY_SEED = 0, 1234
LOUD = ("lm_eval", "datasets", "huggingface_hub")
# A task that is written out has one of these; without, it changes a task that exists.
OWN_DATA = ("dataset_path", "custom_dataset", "class")
# What a group that is written out says of itself; all else is said of each of its tasks.
OF_GROUP = {"group", "task", "group_alias", "aggregate_metric_list", "metadata", "tag"}

Spec = str | Mapping[str, Any]


@dataclass(frozen=True)
class Loaded:
    """What a list of names, paths and written-out tasks stands for.

    Args:
        tasks: lm-eval's task objects, by name.
        groups: the names of the tasks in each group.
    """

    tasks: Mapping[str, Any]
    groups: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Changes:
    """What is set on every task after it is loaded.

    Args:
        num_fewshot: shots; None leaves each task its own number.
        gen_kwargs: settings of generation that replace the task's.
        run_unsafe_code: whether tasks may run what a model wrote.
    """

    num_fewshot: int | None
    gen_kwargs: Mapping[str, Any]
    run_unsafe_code: bool

    def apply(self, task: Any, name: str) -> None:
        """Set up one task.

        Raises:
            ConfigError: the task cannot be searched on.
        """
        if task.get_config("output_type") == "generate_until" and self.gen_kwargs:
            task.set_config("generation_kwargs", dict(self.gen_kwargs), update=True)
        own = task.get_config("num_fewshot")
        if self.num_fewshot not in (None, own) and own == 0:
            log.warning("%s says num_fewshot: 0 itself, which lm-eval keeps to", name)
        elif self.num_fewshot is not None or own is None:
            task.set_config("num_fewshot", self.num_fewshot or 0)
        self._check(task, name)

    def _check(self, task: Any, name: str) -> None:
        if getattr(task, "MULTIMODAL", False):
            raise ConfigError(f"{name} shows images or sounds; set task.tasks to tasks of texts")
        if getattr(task, "UNSAFE_CODE", False) and not self.run_unsafe_code:
            raise ConfigError(
                f"{name} runs the code that a model writes; if you want that, "
                "set task.run_unsafe_code=true"
            )
        settings = task.get_config("generation_kwargs") or {}
        heated = settings.get("do_sample") is None and settings.get("temperature")
        if settings.get("do_sample") or heated:
            raise ConfigError(
                f"{name} draws its answers at random, so equal models would get unequal scores; "
                "set task.gen_kwargs={do_sample: false, temperature: 0.0}"
            )


@contextmanager
def seeded() -> Iterator[None]:
    """Give tasks the random numbers that lm-eval's command gives them; ours are put back after.

    Some tasks shuffle their documents or choices with the global generators.
    """
    before = random.getstate(), np.random.get_state()
    random.seed(PYTHON_SEED)
    np.random.seed(NUMPY_SEED)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def load(specs: Sequence[Spec], include_path: str | None, changes: Changes) -> Loaded:
    """Return the tasks of lm-eval that are meant.

    Args:
        specs: names of tasks, groups or tags; paths of YAML files; or tasks and groups written out.
        include_path: a folder with more tasks.
        changes: what is set on each.

    Raises:
        ConfigError: lm-eval is not installed, or has no such task, or cannot load it.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise ConfigError(
            f"task lm_eval needs the package lm-eval ({error}); pip install lm-eval"
        ) from error
    from datasets import disable_progress_bars

    disable_progress_bars()
    tasks: dict[str, Any] = {}
    groups: dict[str, tuple[str, ...]] = {}
    with quiet(*LOUD), seeded():
        manager = _manager(TaskManager, specs, include_path)
        for spec in specs:
            found = _load(manager, spec)
            if twice := sorted(set(found.tasks) & set(tasks)):
                raise ConfigError(f"{twice[0]} is meant more than once; set task.tasks")
            tasks |= found.tasks
            groups |= found.groups
        for name, task in tasks.items():
            changes.apply(task, name)
    return Loaded(tasks, groups)


def _manager(make: Callable[..., Any], specs: Sequence[Spec], include_path: str | None) -> Any:
    """Return an index of tasks; of lm-eval's own only if one of them is named."""
    folder = None if include_path is None else Path(include_path).expanduser()
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; set task.include_path")
    local = make(include_path=folder, include_defaults=False)
    if all(name in local.task_index for spec in specs for name in _names(local, spec)):
        return local
    log.info("reading the list of lm-eval's own tasks, which takes some seconds")
    return make(include_path=folder)


def _names(manager: Any, spec: Spec) -> Iterator[str]:
    """Yield the names of the tasks that must be there already for a spec to be loaded."""
    if isinstance(spec, str):
        content = _read(spec)
        if content is None:
            yield spec
        known = manager.task_index.get(spec)
        spec = content or (known.cfg if known is not None and known.cfg else {})
    if "group" in spec:
        members = spec.get("task") or []
        for member in members if isinstance(members, list | tuple) else [members]:
            yield from _names(manager, member)
    elif "task" in spec and not _has_data(spec):
        yield str(spec["task"])


def _has_data(spec: Mapping[str, Any]) -> bool:
    return any(key in spec for key in OWN_DATA)


def _read(path: str) -> Mapping[str, Any] | None:
    """Return what a YAML file says, or None if there is no such file."""
    from lm_eval.tasks._yaml_loader import load_yaml

    place = Path(path).expanduser()
    if place.suffix not in (".yaml", ".yml"):
        return None
    if not place.is_file():
        raise ConfigError(f"there is no file {place}; set task.tasks")
    content: Mapping[str, Any] = load_yaml(place.resolve(), resolve_func=False)
    return content


def _load(manager: Any, spec: Spec) -> Loaded:
    import httpx
    from datasets.exceptions import DatasetsError
    from jinja2 import TemplateError

    name = spec if isinstance(spec, str) else str(spec.get("group", spec.get("task")))
    try:
        return _found(manager, spec)
    except (ConnectionError, httpx.HTTPError) as error:
        raise ConfigError(
            f"the data of {name} is on the Hugging Face hub, which cannot be reached ({error}); "
            "connect, or set task.tasks to a task with local files"
        ) from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        AssertionError,
        ImportError,
        RuntimeError,
        DatasetsError,
        TemplateError,
    ) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"lm-eval cannot load {name} ({reason}); set task.tasks") from error


def _found(manager: Any, spec: Spec) -> Loaded:
    if isinstance(spec, str):
        if spec not in manager.task_index and not Path(spec).expanduser().is_file():
            near = difflib.get_close_matches(spec, manager.all_tasks, n=1)
            guess = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(
                f"lm-eval has no task {spec}{guess}; set task.tasks (python -m lm_eval ls tasks "
                "lists them), or task.include_path to a folder of tasks"
            )
        return _taken(manager, str(Path(spec).expanduser()) if _read(spec) else spec)
    if "group" in spec:
        return _group(manager, spec)
    if "task" not in spec:
        raise ConfigError(
            f"a task that is written out must have a name (task), got {', '.join(spec)}; "
            "set task.tasks"
        )
    content = copy.deepcopy(dict(spec))  # lm-eval changes what it is given
    if content["task"] in manager.task_index and not _has_data(spec):
        # Changes to a task that exists: lm-eval takes them only inside a group.
        return Loaded(_taken(manager, {"group": "changed", "task": [content]}).tasks, {})
    return _taken(manager, content)


def _group(manager: Any, spec: Mapping[str, Any]) -> Loaded:
    """Return a group that is written out: lm-eval cannot take one whose tasks are, too."""
    shared = {key: value for key, value in spec.items() if key not in OF_GROUP}
    tasks: dict[str, Any] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for member in spec.get("task") or []:
        own = {"task": member} if isinstance(member, str) and shared else member
        found = _found(manager, {**shared, **own} if isinstance(own, Mapping) else own)
        tasks |= found.tasks
        groups |= found.groups
    return Loaded(tasks, {**groups, str(spec["group"]): tuple(tasks)})


def _taken(manager: Any, spec: Spec) -> Loaded:
    found = manager.load([spec])
    groups = {
        name: tuple(task.task_name for task in group.get_all_tasks())
        for name, group in found.get("groups", {}).items()
    }
    return Loaded(found["tasks"], groups)
