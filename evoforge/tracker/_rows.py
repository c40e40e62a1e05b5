"""Turns records into the flat rows, table lines and summary entries that W&B keeps.

Nothing here knows W&B: rows are plain mappings and lists of JSON values.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evoforge.origin import Descent
from evoforge.path import hops, short, statistics
from evoforge.recipe import Recipe
from evoforge.showcase import Shown
from evoforge.tracker._lineage import parents
from evoforge.tracker.base import Named, Scored

LONGEST_REASON = 300
GENE_FACTS = ("names", "low", "high", "kinds")
RESULT_COLUMNS = ("name", "part", "score", "low", "high", "se")


def genes(news: Scored, names: Sequence[str]) -> dict[str, float]:
    """Return a candidate's genes by name, with slashes: W&B takes a dot for nesting."""
    values = news.candidate.genome.tolist()
    if len(names) != len(values):
        names = [f"gene_{i}" for i in range(len(values))]
    return {name.replace(".", "/"): value for name, value in zip(names, values, strict=True)}


def candidate_row(news: Scored) -> dict[str, Any]:
    """Return what became of a candidate; a failure has its reason instead of a fitness of -inf.

    What a proxy said has names of its own, so that it is never taken for a score.
    """
    candidate, evaluation = news.candidate, news.evaluation
    row: dict[str, Any] = {
        "index": news.index,
        "stage": candidate.stage,
        "generation": candidate.generation,
        "position": candidate.position,
        "recipe": candidate.recipe,
        "status": evaluation.status,
        "failed": int(evaluation.status == "failed"),
        "cached": int(candidate.cached),
        "items": news.items,
        "proxy": int(evaluation.proxy),
    }
    if evaluation.status == "ok" and evaluation.proxy:
        row["proxy_score"] = evaluation.score
        row |= {f"proxy_metric/{name}": value for name, value in evaluation.metrics.items()}
    elif evaluation.status == "ok":
        row |= {"score": evaluation.score, "fitness": evaluation.fitness}
        row |= {f"metric/{name}": value for name, value in evaluation.metrics.items()}
    else:
        row["reason"] = evaluation.reason[:LONGEST_REASON]
    if not candidate.cached:
        row |= {f"seconds/{phase}": value for phase, value in evaluation.seconds.items()}
    return row


def genome_row(named: Mapping[str, float], recipe: Recipe) -> dict[str, Any]:
    """Return the genes and the values that they mean, under names of their own."""
    row: dict[str, Any] = {f"genome/{name}": gene for name, gene in named.items()}
    return row | {f"value/{name}": value for name, value in _values(recipe.content, named)}


def _values(content: Mapping[str, Any], named: Mapping[str, float]) -> Iterator[tuple[str, Any]]:
    """Yield a recipe's values, and of a merge among its sources those that have genes."""
    yield from _flat(content.get("values", {}))
    for source in content.get("sources", ()):
        # A merge that is the same in all candidates says nothing of any.
        inner = _values(source.get("recipe", {}), named)
        yield from ((name, value) for name, value in inner if name in named)


def path_row(recipe: Recipe) -> dict[str, float]:
    """Return what is worth a number about a candidate's path; nothing if it has none."""
    path = hops(recipe.content)
    if not path:
        return {}
    # Zeros, so that a source that one candidate does without has no gap in its chart.
    none = {f"share/{source['name']}": 0.0 for source in recipe.content.get("sources", ())}
    found = none | statistics(path)
    return {f"path/{name.replace('.', '/')}": value for name, value in found.items()}


def table_line(
    news: Scored, named: Mapping[str, float], recipe: Recipe, descent: Descent | None = None
) -> dict[str, Any]:
    """Return a candidate's cells by column.

    Args:
        news: the candidate.
        named: its genes by name; empty if they are too many for a table.
        recipe: its recipe.
        descent: where it comes from, if its optimizer says.
    """
    candidate, evaluation = news.candidate, news.evaluation
    ok = evaluation.status == "ok" and not evaluation.proxy
    line = {
        "index": news.index,
        "generation": candidate.generation,
        "position": candidate.position,
        "status": evaluation.status,
        "cached": candidate.cached,
        "items": news.items,
        "proxy": evaluation.proxy,
        "proxy_score": evaluation.score if evaluation.proxy else None,
        "score": evaluation.score if ok else None,
        "fitness": evaluation.fitness if ok else None,
        "recipe": candidate.recipe,
        "reason": evaluation.reason[:LONGEST_REASON],
        "operator": descent.operator if descent else None,
        "parents": parents(descent),
    }
    if path := hops(recipe.content):
        line["path"] = short(path)
    return {**line, **{f"genome/{name}": gene for name, gene in named.items()}}


