from evoforge.fitness.full import Full


def test_every_generation_has_all_items(items):
    policy = Full(items)
    assert policy.items(0) == policy.items(7) == items
