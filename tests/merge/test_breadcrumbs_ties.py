from evoforge.merge.breadcrumbs_ties import BreadcrumbsTies


def test_golden_vector(pool, golden):
    golden.check(
        golden.merge(BreadcrumbsTies(pool), density=0.5, gamma=0.125),
        "0.8 -1.3 1.8 0.25 1.5 0.58125 -0.45 -1.75",
    )
