"""mergekit files of every method, on the pico models; `{a}` is the folder of the model a."""

from pathlib import Path

import torch

from tests.conftest import pico_tokenizer

TASK = """
merge_method: {method}
base_model: {base}
models:
  - model: {base}
  - model: {a}
    parameters: {{weight: 0.7, {own}}}
  - model: {b}
    parameters: {{weight: [0.2, -0.3, 0.5], {own}}}
parameters: {{{shared}}}
dtype: float32
"""


def _task(method: str, own: str = "density: 1.0", shared: str = "") -> str:
    return TASK.replace("{method}", method).replace("{own}", own).replace("{shared}", shared)


CASES = {
    "linear": """
merge_method: linear
models:
  - model: {a}
    parameters:
      weight:
        - {{filter: self_attn, value: [0.1, 0.9]}}
        - {{filter: embed_tokens, value: 0.25}}
        - {{filter: lm_head, value: 1e-1}}
        - {{value: 0.5}}
  - model: {b}
parameters:
  weight: [0.3, 0.4, 0.2]
dtype: float32
tokenizer_source: base
base_model: {a}
""",
    "linear_slices": """
merge_method: linear
base_model: {base}
slices:
  - sources:
      - {{model: {base}, layer_range: [0, 3], parameters: {{weight: [0.5, 0.1]}}}}
      - {{model: {c}, layer_range: [0, 3]}}
    parameters: {{weight: 0.7}}
  - sources:
      - {{model: {base}, layer_range: [3, 4]}}
      - {{model: {c}, layer_range: [3, 4], parameters: {{weight: [0.2, 0.6]}}}}
parameters: {{weight: 0.4, normalize: false}}
""",
    "linear_base": """
merge_method: linear
base_model: {base}
models:
  - model: {a}
  - model: {b}
parameters: {{weight: 0.4}}
""",
    "slerp": """
merge_method: slerp
base_model: {a}
slices:
  - sources:
      - {{model: {b}, layer_range: [0, 4]}}
      - {{model: {a}, layer_range: [0, 4]}}
parameters:
  t:
    - {{filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}}
    - {{filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}}
    - {{value: 0.5}}
dtype: float32
""",
    "nuslerp": """
merge_method: nuslerp
models:
  - {{model: {a}, parameters: {{weight: 0.7}}}}
  - {{model: {b}, parameters: {{weight: [0.1, 0.6]}}}}
""",
    "nuslerp_rows": """
merge_method: nuslerp
base_model: {base}
models:
  - {{model: {a}, parameters: {{weight: 0.7}}}}
  - {{model: {b}, parameters: {{weight: 0.3}}}}
parameters: {{nuslerp_flatten: false}}
""",
    "nuslerp_columns": """
merge_method: nuslerp
models:
  - {{model: {a}, parameters: {{weight: 0.7}}}}
  - {{model: {b}, parameters: {{weight: 0.3}}}}
parameters: {{nuslerp_flatten: false, nuslerp_row_wise: true}}
""",
    "multislerp": """
merge_method: multislerp
models:
  - {{model: {a}, parameters: {{weight: 0.7}}}}
  - {{model: {b}, parameters: {{weight: 0.3}}}}
  - {{model: {c}, parameters: {{weight: 0.5}}}}
""",
    "multislerp_base": """
merge_method: multislerp
base_model: {base}
models:
  - {{model: {a}, parameters: {{weight: 0.7}}}}
  - {{model: {b}, parameters: {{weight: 0.3}}}}
""",
    "karcher": """
merge_method: karcher
models:
  - model: {a}
  - model: {b}
  - model: {c}
parameters: {{max_iter: 20, tol: 1e-6}}
""",
    "task_arithmetic": _task("task_arithmetic", "density: 0.3", "lambda: 0.5, int8_mask: true"),
    "ties": _task("ties", "density: [0.3, 0.9]"),
    "ties_sums": _task("ties", "density: 0.37", "normalize: false, rescale: true"),
    "dare_ties": _task("dare_ties"),
    "dare_linear": _task("dare_linear", shared="normalize: true"),
    "breadcrumbs": _task("breadcrumbs", "density: 0.63, gamma: 0.07"),
    "breadcrumbs_ties": _task("breadcrumbs_ties", "density: 0.63", "rescale: true"),
    "breadcrumbs_all": _task("breadcrumbs"),
    "della": _task("della"),
    "della_linear": _task("della_linear", "epsilon: 0.1", "lambda: [0.5, 1.5]"),
    "model_stock": """
merge_method: model_stock
base_model: {base}
models: [{{model: {a}}}, {{model: {b}}}, {{model: {c}}}]
""",
    "model_stock_rows": """
merge_method: model_stock
base_model: {base}
models: [{{model: {a}}}, {{model: {b}}}]
parameters: {{filter_wise: true}}
""",
    "sce": """
merge_method: sce
base_model: {base}
models: [{{model: {a}}}, {{model: {b}}}, {{model: {c}}}]
parameters: {{select_topk: [0.37, 0.83]}}
""",
    "nearswap": """
merge_method: nearswap
base_model: {a}
models: [{{model: {a}}}, {{model: {b}}}]
parameters: {{t: [0.01, 0.02]}}
""",
    "arcee_fusion": """
merge_method: arcee_fusion
base_model: {base}
models: [{{model: {a}}}]
""",
    "ram": """
merge_method: ram
base_model: {base}
models: [{{model: {a}}}, {{model: {b}}}]
""",
    "ramplus_tl": """
merge_method: ramplus_tl
base_model: {base}
models: [{{model: {a}}}, {{model: {b}}}]
parameters: {{r: 0.3, alpha: 0.5}}
""",
    "passthrough": """
merge_method: passthrough
models:
  - model: {b}
    parameters:
      scale:
        - {{filter: down_proj, value: [0.5, 2]}}
        - {{filter: model.norm, value: -1}}
        - {{value: 1}}
""",
    "union": """
merge_method: task_arithmetic
base_model: {base}
models:
  - {{model: {wide}, parameters: {{weight: 0.7}}}}
  - {{model: {b}, parameters: {{weight: 0.6}}}}
tokenizer: {{source: union, pad_to_multiple_of: 8}}
""",
    "tokens_of_one": """
merge_method: linear
models:
  - {{model: {b}, parameters: {{weight: 0.6}}}}
  - {{model: {wide}, parameters: {{weight: 0.7}}}}
tokenizer_source: {b}
""",
    "path_to_another": """
merge_method: passthrough
slices:
  - sources: [{{model: {a}, layer_range: [0, 3]}}]
  - sources: [{{model: {b}, layer_range: [1, 4]}}]
dtype: float32
tokenizer_source: {a}
""",
    "path": """
merge_method: passthrough
slices:
  - sources: [{{model: {a}, layer_range: [0, 3]}}]
  - sources: [{{model: {b}, layer_range: [1, 3]}}]
  - sources: [{{model: {a}, layer_range: [2, 4]}}]
dtype: float32
""",
}


def text(case: str, pico: dict[str, Path]) -> str:
    """Return the text of a case with the models' folders."""
    return CASES[case].format(**pico)


def save_wide(near: Path, folder: Path) -> Path:
    """Save a model that has one token more than another."""
    from transformers import AutoModelForCausalLM

    tokenizer = pico_tokenizer()
    tokenizer.add_tokens(["<more>"])
    model = AutoModelForCausalLM.from_pretrained(near)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
