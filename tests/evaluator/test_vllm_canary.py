import pytest
import torch

from evoforge.evaluator._live import LiveModel
from evoforge.evaluator._vllm_canary import Canary, fault
from evoforge.merge._path import Whole


def test_the_canary_asks_prompts_that_begin_alike(pool):
    canary = Canary(vocabulary=60, window=None)
    assert [len(prompt) for prompt in canary.prompts] == [129, 131, 133, 135, 137, 139, 141, 143]
    assert len({prompt[:129] for prompt in canary.prompts}) == 1
    live = LiveModel(pool, device="cpu", attention="sdpa")
    live.write(Whole(pool, "a"))
    expected = canary.expected(live.model)
    with torch.no_grad():
        logits = live.model(torch.tensor([canary.prompts[3]])).logits[0, -1]
    torch.testing.assert_close(expected[3], logits.log_softmax(-1))


def test_the_canary_fits_into_a_small_window():
    prompts = Canary(vocabulary=60, window=20).prompts
    assert max(map(len, prompts)) == 20
    assert min(map(len, prompts)) >= 1


def answers(expected, noise=0.0):
    """Return the five likeliest tokens of each prompt, a bit off."""
    top = expected.topk(5)
    return [
        {token: value + noise * (-1) ** token for value, token in zip(*row, strict=True)}
        for row in zip(top.values.tolist(), top.indices.tolist(), strict=True)
    ]


@pytest.fixture
def two_models():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(8, 50, generator=generator).mul(3).log_softmax(-1) for _ in range(2)]


def test_small_differences_are_no_fault(two_models):
    now, before = two_models
    assert fault(answers(now, 1e-4), now, before, "float32") is None
    assert fault(answers(now, 0.1), now, before, "bfloat16") is None


def test_another_model_is_a_fault(two_models):
    now, before = two_models
    for dtype in ("float32", "float16", "bfloat16"):
        assert "from those of transformers, at most" in fault(answers(before), now, None, dtype)


def test_the_candidate_before_is_told_from_one_that_is_almost_the_same(two_models):
    before = two_models[0]
    now = (before + 0.05 * two_models[1]).log_softmax(-1)
    assert fault(answers(before), now, None, "bfloat16") is None
    assert "candidate before" in fault(answers(before), now, before, "bfloat16")
    assert fault(answers(now), now, before, "bfloat16") is None
