from evoforge.tracker._charts import LINES, POINTS, long_lines, scored, telling


def line(index, score, **genes):
    named = {f"genome/{name}": value for name, value in genes.items()}
    return {"index": index, "generation": index // 4, "score": score, **named}


def test_the_genes_that_go_with_the_score_come_first():
    lines = [
        line(i, i / 10, noise=(i * 7) % 5 / 5, up=i / 10, down=1 - i / 9, same=0.5)
        for i in range(8)
    ]
    assert set(telling(lines)[:2]) == {"genome/up", "genome/down"}
    assert telling(lines)[2:] == ["genome/noise"]


def test_candidates_without_score_or_genes_are_no_points():
    assert scored([line(0, None, a=0.1), {"index": 1, "generation": 0, "score": 0.5}]) == []
    assert len(scored([line(0, 0.5, a=0.1)])) == 1


def test_of_two_points_or_equal_scores_nothing_is_told():
    assert telling([line(0, 0.1, a=0.1), line(1, 0.2, a=0.2)]) == []
    assert telling([line(i, 0.5, a=i / 5) for i in range(5)]) == []


def test_a_long_search_is_thinned_evenly():
    found = scored([line(i, 0.5, a=0.1) for i in range(2000)])
    assert len(found) == POINTS
    assert (found[0]["index"], found[-1]["index"]) == (0, 1999)


def test_the_long_table_has_a_line_a_gene_and_stays_short():
    assert long_lines([line(4, 0.5, a=0.1, b=0.2)]) == [
        [4, 1, "a", 0.1, 0.5],
        [4, 1, "b", 0.2, 0.5],
    ]
    genes = {f"g{i}": 0.5 for i in range(64)}
    many = long_lines([line(i, 0.5, **genes) for i in range(POINTS)])
    assert LINES / 2 < len(many) <= LINES
    assert long_lines([]) == []
