"""The model card of an exported winner: the README.md that the Hugging Face Hub reads.

Made from the record and the result alone. Everything that comes from a user or a model folder is
escaped, and no path of this machine is written.
"""

import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from evoforge.path import hops, short
from evoforge.recipe import Recipe, canonical
from evoforge.record import Record
from evoforge.report import examples, vision
from evoforge.report import protocol as words
from evoforge.report.by_task import by_task
from evoforge.report.grid import Grid, grid
from evoforge.report.licence import OTHER, strictest
from evoforge.report.lineage import merged, methods, origins
from evoforge.report.markdown import code, details, escape, table
from evoforge.report.result import PARTS
from evoforge.report.route import counts, scaling, shares
from evoforge.report.summary import (
    Result,
    Row,
    Scale,
    best_source,
    comparisons,
    higher,
    in_percent,
    metric,
    p_value,
    reading,
    rows,
    winner_and_best,
)
from evoforge.showcase import shown

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LIMITS = """\
- The scores say how the models answer the items of one protocol; they say nothing of other tasks,
  other prompts or other languages.
- The search score chose among many candidates and is therefore too good; the test score is not,
  because the test items were used once, after the search.
- Nothing was trained and nothing was checked for safety: the model can fail wherever one of its
  parents does, and in ways that none of them does.
- The licence of every parent binds; read them before you use the model."""
CITATION = """\
```bibtex
@article{akiba2025evolutionary,
  title   = {Evolutionary optimization of model merging recipes},
  author  = {Akiba, Takuya and Shing, Makoto and Tang, Yujin and Sun, Qi and Ha, David},
  journal = {Nature Machine Intelligence},
  volume  = {7},
  pages   = {195--204},
  year    = {2025},
  doi     = {10.1038/s42256-024-00975-8}
}
```"""


def card(record: Record, result: Result) -> str:
    """Return the README.md of the winner, with its YAML header.

    Raises:
        ValueError: the run has no winner.
    """
    if result["winner"] is None:
        raise ValueError("a run without a winner has no model card")
    recipe = record.recipe(result["winner"]["recipe"])
    method = " + ".join(methods(recipe.content))
    title = f"{' + '.join(s['name'] for s in parents(record, result))} ({method})"
    parts = [
        f"---\n{header(record, result)}\n---",
        f"# {escape(title)}",
        _made(result, method),
        "## Parents",
        _parents(record, result),
        *(["## Vision", vision.told(seeing)] if (seeing := vision.frame(recipe.content)) else []),
        "## Scores",
        _scores(result),
        *examples.section(shown(record), result),
        "## Recipe",
        _recipe(grid(record, recipe.hash), recipe),
        "## Search",
        _search(record, result),
        "## Limits",
        LIMITS,
        "## Citation",
        CITATION,
    ]
    return "\n\n".join(parts) + "\n"


def header(record: Record, result: Result) -> str:
    """Return the YAML that the Hub reads, without its fences."""
    content = record.recipe(result["winner"]["recipe"]).content
    found = parents(record, result)
    protocol = result["protocol"]
    test = result["winner"]["test"]
    pipeline = vision.PIPELINE if vision.frame(content) else "text-generation"
    score = EvalResult(
        task_type=pipeline,
        dataset_type=str(protocol["name"]),
        dataset_name=str(protocol["name"]),
        dataset_args={"protocol": protocol["hash"]},
        dataset_split="test",
        metric_type=metric(result),
        metric_value=None if test is None else round(test["score"], 4),
        metric_name=metric(result),
    )
    data = ModelCardData(
        base_model=[hub_id(source) for source in found],
        license=_licence(found),
        library_name="transformers",
        pipeline_tag=pipeline,
        tags=["merge", "evoforge", *methods(content)],
        eval_results=None if test is None else [score],
        model_name=" + ".join(source["name"] for source in found),
        base_model_relation="merge",
    )
    return str(data.to_yaml())


