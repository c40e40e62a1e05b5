"""The one tokenizer of all bundled models: byte pairs over words, one token a digit.

Knows the text of the corpus only; models see its vocabulary size and its special tokens.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

SPECIALS: Final = {
    "unk_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
}
# A digit, a line break, or a word with the space before it; a space before a digit stays with
# the word, so that " + " is one token.
PIECES: Final = r"\d|\n|▁?[^▁\d\n]+(?:▁(?=\d))?|▁"


def train_tokenizer(
    texts: Iterable[str],
    *,
    vocab_size: int,
    pieces: str = PIECES,
    longest: int = 10,
    more_specials: Sequence[str] = (),
) -> PreTrainedTokenizerFast:
    """Train a tokenizer; decoding what it encoded gives the text back, spaces included.

    Args:
        texts: the corpus; it holds no "▁".
        vocab_size: number of tokens, special tokens included.
        pieces: a regular expression of what no token crosses.
        longest: characters in a token at most.
        more_specials: special tokens besides `SPECIALS`.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIALS["unk_token"]))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pieces), "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIALS.values(), *more_specials],
        initial_alphabet=list("0123456789"),
        max_token_length=longest,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    start = ("<s>", tokenizer.token_to_id("<s>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[start]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **SPECIALS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the two files that `AutoTokenizer.from_pretrained` needs."""
    tokenizer.save_pretrained(folder)
    # The library also writes where the tokenizer came from, and a class name that old versions
    # of it do not know.
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **SPECIALS,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 256,
    }
    text = json.dumps(settings, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
