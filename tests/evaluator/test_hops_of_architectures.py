"""Paths through small random models of several architectures: walked, folded, or refused."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from evoforge.errors import ConfigError, PoolError
from evoforge.evaluator._live import LiveModel
from evoforge.merge._path import FOLDABLE
from evoforge.merge.dfs import Dfs
from evoforge.path import Hop
from tests.conftest import open_pico, pico_tokenizer
from tests.evaluator.conftest import SMALL

# Sliding windows, or no rotary embedding, in some layers: each hop has to take its kind along.
MIXED = {"layer_types": ["full_attention", "sliding_attention", "full_attention"]}
CHANGES = {
    "llama": {"tie_word_embeddings": True},
    "ministral": {"sliding_window": 4, **MIXED},
    "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1, **MIXED},
    "phi3": {"original_max_position_embeddings": 64},
    "smollm3": {"no_rope_layers": [1, 0, 1]},
    "granite": {"residual_multiplier": 0.5, "embedding_multiplier": 2.0},
    # Blocks that normalise what they add, or norms that add 1 to their weights.
    "gemma": {},
    "gemma2": {"sliding_window": 4, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 4, "query_pre_attn_scalar": 8},
    "glm4": {},
}
OTHERS = ("gemma", "gemma2", "gemma3_text", "glm4")
PATH = [("a", 0, 1.3), ("b", 1, 0.6), ("a", 2, -1.2), ("b", 1, 1.1), ("a", 2, 0.9)]
IDS = torch.randint(3, 40, (2, 12), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def paths(tmp_path):
    """Return a maker of mergers of paths through two models of an architecture."""

    def make(kind, **options):
        folders = {}
        for seed, name in enumerate("ab"):
            torch.manual_seed(seed)
            config = AutoConfig.for_model(
                kind, **{**SMALL, "max_position_embeddings": 64, **CHANGES.get(kind, {})}
            )
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
            model.save_pretrained(tmp_path / name)
            pico_tokenizer().save_pretrained(tmp_path / name)
            folders[name] = tmp_path / name
        return Dfs(open_pico(folders), **options)

    return make


def candidate_of(merger, scaled=True):
    hops = [Hop(name, layer, scale if scaled else 1.0) for name, layer, scale in PATH]
    return merger.build(merger.recipe_of(hops))


@torch.inference_mode()
def both(merger, candidate):
    """Return the logits of the walked path and of the plain checkpoint."""
    live = LiveModel(merger.pool, device="cpu", attention="eager")
    live.write(candidate)
    config = AutoConfig.from_pretrained(merger.pool.reference.folder)
    for key, value in candidate.settings.items():
        setattr(config, key, value)
    plain = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    state = {name: candidate.tensor(name) for name in candidate.names}
    missing, unexpected = plain.load_state_dict(state, strict=False)
    assert not unexpected
    assert set(missing) <= {"lm_head.weight"}
    plain.tie_weights()
    return live.model(input_ids=IDS).logits, plain(input_ids=IDS).logits


@pytest.mark.parametrize("target", ["stream", "branch"])
@pytest.mark.parametrize("kind", FOLDABLE)
def test_a_scaled_path_folds_into_a_plain_model(paths, kind, target):
    merger = paths(kind, scale_target=target)
    walked, plain = both(merger, candidate_of(merger))
    torch.testing.assert_close(walked, plain, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("kind", [*FOLDABLE, *OTHERS])
def test_a_path_without_scales_is_a_plain_model_bit_for_bit(paths, kind):
    merger = paths(kind, scale="none")
    walked, plain = both(merger, candidate_of(merger, scaled=False))
    torch.testing.assert_close(walked, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", OTHERS)
def test_scales_are_refused_where_it_is_not_known_how_they_fold(paths, kind):
    sentence = f"scales are known to fold into llama, .*, got {kind}; set merge.scale=none"
    with pytest.raises(ConfigError, match=sentence):
        paths(kind)
    with pytest.raises(ConfigError, match=sentence):
        candidate_of(paths(kind, scale="none"))


@pytest.mark.parametrize(
    ("kind", "setting"), [("qwen2", "layer_types"), ("smollm3", "no_rope_layers")]
)
def test_what_a_layer_is_like_goes_along_with_its_hop(paths, kind, setting):
    found = candidate_of(paths(kind)).settings[setting]
    assert found == [CHANGES[kind][setting][layer] for _, layer, _ in PATH]


def test_settings_of_layers_that_nobody_knows_are_refused(paths, monkeypatch):
    merger = paths("llama")
    config = {**merger.pool.reference.config, "skip_layers": [1]}
    monkeypatch.setitem(merger.pool.member("a").__dict__, "config", config)
    with pytest.raises(
        PoolError, match="a has the setting skip_layers, of which evoforge does not"
    ):
        Dfs(merger.pool)
