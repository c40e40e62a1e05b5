import pytest
import torch

from evoforge.evaluator import auto as auto_module
from evoforge.evaluator.auto import auto, why_not_vllm
from evoforge.evaluator.hf import Hf
from evoforge.task.generation import Generation
from tests.loop import Sums


class Registry:
    """What vLLM says it knows."""

    def __init__(self, *names):
        self.ModelRegistry = self
        self.names = names

    def get_supported_archs(self):
        return self.names


@pytest.fixture
def gpu(monkeypatch):
    """A machine that seems to have a GPU, and vLLM, which knows Mistral."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(auto_module, "installed", lambda: True)
    monkeypatch.setattr(auto_module, "import_vllm", lambda: Registry("MistralForCausalLM"))


def test_vllm_is_taken_where_it_is_faster(pool, gpu, monkeypatch):
    made = []
    monkeypatch.setattr(auto_module, "Vllm", lambda *given, **options: made.append(options))
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=2)
    auto(task, pool, batch_size=7, attention="eager")
    where = {"device": "auto", "device_map": None, "max_memory": None}
    assert made == [{"batch_size": 7, **where, "attention": "eager"}]


def test_without_vllm_it_is_hf(pool, monkeypatch):
    monkeypatch.setattr(auto_module, "installed", lambda: False)
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=2)
    made = auto(task, pool, batch_size=3)
    assert isinstance(made, Hf)
    assert made.batch_size == 3
    assert why_not_vllm(pool, "auto") == "vllm is not installed"


def test_on_a_cpu_vllm_is_no_faster(pool, gpu, monkeypatch):
    assert why_not_vllm(pool, "auto") is None
    assert why_not_vllm(pool, "cpu") == "vllm is no faster without a GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert why_not_vllm(pool, "auto") == "vllm is no faster without a GPU"


def test_an_architecture_that_vllm_does_not_know_stays_with_hf(pool, gpu, monkeypatch):
    monkeypatch.setattr(auto_module, "import_vllm", lambda: Registry("Other"))
    assert why_not_vllm(pool, "cuda") == "vllm does not know MistralForCausalLM"


def test_models_that_see_stay_with_hf(seer, gpu):
    assert why_not_vllm(seer("llava").pool, "cuda") == "the models see pictures"


@pytest.mark.parametrize("option", [{"beams": 2}, {"repetition_penalty": 1.5}])
def test_what_vllm_cannot_be_asked_stays_with_hf(pool, gpu, monkeypatch, option):
    monkeypatch.setattr(auto_module, "Hf", lambda *given, **options: options)
    monkeypatch.setattr(auto_module, "Vllm", None)
    task = Generation(name="t", items=Sums(), prompt="{question}", max_new_tokens=2, **option)
    assert auto(task, pool, feature_cache_gb=1.0)["feature_cache_gb"] == 1.0
