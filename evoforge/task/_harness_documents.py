"""The documents of lm-eval's tasks, dealt out to search, select and test.

Knows lm-eval's task objects and texts; it does not know prompts, metrics or models.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task.base import PARTS, Part, normalized

SPLITS = ("training", "validation", "test")
Share = int | float | None


@dataclass(frozen=True)
class Document:
    """One example of a task of lm-eval.

    Args:
        id: unique among all tasks.
        task: the task's name.
        split: of the task's data.
        index: its place there.
        content: what lm-eval calls the doc.
        text: what the model is asked, with what it may choose from.
        answer: what is right, as text.
    """

    id: str
    task: str
    split: str
    index: int
    content: Any
    text: str
    answer: str

    @property
    def row(self) -> dict[str, Any]:
        """The document as the data of an item."""
        where = {"task": self.task, "split": self.split, "document": self.index}
        return {"id": self.id, "question": self.text, "answers": [self.answer], **where}


def judged_split(task: Any) -> str:
    """Return the split that lm-eval itself judges on."""
    return "test" if task.has_test_docs() else "validation"


def read(task: Any, name: str, split: str) -> list[Document]:
    """Return the documents of a split, in order.

    Raises:
        ConfigError: the task has no such split.
    """
    if split == judged_split(task):
        contents, prefix = task.eval_docs, name
    elif split == "training" and task.has_training_docs():
        contents, prefix = task.training_docs(), f"{name}/training"
    elif split == "validation" and task.has_validation_docs():
        contents, prefix = task.validation_docs(), f"{name}/validation"
    else:
        raise ConfigError(f"{name} has no {split} split; set task.splits")
    return [
        Document(f"{prefix}/{index}", name, split, index, content, *_texts(task, content))
        for index, content in enumerate(contents)
    ]


def _texts(task: Any, content: Any) -> tuple[str, str]:
    """Return what is asked, with the choices, and what is right."""
    target, asked = task.doc_to_target(content), task.doc_to_text(content)
    choices: list[str] = []
    if task.get_config("doc_to_choice") is not None:
        choices = [str(choice) for choice in task.doc_to_choice(content)]
    if not isinstance(asked, str):  # the choice is what goes before the target
        target, asked = (asked, str(target))
    if type(target) is int and 0 <= target < len(choices):
        target = choices[target]
    answer = str(target[0] if isinstance(target, list) and target else target)
    text = "\n".join(filter(str.strip, [asked, *choices]))
    # Where a text is only to be said, as in perplexity, nothing is asked.
    return text or answer, answer


class Dealer:
    """Deals documents: by shares, at random, and equal texts to one part only.

    Args:
        shares: of each task's documents for each part: a number of them, a share in (0, 1), or None
            for what the other parts leave.
        seed: of the shuffling.

    Raises:
        ConfigError: a share makes no sense.
    """

    def __init__(self, shares: Mapping[Part, Share], seed: int) -> None:
        for part, share in shares.items():
            fits = share is None or (share >= 1 if isinstance(share, int) else 0 < share < 1)
            if not fits or isinstance(share, bool):
                raise ConfigError(
                    f"{part} must be a number of documents from 1 on, a share in (0, 1) or null, "
                    f"got {share!r}; set task.{part}"
                )
        self._shares = shares
        self._seed = seed
        self._owner: dict[str, Part] = {}

    def deal(self, documents: Sequence[Document], parts: Sequence[Part]) -> dict[str, Part]:
        """Return the part of each document that is dealt, by id.

        Args:
            documents: of one split of one task.
            parts: that share them.

        Raises:
            ConfigError: there are not enough.
        """
        room = self._counts(documents, [part for part in PARTS if part in parts])
        order = list(documents)
        # By name, so that another task beside it changes nothing.
        random.Random(f"{self._seed} {order[0].task} {order[0].split}").shuffle(order)
        dealt: dict[str, Part] = {}
        for document in order:
            text = normalized(document.text)
            part = self._owner.get(text) or next((p for p in room if room[p]), None)
            if part is not None and room.get(part):
                self._owner[text] = part
                dealt[document.id] = part
                room[part] -= 1
        return dealt

    def _counts(self, documents: Sequence[Document], parts: Sequence[Part]) -> dict[Part, int]:
        total = len(documents)
        counts = {part: _count(self._shares[part], total) for part in parts}
        open_parts = [part for part, count in counts.items() if count is None]
        if len(open_parts) > 1:
            raise ConfigError(
                f"only one part can have what is left, got {' and '.join(open_parts)}; "
                f"set task.{open_parts[0]}"
            )
        left = total - sum(count or 0 for count in counts.values())
        if left < len(open_parts):
            wanted = ", ".join(f"{part}={self._shares[part]}" for part in parts)
            where = f"{documents[0].task} has" if documents else "a task has"
            raise ConfigError(
                f"{where} {total} documents, which is not enough for {wanted}; set task.{parts[0]}"
            )
        return {part: left if count is None else count for part, count in counts.items()}


def _count(share: Share, total: int) -> int | None:
    if share is None or isinstance(share, int):
        return share
    return max(1, int(share * total))


class Documents:
    """The documents of all tasks, and which part each was dealt to.

    Args:
        tasks: lm-eval's task objects, by name.
        dealer: deals them.
        splits: the split that a part is taken from, if not the one that lm-eval judges on.

    Raises:
        ConfigError: a split is not there, or there are not enough documents.
    """

    def __init__(
        self, tasks: Mapping[str, Any], dealer: Dealer, splits: Mapping[str, str | None]
    ) -> None:
        for part, split in splits.items():
            if part not in PARTS or split not in (None, *SPLITS):
                raise ConfigError(
                    f"splits must give {', '.join(PARTS)} a split ({', '.join(SPLITS)}), got "
                    f"{part}: {split}; set task.splits"
                )
        self.all: dict[tuple[str, str], list[Document]] = {}
        self.dealt: dict[str, Document] = {}
        self._parts: dict[str, list[Document]] = {part: [] for part in PARTS}
        for name, task in tasks.items():
            own = judged_split(task)
            wanted = {part: splits.get(part) or own for part in PARTS}
            # What lm-eval judges on comes first: it keeps texts that other splits hold too.
            for split in sorted(set(wanted.values()), key=lambda each: (each != own, each)):
                self.all[name, split] = read(task, name, split)
                self._deal(dealer, self.all[name, split], [p for p in PARTS if wanted[p] == split])

    def _deal(self, dealer: Dealer, documents: Sequence[Document], parts: Sequence[Part]) -> None:
        dealt = dealer.deal(documents, parts)
        for document in documents:
            if document.id in dealt:
                self._parts[dealt[document.id]].append(document)
                self.dealt[document.id] = document
        if lacking := [part for part in parts if part not in dealt.values()]:
            raise ConfigError(
                f"the questions of {documents[0].task} are too much alike to leave any for "
                f"{lacking[0]}; set task.tasks"
            )

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of a part, in the order of the tasks."""
        return [document.row for document in self._parts[part]]
