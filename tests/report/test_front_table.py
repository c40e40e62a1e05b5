import io

from rich.console import Console

from evoforge.report.front_table import front_table

FRONT = {
    "stage": "search",
    "part": "select",
    "objectives": {"fitness": "max", "tokens": "min"},
    "members": [
        {
            "names": ["best", "best-fitness", "front-1"],
            "recipe": "a",
            "candidate": "search/3/4",
            "values": {"fitness": 0.905, "tokens": 21.53},
        },
        {
            "names": ["best-tokens", "knee", "front-2"],
            "recipe": "b",
            "candidate": None,
            "values": {"fitness": 0.75, "tokens": 0.5},
        },
    ],
}


def printed(front):
    console = Console(width=100, file=io.StringIO())
    for part in front_table(front, "outputs/run"):
        console.print(part)
    return console.file.getvalue()


def test_members_stand_with_their_names_values_and_where_they_come_from():
    first, second = [line for line in printed(FRONT).splitlines() if "front-" in line]
    assert first.split() == [
        "best,",
        "best-fitness,",
        "front-1",
        "90.5",
        "%",
        "21.53",
        "search/3/4",
    ]
    assert second.split()[-5:] == ["front-2", "75.0", "%", "0.5", "recommended"]


def test_how_to_make_one_is_said():
    assert "python -m evoforge.pick outputs/run NAME" in printed(FRONT)


def test_a_run_without_a_front_has_no_table():
    assert front_table(None, "outputs/run") == []


def test_what_is_no_share_is_no_percentage():
    members = [{**m, "values": {"fitness": -3.5, "tokens": 0.5}} for m in FRONT["members"]]
    assert "-3.5" in printed({**FRONT, "members": members})
