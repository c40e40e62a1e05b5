"""Tasks of lm-eval: by name, from YAML files or written out; only evaluator=lm_eval answers them.

Documents are items, in three disjoint parts. The prompts of all items are made once, in lm-eval's
order, so an item is asked the same whatever else is asked with it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal, get_args

from evoforge.errors import ConfigError
from evoforge.recipe import digest
from evoforge.task._harness import LOUD, Changes, Spec, load, seeded
from evoforge.task._harness_documents import Dealer, Documents, Share
from evoforge.task._harness_measures import Measures
from evoforge.task._harness_prompts import Rendering, build
from evoforge.task._quiet import quiet
from evoforge.task.base import Item, Judgement, Part, Task
from evoforge.task.request import Request, Response

Average = Literal["tasks", "items"]
AVERAGES: tuple[Average, ...] = get_args(Average)

ByTask = str | Mapping[str, str] | None
# What of a task's definition decides a score, beside its data.
DECISIVE = (
    "output_type", "num_fewshot", "description", "doc_to_text", "doc_to_target", "doc_to_choice",
    "target_delimiter", "fewshot_delimiter", "fewshot_split", "gen_prefix", "generation_kwargs",
    "filter_list", "metric_list", "process_docs", "process_results", "repeats", "use_prompt",
)  # fmt: skip


class LmEval(Task):
    """One or more tasks of lm-eval 0.4.

    Args:
        name: what the task is called in tables.
        tasks: names of tasks, groups or tags, paths of YAML files, and tasks written out as
            lm-eval's YAML files are; one, or a list.
        include_path: a folder with more tasks.
        num_fewshot: shots; None for each task's own number.
        search: of each task's documents for the search: a number of them, a share in (0, 1), or
            None for the rest.
        select: the same, to choose the winner.
        test: the same, for the report.
        splits: by part, the split (training, validation, test) that it is taken from; None for the
            one that lm-eval judges on.
        metric: the main metric, for all tasks or by task; None for each task's first that is a mean
            over documents.
        filter: the filter of the main metric, in the same way; None for each task's first.
        average: what counts the same in the score: all `tasks`, or all `items`.
        apply_chat_template: whether prompts are the tokenizer's chats.
        fewshot_as_multiturn: whether shots are turns of the chat, or one message.
        system_instruction: what comes before everything.
        max_gen_toks: the longest answer in tokens; None for the task's own limit, or 256.
        gen_kwargs: settings of generation that replace the tasks' own.
        seed: of the dealing of documents to parts.
        fewshot_seed: of the choice of shots.
        run_unsafe_code: whether tasks may run code that a model wrote.

    Raises:
        ConfigError: an option makes no sense, lm-eval cannot load a task, or the items do not fit.
    """

    def __init__(
        self,
        *,
        name: str = "lm_eval",
        tasks: str | Sequence[str | Mapping[str, Any]] | None = None,
        include_path: str | None = None,
        num_fewshot: int | None = None,
        search: int | float | None = 0.5,
        select: int | float | None = 0.2,
        test: int | float | None = None,
        splits: Mapping[str, str | None] | None = None,
        metric: str | Mapping[str, str] | None = None,
        filter: str | Mapping[str, str] | None = None,  # noqa: A002
        average: Average = "tasks",
        apply_chat_template: bool = False,
        fewshot_as_multiturn: bool = True,
        system_instruction: str | None = None,
        max_gen_toks: int | None = None,
        gen_kwargs: Mapping[str, Any] | None = None,
        seed: int = 0,
        fewshot_seed: int = 1234,
        run_unsafe_code: bool = False,
    ) -> None:
        specs = _listed(tasks)
        _check(num_fewshot, max_gen_toks, average)
        settings = dict(gen_kwargs or {})
        if max_gen_toks is not None:
            settings["max_gen_toks"] = max_gen_toks
        loaded = load(specs, include_path, Changes(num_fewshot, settings, run_unsafe_code))
        self._tasks = loaded.tasks
        self._groups = loaded.groups
        self._measures = {
            each: Measures(task, each, _of(metric, each), _of(filter, each))
            for each, task in self._tasks.items()
        }
        self.average = average
        self._fewshot_seed = fewshot_seed
        self._rendering = Rendering(system_instruction, apply_chat_template, fewshot_as_multiturn)
        self._check_direction()
        shares: dict[Part, Share] = {"search": search, "select": select, "test": test}
        with quiet(*LOUD), seeded():
            self._documents = Documents(self._tasks, Dealer(shares, seed), splits or {})
        self._instances: dict[str, tuple[Any, ...]] = {}
        self._tokenizer: Any = None
        super().__init__(name=name, items=self._documents)
        if average == "tasks":
            self._parts = {part: _by_task(items) for part, items in self._parts.items()}

    def _check_direction(self) -> None:
        if len({each.higher_is_better for each in self._measures.values()}) > 1:
            lower = next(n for n, each in self._measures.items() if not each.higher_is_better)
            raise ConfigError(
                f"of {lower} a lower {self._measures[lower].main} is better, of other tasks a "
                "higher metric; set task.metric or task.tasks"
            )

    @property
    def metric(self) -> str:
        """The main metric; `score` if the tasks have different ones."""
        names = {measures.main for measures in self._measures.values()}
        return next(iter(names)) if len(names) == 1 else "score"

    @property
    def higher_is_better(self) -> bool:
        """The main metric's direction, as lm-eval knows it."""
        return next(iter(self._measures.values())).higher_is_better

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The tasks with their versions and shots, and how they are asked and judged."""
        return {
            "task": self.name,
            "kind": "lm_eval",
            "lm_eval": version("lm_eval"),
            "tasks": {name: self._facts(name, task) for name, task in self._tasks.items()},
            "metric": self.metric,
            "average": self.average,
            "fewshot_seed": self._fewshot_seed,
            "apply_chat_template": self._rendering.chat,
            "fewshot_as_multiturn": self._rendering.chat and self._rendering.multiturn,
            "system_instruction": self._rendering.system,
            **self._template(),
        }

    def _template(self) -> dict[str, str]:
        """Return the digest of a chat's template, once the tokenizer is known."""
        template = getattr(self._tokenizer, "chat_template", None)
        return {"chat_template": _digest(template)} if template and self._rendering.chat else {}

    def _facts(self, name: str, task: Any) -> dict[str, Any]:
        measures = self._measures[name]
        dumped = task.dump_config()
        shots = task.get_config("num_fewshot") or 0
        return {
            "version": str(task.VERSION),
            "num_fewshot": shots,
            "metric": measures.main,
            "filter": measures.filter,
            "definition": _digest({key: dumped.get(key) for key in DECISIVE}),
            "shots": _digest(list(task.sampler.df)) if shots and hasattr(task, "sampler") else None,
        }

    def prepare(self, tokenizer: Any) -> None:
        """Make the prompts of all items; they need the tokenizer only for chats.

        Raises:
            ConfigError: the tokenizer has no chat template, or lm-eval cannot make a prompt.
        """
        if self._tokenizer is tokenizer:
            return
        rendering = self._rendering.by(tokenizer)
        with quiet(*LOUD), seeded():
            for (name, _), documents in self._documents.all.items():
                wanted = {d.index for d in documents if d.id in self._documents.dealt}
                task = self._tasks[name]
                made = build(task, documents, wanted, rendering, self._fewshot_seed)
                self._instances |= made
        self._tokenizer = tokenizer
        self.__dict__.pop("settings", None)
        super().prepare(tokenizer)

    def instances(self, item: Item) -> list[Any]:
        """Return what lm-eval asks for an item: its instances, new and unanswered."""
        assert self._tokenizer is not None, "prepare comes first"
        return [replace(one, resps=[], filtered_resps={}) for one in self._instances[item.id]]

    def measure(self, item: Item, instances: Sequence[Any]) -> dict[str, float]:
        """Return every metric of an item, the main one among them.

        Args:
            item: the item.
            instances: its own, each with its responses.
        """
        measures = self._measures[item.fields["task"]]
        numbers = measures.of_document(self._documents.dealt[item.id].content, instances)
        return {**numbers, self.metric: numbers[measures.main]}

    def request(self, item: Item) -> Request:
        """Only evaluator=lm_eval can ask what lm-eval asks."""
        raise ConfigError(f"task {self.name} ({item.id}) is lm-eval's; set evaluator=lm_eval")

    def score(self, item: Item, response: Response) -> dict[str, float]:
        """Only evaluator=lm_eval can ask what lm-eval asks."""
        del response
        raise ConfigError(f"task {self.name} ({item.id}) is lm-eval's; set evaluator=lm_eval")

    def weights(self, items: Sequence[Item]) -> tuple[float, ...]:
        """Return what each item counts: tasks or items alike, in a task by bytes if need be."""
        own = [self._weight(item.id) for item in items]
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        for item, weight in zip(items, own, strict=True):
            task = item.fields["task"]
            totals[task] = totals.get(task, 0.0) + weight
            counts[task] = counts.get(task, 0) + 1
        shares = {
            task: 1 / len(counts) if self.average == "tasks" else count / len(items)
            for task, count in counts.items()
        }
        names = [item.fields["task"] for item in items]
        return tuple(shares[t] * w / totals[t] for t, w in zip(names, own, strict=True))

    def _weight(self, item: str) -> float:
        document = self._documents.dealt[item]
        return self._measures[document.task].weight(document.content)

    def judge(self, items: Sequence[Item], metrics: Sequence[Mapping[str, float]]) -> Judgement:
        """Return the score of a set, and what lm-eval says of it, by task and by group."""
        weights = self.weights(items)
        main = [weight * found[self.metric] for weight, found in zip(weights, metrics, strict=True)]
        score = sum(main)
        by_task: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            by_task.setdefault(item.fields["task"], []).append(place)
        found: dict[str, float] = {}
        for task, places in by_task.items():
            prefix = f"{task}/" if len(self._tasks) > 1 else ""
            of_set = self._measures[task].of_set([metrics[place] for place in places])
            of_set[self.metric] = _part(places, main, weights)
            found |= {f"{prefix}{name}": value for name, value in of_set.items()}
        for group, names in self._groups.items():
            places = [place for task in names for place in by_task.get(task, [])]
            if places and len(names) < len(self._tasks):
                found[f"{group}/{self.metric}"] = _part(places, main, weights)
        fitness = score if self.higher_is_better else -score
        return Judgement(score, fitness, {**found, self.metric: score})


