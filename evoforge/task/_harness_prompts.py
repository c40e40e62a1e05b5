"""The prompts of lm-eval's documents: each made once, with the shots that lm-eval would draw.

lm-eval draws the shots of a document with a generator that has drawn those of all documents before
it. So documents are gone through in order, whichever of them are wanted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from evoforge.errors import ConfigError
from evoforge.task._harness_documents import Document, judged_split


@dataclass(frozen=True)
class Rendering:
    """How a prompt is put together.

    Args:
        system: what comes before everything.
        chat: whether it is a chat of the tokenizer's.
        multiturn: whether shots are turns of the chat.
        template: makes a text of messages, once there is a tokenizer.
    """

    system: str | None
    chat: bool
    multiturn: bool
    template: Callable[..., str] | None = None

    def by(self, tokenizer: Any) -> "Rendering":
        """Return the rendering with a tokenizer's chat template.

        Raises:
            ConfigError: it has none.
        """
        if not self.chat:
            return self
        if not getattr(tokenizer, "chat_template", None):
            raise ConfigError(
                "the tokenizer of the models has no chat template; set "
                "task.apply_chat_template=false"
            )
        return replace(self, template=partial(_chat, tokenizer))


def _chat(
    tokenizer: Any, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True
) -> str:
    """Return messages as one text, as lm-eval's HFLM does."""
    from jinja2 import TemplateError

    render = partial(
        tokenizer.apply_chat_template,
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
        continue_final_message=not add_generation_prompt,
    )
    try:
        return str(render(list(messages)))
    except TemplateError:  # some templates know no system message
        return str(render([message for message in messages if message["role"] != "system"]))


class _Apart:
    """Draws shots that are not the document itself, where lm-eval would not look."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler
        self.document: Any = None

    def sample(self, n: int, eval_doc: Any = None, **rest: Any) -> Any:
        return self._sampler.sample(n, eval_doc=eval_doc or self.document, **rest)


def build(
    task: Any,
    documents: Sequence[Document],
    wanted: set[int],
    rendering: Rendering,
    seed: int,
) -> dict[str, tuple[Any, ...]]:
    """Return lm-eval's instances of the wanted documents, by document.

    Args:
        task: lm-eval's task object.
        documents: all of one split, in order.
        wanted: the indices of those whose instances are wanted.
        rendering: how prompts are put together.
        seed: of the shots.

    Raises:
        ConfigError: lm-eval cannot make a prompt.
    """
    task.set_fewshot_seed(seed)
    own = documents[0].split == judged_split(task)
    sampler = getattr(task, "sampler", None)
    apart = _Apart(sampler)
    made: dict[str, tuple[Any, ...]] = {}
    if sampler is not None and not own:
        task.sampler = apart
    try:
        for document in documents:
            apart.document = document.content
            if document.index in wanted:
                made[document.id] = _instances(task, document, rendering)
            elif task.get_config("num_fewshot"):
                _draw(task, document, rendering)
    finally:
        if sampler is not None:
            task.sampler = sampler
    return made


def _draw(task: Any, document: Document, rendering: Rendering) -> None:
    """Draw the shots of a document that is not asked, so that the next one gets its own."""
    if not hasattr(task, "sampler"):
        _instances(task, document, rendering)
        return
    # As in ConfigurableTask.fewshot_context: only there is a document kept from its own shots.
    itself = task.fewshot_cfg.split == task.get_config("test_split")
    task.sampler.sample(
        n=task.get_config("num_fewshot"), eval_doc=document.content if itself else None
    )


def _instances(task: Any, document: Document, rendering: Rendering) -> tuple[Any, ...]:
    chat = {"apply_chat_template": rendering.chat, "chat_template": rendering.template}
    try:
        context = task.fewshot_context(
            document.content,
            num_fewshot=task.get_config("num_fewshot") or 0,
            system_instruction=rendering.system,
            fewshot_as_multiturn=rendering.multiturn,
            gen_prefix=task.doc_to_prefix(document.content),
            **chat,
        )
        found = task.construct_requests(
            doc=document.content,
            ctx=context,
            metadata=(document.task, document.index, task.get_config("repeats") or 1),
            **chat,
        )
    except (AssertionError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(
            f"lm-eval cannot make the prompt of {document.id} ({type(error).__name__}: {error}); "
            "set task.num_fewshot or task.tasks"
        ) from error
    return tuple(found) if isinstance(found, list) else (found,)
