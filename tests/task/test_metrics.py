import pytest

from evoforge.task.metrics import last_number, same_number

# What the published evaluator reads, quirks and all, and what a reader reads.
GOLDEN = [
    ("70,000ドル", 0.0, 70000.0),
    ("1,234.50", 234.5, 1234.5),
    ("1,234,567円", 567.0, 1234567.0),
    ("$1,000,000", 0.0, 1000000.0),
    ("-5", 5.0, -5.0),
    ("x = -5", 5.0, -5.0),
    ("-1,234", 234.0, -1234.0),
    ("3/4", 4.0, 4.0),
    ("答えは3です。(1)", 1.0, 1.0),
    ("八万", None, None),
    ("", None, None),
    ("分かりません。", None, None),
    ("１８", 18.0, 18.0),
    ("１，２３４", 234.0, 1234.0),
    ("１２．５", 5.0, 12.5),
    ("－５", 5.0, -5.0),
    ("3.", 3.0, 3.0),
    ("答えは18です。", 18.0, 18.0),
    ("答え: 3.14。", 3.14, 3.14),
    ("10-5", 5.0, 5.0),
    ("(3)-5", 5.0, 5.0),
    ("12-2=10、10-4=6", 6.0, 6.0),
    ("GPT-4", 4.0, 4.0),
    ("20%", 20.0, 20.0),
    ("12:30", 30.0, 30.0),
    ("3 x 4 = 12\n答えは12です。\n", 12.0, 12.0),
    ("007", 7.0, 7.0),
    ("0.50", 0.5, 0.5),
]


@pytest.mark.parametrize(("text", "sakana", "robust"), GOLDEN)
def test_sakana_reads_as_published(text, sakana, robust):
    assert last_number(text, "sakana") == sakana


@pytest.mark.parametrize(("text", "sakana", "robust"), GOLDEN)
def test_robust_reads_as_a_reader_does(text, sakana, robust):
    assert last_number(text, "robust") == robust


@pytest.mark.parametrize(
    ("text", "number"),
    [
        # By the rule of the Japanese harness: the last run of digits, commas and points.
        ("答えは18です。", 18),
        ("70,000ドル", 70000),
        ("-5", -5),
        ("10-5", -5),
        ("答えは18.", 18),
        ("答えは18,", 18),
        ("18.0個", 18),
        ("12.5", None),
        ("3/4", 4),
        ("答えは3です。(1)", 1),
        ("１８", None),
        ("八万", None),
        ("", None),
        # The harness stops with an error on these.
        ("18、...", None),
        ("1.2.3", None),
        ("18 , 個", None),
    ],
)
def test_integer_reads_as_the_japanese_harness(text, number):
    assert last_number(text, "integer") == number


def test_robust_is_the_default():
    assert last_number("1,234") == 1234


def test_the_last_of_many_numbers_counts():
    assert last_number("りんご3個とみかん4個で、答えは7個です。") == 7


@pytest.mark.parametrize(("first", "second"), [(3, 3.0), (0.1 + 0.2, 0.3), (-2, -2.0)])
def test_equal_numbers_are_the_same(first, second):
    assert same_number(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [(3, 4), (3, 3.01), (2, -2), (None, 3), (3, None), (None, None), (float("nan"), 3)],
)
def test_other_numbers_and_none_are_not_the_same(first, second):
    assert not same_number(first, second)


def test_a_number_beyond_all_bounds_is_wrong_and_no_error():
    assert not same_number(last_number("9" * 400), 9.0)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Das macht 70.000 Dollar.", 70000.0),
        ("Cela fait 70 000 dollars.", 70000.0),
        ("Cela fait 1\u202f234\u202f567,5 euros.", 1234567.5),
        ("Das macht 1.234,50 Euro", 1234.5),
        ("Das sind 3,5 Meter", 3.5),
        ("Cuesta 12.50 euros", 12.5),
        ("Antwort: -5", -5.0),
        ("12 - 5 = 7", 7.0),
        ("5-3", 3.0),
        ("Er hat 3 Hunde und 200 Katzen", 200.0),
        ("Im Jahr 2024 500 Leute", 500.0),
        ("Die Antwort ist 18.", 18.0),
        ("keine", None),
    ],
)
def test_continental_numbers_part_thousands_by_points_and_spaces(text, number):
    assert last_number(text, "continental") == number