def stage_facts(facts: Mapping[str, Any], max_genes: int) -> dict[str, Any]:
    """Return a search's facts for the configuration: of too many genes their number only."""
    names = facts.get("names") or ()
    if len(names) <= max_genes:
        return dict(facts)
    kept = {key: value for key, value in facts.items() if key not in GENE_FACTS}
    return kept | {"genes": len(names)}


def named_summary(news: Named) -> dict[str, Any]:
    """Return the summary entry of a baseline, a finalist or the winner."""
    evaluation = news.evaluation
    shown = evaluation.score if evaluation.status == "ok" else evaluation.status
    return {f"{_key(news.name)}/{news.part}": shown}


def result_lines(result: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Yield name, part, score, low, high and standard error of the winner and every baseline."""
    everyone = {"winner": result.get("winner") or {}}
    for name, parts in (result.get("baselines") or {}).items():
        everyone[f"baseline:{name.removeprefix('baseline:')}"] = parts
    for name, parts in everyone.items():
        for part, found in parts.items():
            if isinstance(found, Mapping) and "score" in found:
                yield [name, part, *(found.get(key) for key in RESULT_COLUMNS[2:])]


def role_lines(scores: Mapping[tuple[str, str], float | None]) -> Iterator[list[Any]]:
    """Yield the same for a run without a result: scores by name and part."""
    for (name, part), score in scores.items():
        yield [name, part, score, None, None, None]


def result_summary(line: Sequence[Any]) -> dict[str, Any]:
    """Return the summary entries of one of these lines."""
    name, part, score, low, high, se = line
    key = f"{_key(name)}/{part}"
    ends = {key: score, f"{key}_low": low, f"{key}_high": high, f"{key}_se": se}
    return {name: value for name, value in ends.items() if value is not None}


def example_lines(shown: Sequence[Shown]) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and the lines of the table of examples; a picture is a PNG's bytes.

    There are columns for each model: its answer, its score and, where a language is wanted, whether
    the answer is in it.
    """
    if not shown:
        return [], []
    models = [answer.model for answer in shown[0].answers]
    seen = any(each.example.picture is not None for each in shown)
    spoken = any(answer.speaks is not None for each in shown for answer in each.answers)
    columns = ["item", "question", *(["picture"] if seen else []), "reference"]
    for model in models:
        columns += [model, f"{model} score", *([f"{model} language"] if spoken else [])]
    lines = []
    for each in shown:
        example = each.example
        line: list[Any] = [example.item, example.question, *([example.picture] if seen else [])]
        line.append(" / ".join(example.answers))
        for answer in each.answers:
            line += [answer.text, answer.score, *([answer.speaks] if spoken else [])]
        lines.append(line)
    return columns, lines


def winner_summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else there is to say of the winner: how the search flattered it, its path."""
    won = result.get("winner") or {}
    curse, path = won.get("curse"), won.get("path")
    found: dict[str, Any] = {}
    if curse:
        names = ("candidates", "items", "optimism", "if_equal")
        found |= {f"winner/{name}": curse[name] for name in names if curse[name] is not None}
    if path:
        found["winner/path"] = short(hops({"path": path["hops"]}))
        found |= {f"winner/path/{name}": value for name, value in path["statistics"].items()}
    return found


def headline(result: Mapping[str, Any]) -> dict[str, float]:
    """Return what tables of runs and W&B's sweeps look at first.

    `test/score` and `select/score` are the winner's, `test/minus_best_source` is that less the best
    source's. Sweeps are to look at the select items: the test items are there to judge once.
    """
    won = result.get("winner") or {}
    names = {source["name"] for source in result.get("sources") or ()}
    scores = {part: won[part]["score"] for part in ("select", "test") if won.get(part)}
    found: dict[str, float] = {f"{part}/score": score for part, score in scores.items()}
    entries = (result.get("baselines") or {}).items()
    sources = [e["test"]["score"] for name, e in entries if name in names and e.get("test")]
    if sources and "test" in scores:
        stages = (result.get("stages") or {}).values()
        lower = any(stage.get("direction") == "min" for stage in stages)
        found["test/minus_best_source"] = scores["test"] - (min if lower else max)(sources)
    return found


def protocol_summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the scores were judged by: its hash, its name, and whose prompt it is."""
    protocol = result.get("protocol") or {}
    keys = ("task", "protocol", "prompt_is", "hash", "search_hash")
    return {f"protocol/{key}": protocol[key] for key in keys if protocol.get(key)}


def _key(name: str) -> str:
    return name.replace(":", "/")


def _flat(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings under joined names; a list is one leaf of text."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _flat(value, f"{prefix}/{key}" if prefix else str(key))
    else:
        leaf = json.dumps(content) if isinstance(content, list | tuple) else content
        yield prefix.replace(".", "/"), leaf