def _by_task(items: Sequence[Item]) -> tuple[Item, ...]:
    """Return the items so that samples hold as many of each task."""
    return tuple(replace(item, stratum=item.fields["task"]) for item in items)


def _part(places: Sequence[int], main: Sequence[float], weights: Sequence[float]) -> float:
    """Return the score of some places, out of each one's weighted score."""
    return sum(main[place] for place in places) / sum(weights[place] for place in places)


def _listed(tasks: str | Sequence[Spec] | None) -> list[Spec]:
    listed: list[Spec] = [tasks] if isinstance(tasks, str) else list(tasks or [])
    if not listed:
        raise ConfigError(
            "tasks must name at least one task of lm-eval, for example task.tasks=[gsm8k] or a "
            "YAML file of yours; set task.tasks"
        )
    return listed


def _check(num_fewshot: int | None, max_gen_toks: int | None, average: str) -> None:
    if num_fewshot is not None and num_fewshot < 0:
        raise ConfigError(
            f"num_fewshot must be at least 0 or null, got {num_fewshot}; set task.num_fewshot"
        )
    if max_gen_toks is not None and max_gen_toks < 1:
        raise ConfigError(
            f"max_gen_toks must be at least 1 or null, got {max_gen_toks}; set task.max_gen_toks"
        )
    if average not in AVERAGES:
        raise ConfigError(
            f"average must be one of {', '.join(AVERAGES)}, got {average}; set task.average"
        )


def _of(option: ByTask, task: str) -> str | None:
    """Return what an option says for a task."""
    return option if option is None or isinstance(option, str) else option.get(task)


def _digest(content: Any) -> str:
    """Return the identity of what lm-eval holds; functions count by their names."""
    return digest(
        json.dumps(content, default=lambda each: getattr(each, "__qualname__", str(each)))
    )
