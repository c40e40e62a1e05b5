"""What candidates see with: a vision-language model's frame, and whose settings count in it.

Everything that merges sees language parts alone. What is around them, vision tower, projector,
processor and class, comes from one source untouched; where its settings differ from a text
model's, the user chooses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError, PoolError
from evoforge.models.choice import Choice
from evoforge.models.fixed_view import as_llava, llava_processor
from evoforge.models.frame import Frame
from evoforge.models.processor import marker_of, processor_of, save_processor
from evoforge.models.settings import adopt
from evoforge.models.source import Source
from evoforge.models.special import dress, picture_ids
from evoforge.models.tokenizer import difference, tokenizer_of
from evoforge.models.weights import Renamed, Tensors
from evoforge.recipe import digest

OPTIONS = ("source", "from", "model_type")
MODEL_TYPES = ("llava",)
# Settings that follow from the vocabulary: its rows, and where texts begin and end.
OF_TOKENS = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True)
class Difference:
    """Something in which a vision-language model and a text model differ.

    Args:
        what: it is.
        vlm: what the vision-language model has.
        llm: what the text model has.
        chosen: what merged models have.
    """

    what: str
    vlm: str
    llm: str
    chosen: str


class Vision:
    """The frame of a pool's models.

    Args:
        source: the vision-language model that tower, projector and processor come from.
        llm: the text model whose settings may be taken instead; None where there is none.
        take: whose settings count where the two differ: `vlm`, `llm`, or a mapping of settings.
        model_type: the class that merged models are of: None for the source's own, or `llava` for
            a LLaVA-NeXT model that looks at each picture once, in a fixed size.

    Raises:
        ConfigError: an option makes no sense.
        PoolError: settings differ and nothing was chosen, or the source lacks a part of the
            model, or its processor.
    """

    def __init__(
        self,
        source: Source,
        llm: Source | None,
        *,
        take: str | Mapping[str, Any] | None = None,
        model_type: str | None = None,
    ) -> None:
        assert source.frame is not None
        self.source = source
        self.llm = llm
        self.model_type = model_type
        self.choice = Choice(source, llm, take)
        self.frame = source.frame
        if model_type is not None:
            self.frame = Frame(self._own_config(), source.weights, source.name)
            self.frame.check_known(left_out=["image_newline"])
        self.frame.check_whole(source.weights)
        _ = self.marker  # a missing processor is refused here, not after the search

    def _own_config(self) -> Any:
        """Return the source's settings, of the class that is wanted."""
        config = self.source.model_config()
        return config if self.model_type is None else as_llava(config, self.source.name)

    def model_config(self) -> Any:
        """Return the settings of the whole model, made anew, with those that were chosen."""
        config = self._own_config()
        if self.llm is not None:
            adopt(config.get_text_config(), self.llm.config, self.choice.of_llm)
        return config

    def stored(self, name: str) -> str:
        """Return the name in the checkpoint of a tensor of the language part.

        Args:
            name: as in a plain text model, with any number of the block.
        """
        return self.frame.stored(name)

    @cached_property
    def frozen(self) -> Tensors:
        """What is around the language part, by stored names: never merged, never changed."""
        return Renamed(self.source.weights, {name: name for name in self.frame.others})

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The content hash of each tensor around the language part, by stored name."""
        return self.frozen.hashes()

    @property
    def hash(self) -> str:
        """The content hash of what is around the language part."""
        return digest(self.hashes)

    def processor(self, tokenizer: Any) -> Any:
        """Return the processor of merged models.

        Args:
            tokenizer: the pool's, which goes into it.

        Raises:
            PoolError: the source has none, or the tokenizer lacks a token that it needs.
        """
        config = self._own_config()
        if self.model_type is not None:
            return llava_processor(self.source.folder, config, tokenizer)
        return processor_of(self.source.folder, config, tokenizer)

    @cached_property
    def own_tokenizer(self) -> Any:
        """The source's own tokenizer."""
        return tokenizer_of(self.source)

    @cached_property
    def own_processor(self) -> Any:
        """The source's own processor, with its own tokenizer."""
        return self.processor(self.own_tokenizer)

    @cached_property
    def marker(self) -> str:
        """What a text holds for one picture before the processor puts its tokens there."""
        return marker_of(self.own_processor)

    @property
    def facts(self) -> dict[str, Any]:
        """What was chosen, as JSON: a part of recipes and reports."""
        return {
            "source": self.source.name,
            "hash": self.hash,
            # How pictures are prepared, which decides scores as weights do.
            "processor": digest(self.own_processor.image_processor.to_dict()),
            "class": self.frame.kind,
            "model_type": self.model_type,
            "settings": self.choice.facts,
        }

    def save_processor(self, tokenizer: Any, folder: Path) -> None:
        """Write the processor of merged models, and the tokenizer in it.

        Args:
            tokenizer: the pool's.
            folder: of the model.
        """
        own = None if self.model_type is not None else self.source.folder
        save_processor(self.processor(tokenizer), folder, own)

    def dressed(self, tokenizer: Any) -> Any:
        """Return a pool's tokenizer as the processor needs it; see `dress`."""
        return dress(tokenizer, self.own_tokenizer, self.own_processor.chat_template)

    def ids(self, tokenizer: Any) -> dict[str, int]:
        """Return the settings that name tokens for pictures, with their ids in a vocabulary.

        Args:
            tokenizer: the pool's.

        Raises:
            PoolError: it lacks one of the tokens.
        """
        return picture_ids(self._own_config(), self.own_tokenizer, tokenizer, self.source.name)

    def check_words(self, first: Source) -> None:
        """Make sure that a model which leads a path has the words of the processor.

        Args:
            first: the source that embeddings come from.

        Raises:
            PoolError: its vocabulary is another one.
        """
        if found := difference(self.own_tokenizer, tokenizer_of(first)):
            raise PoolError(
                f"{first.name} cannot lead a path of models that see as {self.source.name} does: "
                f"in the vocabulary {found}; set models.tokenizer={self.source.name}, or let "
                f"{self.source.name} lead"
            )

    def differences(self, config: Any, tokenizer: Any) -> list[Difference]:
        """Return in what the source and the text model differ, for people to see before a run.

        Args:
            config: the settings of merged models.
            tokenizer: theirs.
        """
        if self.llm is None:
            return []
        mine, other, text = self.source.config, self.llm.config, config.get_text_config()
        rows: list[tuple[str, Any, Any, Any]] = [
            (key, mine.get(key), other.get(key), getattr(text, key, None)) for key in OF_TOKENS
        ]
        theirs = tokenizer_of(self.llm).get_vocab()
        names = {number: token for token, number in self.own_tokenizer.get_vocab().items()}
        own = self._own_config().to_dict()
        for key, number in self.ids(tokenizer).items():
            token = names[own[key]]
            rows.append((f"{key} {token}", own[key], theirs.get(token), number))
        of_llm = self.choice.of_llm
        for key, (first, second) in self.choice.differing.items():
            rows.append((key, first, second, second if key in of_llm else first))
        rows.append(("class", *self._classes(), _short(self.frame.kind)))
        told = [Difference(row[0], *map(_told, row[1:])) for row in rows]
        return [row for row in told if len({row.vlm, row.llm, row.chosen}) > 1]

    def _classes(self) -> tuple[str, str]:
        assert self.source.frame is not None
        assert self.llm is not None
        names = self.llm.model_config().architectures or [self.llm.config["model_type"]]
        return _short(self.source.frame.kind), _short(names[0])


