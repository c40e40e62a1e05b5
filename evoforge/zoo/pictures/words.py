"""The words of pictures: colours, shapes, places and sentences, in English and Japanese.

Japanese is written as in a picture book: kana where a word names what is seen.

Knows nothing of pixels, parts or models: every entry is data, side by side in both languages.
"""

from typing import Final

from evoforge.zoo.words import LANGUAGES

KINDS: Final = ("shape", "colour", "count", "position")

# The `ja` of a colour stands alone; before a shape it takes its `link`.
COLOURS: Final = (
    {"en": "red", "ja": "あか", "link": "い"},
    {"en": "blue", "ja": "あお", "link": "い"},
    {"en": "green", "ja": "みどり", "link": "の"},
    {"en": "yellow", "ja": "きいろ", "link": "い"},
    {"en": "orange", "ja": "オレンジ", "link": "の"},
    {"en": "pink", "ja": "ピンク", "link": "の"},
    {"en": "purple", "ja": "むらさき", "link": "の"},
    {"en": "black", "ja": "くろ", "link": "い"},
)
SHAPES: Final = (
    {"en": "circle", "ja": "まる"},
    {"en": "square", "ja": "しかく"},
    {"en": "triangle", "ja": "さんかく"},
    {"en": "star", "ja": "ほし"},
    {"en": "cross", "ja": "じゅうじ"},
    {"en": "heart", "ja": "ハート"},
    {"en": "crescent", "ja": "みかづき"},
    {"en": "ring", "ja": "リング"},
)
# The cells of the grid, row by row.
CELLS: Final = (
    {"en": "top left", "ja": "左上"},
    {"en": "top right", "ja": "右上"},
    {"en": "bottom left", "ja": "左下"},
    {"en": "bottom right", "ja": "右下"},
)
# A region and its cells.
REGIONS: Final = (
    ({"en": "the top row", "ja": "上の段"}, (0, 1)),
    ({"en": "the bottom row", "ja": "下の段"}, (2, 3)),
    ({"en": "the left side", "ja": "左側"}, (0, 2)),
    ({"en": "the right side", "ja": "右側"}, (1, 3)),
    ({"en": "the picture", "ja": "絵全体"}, (0, 1, 2, 3)),
)
# What a neighbour is called; a cell has one beside it and one in its column.
SIDES: Final = (
    {"en": "left", "ja": "左"},
    {"en": "right", "ja": "右"},
    {"en": "above", "ja": "上"},
    {"en": "below", "ja": "下"},
)
NUMBERS: Final = (
    {"en": "one", "ja": "一つ"},
    {"en": "two", "ja": "二つ"},
    {"en": "three", "ja": "三つ"},
    {"en": "four", "ja": "四つ"},
)
EMPTY: Final = {"en": "empty", "ja": "空"}

ASKS: Final = {
    "shape": {"en": "What is in {where}?", "ja": "{where}には何がありますか。"},
    "colour": {"en": "Which colours are in {where}?", "ja": "{where}はどんな色ですか。"},
    "count": {"en": "How many shapes are in {where}?", "ja": "{where}にはいくつありますか。"},
    "position": {"en": "What is around the {cell}?", "ja": "{cell}の隣は何ですか。"},
}
SOLUTIONS: Final = {
    "shape": {"en": " {list}.", "ja": "{list}です。"},
    "colour": {"en": " {list}.", "ja": "{list}です。"},
    "count": {"en": " {number}, {list}.", "ja": "{number}、{list}です。"},
    "position": {
        "en": " {beside} {neighbour}, {along} {other}.",
        "ja": "{beside}は{neighbour}、{along}は{other}です。",
    },
}
JOINS: Final = {"en": ", ", "ja": "と"}
AT: Final = {"en": "{cell} {what}", "ja": "{cell}の{what}"}
SCENES: Final = {
    "en": "Picture: {list}\n",
    "ja": "絵: {list}\n",
}
IMAGE: Final = "<image>"
PROMPTS: Final = {
    "en": "Question: {question}\nAnswer:",
    "ja": "質問: {question}\n答え:",
}
TRANSLATIONS: Final = {
    "en": "Translate: {text}\nJapanese:",
    "ja": "翻訳: {text}\n英語:",
}

__all__ = [
    "ASKS",
    "AT",
    "CELLS",
    "COLOURS",
    "EMPTY",
    "IMAGE",
    "JOINS",
    "KINDS",
    "LANGUAGES",
    "NUMBERS",
    "PROMPTS",
    "REGIONS",
    "SCENES",
    "SHAPES",
    "SIDES",
    "SOLUTIONS",
    "TRANSLATIONS",
]