def parents(record: Record, result: Result) -> list[Mapping[str, Any]]:
    """Return the sources that the winner is made of, bases and frames too, no merge of sources."""
    content = record.recipe(result["winner"]["recipe"]).content
    used = set(origins(content)) | {found["source"] for found in [vision.frame(content)] if found}
    found = [source for source in result["sources"] if source["name"] in used]
    return found or [{"name": name} for name in sorted(used)]


def hub_id(source: Mapping[str, Any]) -> str:
    """Return where a source is found on the Hub, or its name if it is not from there."""
    path = str(source.get("path") or "")
    # Only what was fetched from the Hub has a revision; a folder can look like an id.
    return path if source.get("revision") and HUB_ID.fullmatch(path) else str(source["name"])


def _licence(found: list[Mapping[str, Any]]) -> str:
    return strictest(source.get("license") for source in found)


def _made(result: Result, method: str) -> str:
    versions = result["versions"]
    version = versions.get("evoforge", "unknown") if isinstance(versions, Mapping) else versions
    optimizers = list(dict.fromkeys(str(s["optimizer"]) for s in result["stages"].values()))
    return (
        f"This model was merged from existing models, without training, by evoforge "
        f"{escape(version)}: {escape(' and '.join(optimizers))} searched for the best "
        f"{escape(method)} merge (seed {escape(result['seed'])}). It is an ordinary checkpoint and "
        "loads with transformers like its parents."
    )


def _parents(record: Record, result: Result) -> str:
    found = parents(record, result)
    body = []
    for source in found:
        where = hub_id(source)
        link = f"[{escape(where)}](https://huggingface.co/{where})" if "/" in where else "local"
        revision = source.get("revision") or "-"
        role, licence = source.get("role") or "-", source.get("license") or "unknown"
        body.append([escape(source["name"]), link, escape(revision), escape(licence), escape(role)])
    head = ["name", "model", "revision", "licence", "role"]
    return table(head, body, "---") + "\n\n" + _bound(found)


def _bound(found: list[Mapping[str, Any]]) -> str:
    """Return the sentence that says which licence the model has, and why."""
    licences = {source.get("license") for source in found}
    given = _licence(found)
    if given == OTHER:
        return (
            "The parents' licences differ or are not all known, so the licence of this model is "
            "given as `other`: the conditions of each parent apply."
        )
    if len(licences) == 1:
        return f"All parents carry the licence {escape(given)}."
    return (
        f"The parents' licences differ; this model is given the strictest of them, "
        f"{escape(given)}, and the conditions of each parent apply."
    )


def _scores(result: Result) -> str:
    scale, protocol = Scale(in_percent(result)), result["protocol"]
    body = []
    for row in rows(result):
        mark = "**" if row.kind == "winner" else ""
        label = escape(row.label) + (" (best source)" if row.best else "")
        cells = [label, *(_round(scale.score(row.entry[part])) for part in PARTS)]
        body.append([*(f"{mark}{cell}{mark}" for cell in cells), _against(row, scale)])
    test = result["winner"]["test"]
    unit = "percent" if scale.percent else "as measured"
    lower = "" if higher(result) else "; lower is better"
    count = comparisons(result)
    held = f"the {test['items']} test items were held out" if test else "it saw no test items"
    several = f", their p-values corrected for {count} comparisons by Holm's method"
    lead = (
        f"{escape(metric(result))}, {unit}{lower}, with 95 % intervals, under the protocol "
        f"{escape(words.name(protocol))} (`{protocol['hash']}`). The "
        "search saw the search items only; the winner was chosen among the finalists on the "
        f"select items; {held}. Differences "
        f"are winner minus model on the test items, paired{several if count > 1 else ''}."
    )
    said = " ".join(
        escape(line) for line in (*filter(None, [words.early(protocol)]), *reading(result))
    )
    head = ["model", *PARTS, "winner minus it"]
    judged = details(
        "The protocol: prompt, generation and scoring", code(canonical(protocol), "json")
    )
    return "\n\n".join([lead, table(head, body), *_tasks(result), said, judged])


