from pathlib import Path

import pytest

from evoforge.report.compare import compare, compared
from evoforge.report.html.comparison_items import items, solved
from evoforge.report.html.comparison_settings import placed
from tests.report.conftest import Run
from tests.report.html.parsed import Parsed

EVIL = "</script><img src=x onerror=alert(1)>"
CHROMIUM = Path("/usr/bin/chromium")


def parsed(path):
    return Parsed(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three optimizers, one of a vicious name, by two seeds; one run is not finished."""
    folder = tmp_path_factory.mktemp("compared")
    for number, name in enumerate(("cma_es", "genetic", EVIL)):
        for seed in range(2):
            option = {"_target_": f"evoforge.optimizer.{name}.X", "population": 4 + number}
            config = {"seed": seed, "optimizer": option}
            own = folder / "sweep" / f"{'evil' if name == EVIL else name} <b>{seed}"
            run = Run(own, seed=9 * number + seed, config=config)
            run.baselines()
            best = run.search(generations=2)
            if (number, seed) != (1, 1):
                run.win(best, 0.3 + 0.1 * number)
                run.journal.finish()
            run.journal.close()
    (folder / "sweep" / "cma_es <b>0" / "report.html").write_text("a page")
    compare([folder / "sweep"], folder / "out")
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return parsed(folder / "out" / "comparison.html")


def test_the_page_is_whole_and_every_chart_has_its_data(page):
    assert set(page.charts) == {"ranks", "curves", "scores", "settings", "items"}
    page.check()


def test_curves_can_be_seen_against_all_that_was_spent(page):
    rows = page.data["curves"]
    assert {row["axis"] for row in rows} == {"evaluations", "items", "seconds"}
    assert len({row["group"] for row in rows}) == 3
    assert all(row["low"] <= row["mean"] <= row["high"] for row in rows)
    (choice,) = page.charts["curves"]["params"]
    assert choice["bind"]["options"] == ["evaluations", "items", "seconds"]


def test_every_winner_has_a_dot_and_every_test_item_a_column(page):
    scores = page.data["scores"]
    assert [row["label"] for row in scores if row["group"] == "genetic"] == ["genetic, seed 0"]
    assert len(scores) == 5
    assert all(row["low"] <= row["score"] <= row["high"] for row in scores)
    items = page.data["items"]
    assert len(items) == 3 * 40
    shares = [sum(r["share"] for r in items if r["at"] == at) for at in range(40)]
    assert shares == sorted(shares, reverse=True)


def test_an_item_is_solved_by_the_lowest_score_where_lower_is_better(folder):
    found = compared([folder / "sweep"])
    before = solved(found)
    for run in found.runs:
        for stage in run.result["stages"].values():
            stage["direction"] = "min"
    for group, shares in solved(found).items():
        assert shares.tolist() == pytest.approx((1 - before[group]).tolist())
    assert "solved by all winners" in items(found)


def test_nothing_of_a_name_becomes_a_program(page):
    assert "img" not in page.tags
    assert EVIL in page.text
    assert any(row["group"] == EVIL for row in page.data["curves"])


def test_a_run_with_a_page_is_linked_from_where_the_comparison_lies(page):
    links = [found["href"] for tag, found in page.attributes if tag == "a"]
    (link,) = [link for link in links if not link.startswith("#")]
    assert link == "../sweep/cma_es%20%3Cb%3E0/report.html"


def test_who_is_not_finished_is_told(page):
    text = page.text
    assert "it stopped, or goes on: 23 evaluations so far" in text


def test_one_run_and_runs_that_cannot_be_read_have_a_page(complete, tmp_path):
    out = tmp_path / "out"
    compare([complete.record.folder], out)
    alone = parsed(out / "comparison.html")
    assert set(alone.charts) == {"curves", "scores"}
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "journal.sqlite").write_bytes(b"no database at all" * 100)
    compare([tmp_path / "bad"], out)
    broken = parsed(out / "comparison.html")
    assert broken.charts == {}
    assert "damaged" in broken.text


def test_where_values_lie_on_an_axis():
    assert placed([True, False]) == ([1.0, 0.0], [(0.0, "False"), (1.0, "True")])
    assert placed([3, None, 1])[0] == [0.5, 1.0, 0.0]
    assert placed(["only", "only"]) == ([0.0, 0.0], [(0.0, "only")])


@pytest.mark.skipif(not CHROMIUM.is_file(), reason="needs /usr/bin/chromium")
def test_a_browser_draws_every_chart(page, folder):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        shown, said = browser.new_page(viewport={"width": 390, "height": 800}), []
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.goto((folder / "out" / "comparison.html").as_uri())
        shown.wait_for_selector("html[data-drawn]", state="attached")
        assert shown.locator("[data-failed]").count() == 0
        assert shown.locator(".chart .marks").count() == len(page.charts)
        ticks = "#chart-curves svg .role-axis-label text"
        before = shown.locator(ticks).all_text_contents()
        shown.locator("#chart-curves input[value=items]").check()
        assert shown.locator(ticks).all_text_contents() != before
        browser.close()
    assert [text for text in said if "WARN" not in text] == []
