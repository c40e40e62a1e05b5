"""The winner as a recipe, and what a run was made of: enough to do it again."""

import json
import shlex

from evoforge.path import hops, short
from evoforge.record import WINNER
from evoforge.report.grid import grid
from evoforge.report.html.markup import Html, code, details, element, join, paragraph, table
from evoforge.report.html.run import Run
from evoforge.report.lineage import merged, methods
from evoforge.report.result import fact
from evoforge.report.route import counts, scaling, shares


def recipe(run: Run) -> Html:
    """Return the winner's numbers and its path; nothing before there is one."""
    won = run.result["winner"]
    if won is None:
        return Html("")
    found = run.record.recipe(won["recipe"])
    how = " + ".join(methods(found.content))
    parts = [paragraph(f"{how}; recipe {found.hash}. The same recipe gives the same model.")]
    path = hops(found.content)
    if path:
        shared = ", ".join(f"{source} {share}" for source, share in shares(path).items())
        said = f"A path through layers: {counts(path)}; {shared}; {scaling(path)}."
        rows = [[n, hop.source, hop.layer, f"{hop.scale:g}"] for n, hop in enumerate(path, 1)]
        steps = table(["hop", "source", "layer", "scale"], rows, numbers={0, 2, 3})
        parts += [
            paragraph(said),
            element("p", short(path)),
            details("The path, hop by hop", steps),
        ]
    numbers = grid(run.record, found.hash)
    if numbers.groups:
        inner = merged(found.content)
        if inner is not None:
            parts.append(paragraph(f"The numbers of {inner}, which is itself a merge:"))
        head = ["group", *(f"{source} {name}".strip() for source, name in numbers.columns)]
        body = [
            [group, *(None if n is None else f"{n:g}" for n in row)]
            for group, row in zip(numbers.groups, numbers.numbers, strict=True)
        ]
        parts.append(table(head, body, numbers=range(1, len(head))))
    text = json.dumps(json.loads(found.text), indent=2, ensure_ascii=False)
    return join([*parts, details("The recipe as JSON", code(text))])


def again(run: Run) -> Html:
    """Return the command, the sources, the versions and the configuration of a run."""
    record = run.record
    overrides = fact(record, "overrides")
    words = [str(word) for word in overrides] if isinstance(overrides, list) else []
    command = shlex.join(["python", "run.py", *words])
    fields = ("name", "path", "revision", "role", "license", "hash")
    sources = [[source.get(field) for field in fields] for source in run.result["sources"]]
    versions = run.result["versions"]
    versions = versions if isinstance(versions, dict) else {"evoforge": versions}
    config = fact(record, "config")
    said = json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True)
    stages = [
        [name, s["merge"], s["optimizer"], s["population"], s["genes"], s["generations"]]
        for name, s in run.result["stages"].items()
    ]
    roles = [
        [name.replace(":", " "), part, number]
        for (name, part), number in record.roles().items()
        if name != WINNER
    ]
    head = ["search", "merge", "optimizer", "population", "genes", "generations"]
    parts = [
        code(command),
        table(head, stages, numbers={3, 4, 5}) if stages else "",
        table(fields, sources) if sources else "",
        paragraph(", ".join(f"{name} {version}" for name, version in versions.items())),
        details("The whole configuration", code(said)),
        details(
            "The protocol", code(json.dumps(run.result["protocol"], indent=2, ensure_ascii=False))
        ),
        details("Evaluations by name", table(["name", "items", "evaluation"], roles, numbers={2})),
    ]
    return join(parts)
