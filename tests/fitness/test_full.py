from evoforge.fitness.full import Full


def test_every_generation_has_all_items_once(items, follow):
    for generation in (0, 7):
        found = follow(Full(items), generation, [3, 5])
        assert [now.items for now in found.rounds] == [{0: items, 1: items}]
        assert found.fitness.tolist() == [0.3, 0.5]