def _tasks(result: Result) -> list[str]:
    """Return the scores of a suite's tasks; nothing for a task alone."""
    models = winner_and_best(result)
    found, scale = by_task(result, models), Scale(percent=True)
    if not found:
        return []
    head = ["task", "metric", *map(escape, models)]
    body = [
        [escape(row.task), escape(row.metric)]
        + ["-" if score is None else scale.number(score) for score in row.scores.values()]
        for row in found
    ]
    said = f"By task, in percent: {escape('; '.join(words.parts(result['protocol'])))}."
    return [said, table(head, body)]


def _against(row: Row, scale: Scale) -> str:
    if row.paired is None:
        return ""
    return f"{_round(scale.difference(row.paired))} {escape(p_value(row.paired['p_holm']))}"


def _round(shown: str) -> str:
    """Return an interval in round brackets: square ones are links in Markdown."""
    return shown.replace("[", "(").replace(",", ", ").replace("]", ")")


def _recipe(found: Grid, recipe: Recipe) -> str:
    parts = [f"Recipe hash: `{recipe.hash}`.", *_path(recipe.content)]
    if found.groups:
        inner = merged(recipe.content)
        if inner is not None:
            parts.append(f"The numbers of {escape(inner)}, which is itself a merge:")
        head = ["group", *(escape(f"{source} {name}".strip()) for source, name in found.columns)]
        cells = zip(found.groups, found.numbers, strict=True)
        body = [[escape(g), *("-" if n is None else f"{n:g}" for n in row)] for g, row in cells]
        parts.append(table(head, body))
    parts.append(details("The recipe as canonical JSON", code(recipe.text, "json")))
    return "\n\n".join(parts)


def _path(content: Mapping[str, Any]) -> list[str]:
    """Return what there is to say of a path through layers; nothing without one."""
    path = hops(content)
    if not path:
        return []
    shared = ", ".join(f"{source} {share}" for source, share in shares(path).items())
    target = (content.get("options") or {}).get("scale_target", "stream")
    what = {"stream": "the input of its layer", "branch": "what the layer before it adds"}
    lead = (
        f"The model is a path through the layers of {escape(' and '.join(shares(path)))}: "
        f"{escape(counts(path))}; {escape(shared)}; {escape(scaling(path))}. Each hop is a layer "
        f"of the checkpoint. Its scale multiplies {what.get(target, escape(target))}, and is "
        "folded into the weights. Layers count from 0."
    )
    head = ["hop", "source", "layer", "scale"]
    body = [
        [str(number), escape(hop.source), str(hop.layer), f"{hop.scale:g}"]
        for number, hop in enumerate(path, start=1)
    ]
    return [lead, escape(short(path)), details("The path, hop by hop", table(head, body))]


def _search(record: Record, result: Result) -> str:
    counts, seconds = result["counts"], result["seconds"]
    lines = []
    for name, stage in result["stages"].items():
        budget = [f"{v} {k}" for k, v in stage["budget"].items() if v is not None]
        budget += ["in steady state"] if stage.get("schedule") == "steady_state" else []
        lines.append(
            f"- {escape(name)}: {escape(stage['merge'])} by {escape(stage['optimizer'])}, "
            f"{stage['genes']} genes, population {escape(stage['population'])}, budget "
            f"{escape(', '.join(budget) or 'open')}, {stage['generations']} generations done."
        )
        if begin := record.stages()[name].get("starts"):
            lines.append(f"  It started from {escape(', '.join(begin))}.")
    proxy = counts["items_proxy"]
    looked = f" and {proxy} items looked at by a proxy" if proxy else ""
    lines.append(
        f"- In all {counts['evaluations']} evaluations ({counts['failures']} failed) with "
        f"{counts['items'] - proxy} answers ({counts['items_search']} of them in the search)"
        f"{looked}, in {seconds['total'] / 60:.1f} minutes."
    )
    best = best_source(result)
    if best is not None:
        lines.append(f"- Fitness: the search items only. Best source: {escape(best)}.")
    return "\n".join(lines)