def _told(value: Any) -> str:
    return "none" if value is None else str(value)


def _short(kind: str) -> str:
    """Return a class without what it is for: LlavaNext for LlavaNextForConditionalGeneration."""
    return kind.partition("For")[0]


def open_vision(
    members: Sequence[Source], base: Source | None, options: Mapping[str, Any] | None = None
) -> Vision | None:
    """Return the frame that a pool's models have; None where no source sees pictures.

    Args:
        members: all sources.
        base: the base, if there is one.
        options: `source`, `from` and `model_type`, as in `models.vision`.

    Raises:
        ConfigError: an option is unknown or makes no sense.
        PoolError: settings differ and nothing was chosen, or a processor is missing.
    """
    given = dict(options or {})
    if unknown := sorted(set(given) - set(OPTIONS)):
        raise ConfigError(
            f"vision has the options {', '.join(OPTIONS)}, got {unknown[0]}; set models.vision"
        )
    if given.get("model_type") not in (None, *MODEL_TYPES):
        raise ConfigError(
            f"model_type must be null or {' or '.join(MODEL_TYPES)}, got {given['model_type']}; "
            "set models.vision.model_type"
        )
    seeing = [member for member in members if member.frame is not None]
    if not seeing:
        if used := [key for key in OPTIONS if given.get(key) is not None]:
            raise ConfigError(
                f"{used[0]} must be null where no source sees pictures, got {given[used[0]]}; set "
                f"models.vision.{used[0]}=null, or add a vision-language model to models.sources"
            )
        return None
    source = _chosen(seeing, given.get("source"))
    texts = [member for member in (base, *members) if member is not None and not member.sees]
    return Vision(
        source,
        texts[0] if texts else None,
        take=given.get("from"),
        model_type=given.get("model_type"),
    )


def _chosen(seeing: Sequence[Source], name: str | None) -> Source:
    """Return the source that candidates see with."""
    known = ", ".join(source.name for source in seeing)
    if name is None and len(seeing) == 1:
        return seeing[0]
    if name is None:
        raise ConfigError(
            f"several sources see pictures ({known}), so one must be named; set "
            "models.vision.source to the one whose vision tower, projector and processor merged "
            "models have"
        )
    for source in seeing:
        if source.name == name:
            return source
    raise ConfigError(
        f"source must name one that sees pictures ({known}), got {name}; set models.vision.source"
    )
