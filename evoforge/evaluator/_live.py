"""The one model in memory that every candidate is written into."""

import logging
from collections.abc import Hashable
from typing import Any

import torch

from evoforge.candidate import Candidate
from evoforge.errors import ConfigError, MergeError
from evoforge.models.pool import Pool

log = logging.getLogger(__name__)


class LiveModel:
    """A transformers model whose weights are replaced in place, tensor by tensor.

    Only tensors whose key differs from what is in the model already are merged and written.

    Args:
        pool: says the architecture and the type of the weights.
        device: where the model lives.
        attention: the implementation of attention, as transformers names it.

    Raises:
        ConfigError: transformers cannot build the architecture, or the checkpoint's tensors are
            not the model's.
    """

    def __init__(self, pool: Pool, *, device: str, attention: str) -> None:
        from transformers import AutoConfig, AutoModelForCausalLM
        from transformers.initialization import no_init_weights

        reference = pool.reference
        trust = reference.spec.trust_remote_code
        config = AutoConfig.from_pretrained(reference.folder, trust_remote_code=trust)
        try:
            # Every weight is written before it is used: drawing them first takes minutes at 7B.
            with no_init_weights():
                model = AutoModelForCausalLM.from_config(
                    config, dtype=pool.dtype, attn_implementation=attention, trust_remote_code=trust
                )
        except (ValueError, ImportError) as error:
            raise ConfigError(
                f"transformers cannot build {reference.name} with attention {attention}: {error}; "
                "set evaluator.attention"
            ) from error
        model.tie_weights()  # part of drawing weights, which was left out
        self.model: Any = model.eval().to(device)
        self._slots: dict[str, torch.Tensor] = dict(self.model.state_dict(keep_vars=True))
        missing = [name for name in pool.names if name not in self._slots]
        if missing:
            raise ConfigError(
                f"{reference.name} has the tensor {missing[0]}, which {type(model).__name__} has "
                "not; evoforge cannot merge this architecture yet"
            )
        # A tied weight is listed once, under the name that checkpoints store it by.
        for name, _ in self.model.named_parameters():
            if name not in pool.names:
                raise ConfigError(
                    f"{reference.name} has no tensor {name}, which {type(model).__name__} needs; "
                    "copy or download the model again"
                )
        self._written: dict[str, Hashable] = {}

    def write(self, candidate: Candidate) -> int:
        """Make the model the candidate; return how many tensors had to be merged.

        Raises:
            MergeError: a merged tensor is not finite, or has another shape.
        """
        merged = 0
        for name in candidate.names:
            key = candidate.key(name)
            if self._written.get(name) == key:
                continue
            # Should merging fail, the slot holds neither the old tensor's key nor the new one's.
            self._written.pop(name, None)
            self._store(name, candidate.tensor(name))
            self._written[name] = key
            merged += 1
        return merged

    @torch.no_grad()
    def _store(self, name: str, tensor: torch.Tensor) -> None:
        slot = self._slots[name]
        if slot.shape != tensor.shape:
            raise MergeError(f"the merged {name} has shape {tuple(tensor.shape)}")
        slot.copy_(tensor)
        # What float32 holds may be beyond float16.
        if slot.dtype == torch.float16 and not torch.isfinite(slot).all():
            raise MergeError(f"the merged {name} does not fit into float16; set models.dtype")
