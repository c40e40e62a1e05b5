"""The words of the miniature world: names, things and sentences, in English and Japanese.

Knows nothing of numbers, parts or models: every entry is data, side by side in both languages.
"""

from typing import Final

LANGUAGES: Final = ("en", "ja")
OPERATIONS: Final = ("addition", "subtraction", "multiplication")
SYMBOLS: Final = {"addition": "+", "subtraction": "-", "multiplication": "×"}

# Everything here is counted with the Japanese counter 個.
NAMES: Final = (
    {"en": "Taro", "ja": "太郎"},
    {"en": "Hanako", "ja": "花子"},
    {"en": "Ken", "ja": "健"},
    {"en": "Yumi", "ja": "由美"},
    {"en": "Sakura", "ja": "さくら"},
    {"en": "Ichiro", "ja": "一郎"},
    {"en": "Emi", "ja": "恵美"},
    {"en": "Naoko", "ja": "直子"},
    {"en": "Hiroshi", "ja": "博"},
    {"en": "Aki", "ja": "秋"},
    {"en": "Mari", "ja": "真理"},
    {"en": "Jiro", "ja": "次郎"},
)
THINGS: Final = (
    {"en": "apples", "ja": "りんご"},
    {"en": "oranges", "ja": "みかん"},
    {"en": "eggs", "ja": "卵"},
    {"en": "balls", "ja": "ボール"},
    {"en": "marbles", "ja": "ビー玉"},
    {"en": "candies", "ja": "あめ"},
    {"en": "peaches", "ja": "桃"},
    {"en": "lemons", "ja": "レモン"},
    {"en": "stones", "ja": "石"},
    {"en": "tomatoes", "ja": "トマト"},
    {"en": "rice balls", "ja": "おにぎり"},
    {"en": "shells", "ja": "貝がら"},
)

# A story and its question, {a} always told before {b}.
STORIES: Final = {
    "addition": (
        {
            "en": "{name} has {a} {thing} and gets {b} more.",
            "ja": "{name}さんは{thing}を{a}個持っています。あとで{b}個もらいました。",
        },
        {
            "en": "{name} bought {a} {thing} yesterday and {b} today.",
            "ja": "{name}さんは{thing}を昨日{a}個、今日{b}個買いました。",
        },
        {
            "en": "There are {a} {thing} in a box. {name} puts in {b} more.",
            "ja": "箱に{thing}が{a}個あります。{name}さんが{b}個入れました。",
        },
    ),
    "subtraction": (
        {
            "en": "{name} has {a} {thing} and gives away {b}.",
            "ja": "{name}さんは{thing}を{a}個持っています。友だちに{b}個あげました。",
        },
        {
            "en": "{name} had {a} {thing} and lost {b} of them.",
            "ja": "{name}さんは{thing}を{a}個持っていましたが、{b}個なくしました。",
        },
        {
            "en": "There were {a} {thing} in a box. {name} took out {b}.",
            "ja": "箱に{thing}が{a}個ありました。{name}さんが{b}個取り出しました。",
        },
    ),
    "multiplication": (
        {
            "en": "{name} has {a} bags with {b} {thing} in each.",
            "ja": "{name}さんは袋を{a}つ持っています。どの袋にも{thing}が{b}個入っています。",
        },
        {
            "en": "For {a} days {name} bought {b} {thing} a day.",
            "ja": "{name}さんは{a}日間、毎日{thing}を{b}個買いました。",
        },
        {
            "en": "There are {a} boxes. {name} puts {b} {thing} into each.",
            "ja": "箱が{a}つあります。{name}さんはどの箱にも{thing}を{b}個ずつ入れました。",
        },
    ),
}
ASKS: Final = {
    "addition": {"en": "How many are there in all?", "ja": "全部で何個ですか。"},
    "subtraction": {"en": "How many are left?", "ja": "残りは何個ですか。"},
    "multiplication": {"en": "How many are there in all?", "ja": "全部で何個ですか。"},
}
SOLUTIONS: Final = {
    "en": " We compute {equation}. The answer is {result}.",
    "ja": "計算すると {equation} です。答えは {result} です。",
}
PROMPTS: Final = {
    "en": "Question: {question}\nAnswer:",
    "ja": "質問: {question}\n答え:",
}
READINGS: Final = {
    "first": {
        "en": ("Which number comes first?", " The first number is {a}."),
        "ja": ("最初の数は何ですか。", "最初の数は {a} です。"),
    },
    "second": {
        "en": ("Which number comes last?", " The last number is {b}."),
        "ja": ("最後の数は何ですか。", "最後の数は {b} です。"),
    },
    "name": {
        "en": ("Who is this story about?", " It is about {name}."),
        "ja": ("誰の話ですか。", "{name}さんの話です。"),
    },
    "thing": {
        "en": ("What is counted?", " We count {thing}."),
        "ja": ("何を数えますか。", "{thing}を数えます。"),
    },
}
TRANSLATIONS: Final = {
    "en": "Translate: {text}\nJapanese:",
    "ja": "翻訳: {text}\n英語:",
}
