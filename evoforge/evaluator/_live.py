"""The models in memory that every candidate is written into, or leads a path through."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from evoforge.candidate import Candidate, Walk
from evoforge.errors import ConfigError, MergeError
from evoforge.evaluator._hops import assemble
from evoforge.evaluator._spread import Spread
from evoforge.models.layout import blocks_at, in_block, place
from evoforge.models.pool import Pool
from evoforge.models.settings import adapt
from evoforge.models.slots import find_slots

log = logging.getLogger(__name__)


class Body:
    """A transformers model whose weights are replaced in place, tensor by tensor.

    Only tensors whose key differs from what is in the model already are merged and written.

    Args:
        pool: says the architecture and the type of the weights.
        spread: where the model lies.
        attention: as transformers names it; `auto` is its own choice for the architecture.
        settings: in which its config.json differs from the pool's.
        names: of the tensors that will be written, as the pool has them.
        part: the name of the only part to keep; empty for the whole model.

    Raises:
        ConfigError: transformers cannot build the architecture, or the tensors are not the model's.
    """

    def __init__(
        self,
        pool: Pool,
        spread: Spread,
        attention: str,
        settings: Mapping[str, Any],
        names: Sequence[str],
        part: str = "",
    ) -> None:
        vision = pool.vision
        stored = {name: name if vision is None else vision.stored(name) for name in names}
        frozen: Mapping[str, torch.Tensor] = {} if vision is None else vision.frozen
        model = _unwritten(pool, attention, settings)
        places = find_slots(model, [*stored.values(), *frozen], pool.reference.name)
        self.model: Any = spread.put(model, part)
        before = f"{part}." if part else ""
        state = self.model.state_dict(prefix=before, keep_vars=True)
        self.at = blocks_at([places[name].parameter for name in stored.values()])
        self.slots: dict[str, torch.Tensor] = {
            name: places[there].of(state[places[there].parameter])
            for name, there in stored.items()
            if places[there].parameter in state
        }
        with torch.no_grad():
            # What is around the language part is the same for all candidates.
            for name in frozen if not part else ():
                places[name].of(state[places[name].parameter]).copy_(frozen[name])
        self._written: dict[str, Hashable] = {}

    def write(self, candidate: Candidate, names: Sequence[str]) -> int:
        """Make tensors of the model the candidate's; return how many had to be merged.

        Raises:
            MergeError: a merged tensor is not finite, or has another shape.
        """
        merged = 0
        for name in names:
            key = candidate.key(name)
            if self._written.get(name) == key:
                continue
            # Should merging fail, the slot holds neither the old tensor's key nor the new one's.
            self._written.pop(name, None)
            self._merge(candidate, name)
            self._written[name] = key
            merged += 1
        return merged

    @torch.no_grad()
    def _merge(self, candidate: Candidate, name: str) -> None:
        slot = self.slots[name]
        if slot.shape != candidate.shape(name):
            raise MergeError(f"the merged {name} has shape {tuple(candidate.shape(name))}")
        candidate.write(name, slot)


def _unwritten(pool: Pool, attention: str, settings: Mapping[str, Any]) -> Any:
    """Return a model of a pool's settings whose weights are whatever the memory held."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.initialization import no_init_weights

    kind = AutoModelForCausalLM if pool.vision is None else AutoModelForImageTextToText
    config = pool.model_config()
    adapt(config, settings)
    try:
        # Every weight is written before it is used: drawing them first takes minutes at 7B.
        with no_init_weights():
            model = kind.from_config(
                config,
                dtype=pool.dtype,
                attn_implementation=None if attention == "auto" else attention,
                trust_remote_code=pool.reference.spec.trust_remote_code,
            )
    except (ValueError, ImportError) as error:
        raise ConfigError(
            f"transformers cannot build {pool.reference.name} with attention {attention}: {error}; "
            "set evaluator.attention"
        ) from error
    model.tie_weights()  # part of drawing weights, which was left out
    return model


class LiveModel:
    """The model that answers: a candidate's weights, or a path through resident layers.

    There is one body for candidates that are merged, and for paths one more for each further model
    that they lead through. A path changes no weight: its hops are copies of the bodies' layers that
    share their parameters.

    Args:
        pool: says the architecture and the type of the weights.
        device: where the models lie: a device, or a spread over several.
        attention: as transformers names it; `auto` is its own choice for the architecture.

    Raises:
        ConfigError: transformers cannot build the architecture, or the checkpoint's tensors are
            not the model's.
    """

    def __init__(self, pool: Pool, *, device: str | Spread, attention: str) -> None:
        self.spread = spread = device if isinstance(device, Spread) else Spread(device)
        self._make = partial(Body, pool, spread, attention)
        self._body = self._make({}, pool.names)
        self._others: dict[str, Body] = {}
        self._at = self._body.at
        self._own = self.model.get_submodule(self._at)
        lists = pool.per_layer(pool.reference)
        self._own_settings = {"num_hidden_layers": len(self._own), **lists}

    @property
    def model(self) -> Any:
        """The transformers model."""
        return self._body.model

    def write(self, candidate: Candidate) -> int:
        """Make the model the candidate; return how many tensors had to be merged.

        Raises:
            MergeError: a merged tensor is not finite, or has another shape.
        """
        walk = candidate.walk
        if walk is None:
            merged = self._body.write(candidate, candidate.names)
            self._become(self._own, self._own_settings)
            return merged
        merged = sum(self._write_member(walk, name) for name in walk.members)
        lists = [self._layers(walk, hop.source) for hop in walk.hops]
        chosen = [layers[hop.layer] for layers, hop in zip(lists, walk.hops, strict=True)]
        self._become(assemble(chosen, [h.scale for h in walk.hops], walk.target), walk.settings)
        return merged

    @torch.no_grad()
    def tensor(self, candidate: Candidate, name: str) -> torch.Tensor:
        """Return a tensor of the plain checkpoint of the candidate that was written last.

        Only what scales are folded into is made anew; all else is the model's own memory, which is
        not to be written to.

        Args:
            candidate: the one that was written last.
            name: of the tensor, as in the checkpoint.

        Raises:
            MergeError: it is not finite with the scales folded in.
        """
        found = self._resident(candidate.walk, name)
        if found is None:
            found = torch.empty(
                candidate.shape(name), dtype=self.model.dtype, device=self.model.device
            )
            candidate.write(name, found)
        return found

    def _resident(self, walk: Walk | None, name: str) -> torch.Tensor | None:
        """Return a tensor that is in memory as it is in the plain checkpoint, or None."""
        if walk is None:
            return self._body.slots[name]
        if walk.factor(name) != 1.0:
            return None
        number = place(name).block
        if number is None:
            # A path may have an output embedding of its own where the models have none.
            return self._body.slots.get(name)
        hop = walk.hops[number]
        first = walk.members[hop.source] is walk.first
        body = self._body if first else self._others[hop.source]
        return body.slots[in_block(name, hop.layer)]

    def _write_member(self, walk: Walk, name: str) -> int:
        candidate = walk.members[name].candidate
        if walk.members[name] is walk.first:
            return self._write_first(walk, candidate)
        if name not in self._others:
            # Of all but the first only the layers are kept.
            self._others[name] = self._make(
                walk.members[name].settings, candidate.names, part=self._at
            )
        body = self._others[name]
        return body.write(candidate, [tensor for tensor in candidate.names if tensor in body.slots])

    def _write_first(self, walk: Walk, candidate: Candidate) -> int:
        """Write the model that leads, with final norm and output embedding of the tail, if any."""
        own = [name for name in candidate.names if name not in walk.endings]
        merged = self._body.write(candidate, own)
        if walk.tail is not None:
            tail = walk.members[walk.tail].candidate
            merged += self._body.write(tail, sorted(walk.endings))
        return merged

    def _layers(self, walk: Walk, name: str) -> Any:
        if walk.members[name] is walk.first:
            return self._own
        return self._others[name].model

    def _become(self, layers: nn.ModuleList, settings: Mapping[str, Any]) -> None:
        """Give the model other layers, and the settings by which it and its cache count them."""
        above, _, name = self._at.rpartition(".")
        decoder = self.model.get_submodule(above)
        setattr(decoder, name, layers)
        # The decoder of a larger model may have its settings as a copy.
        for config in {id(c): c for c in (self.model.config, decoder.config)}.values():
            adapt(config, settings)
        if hasattr(decoder, "has_sliding_layers"):
            decoder.has_sliding_layers = "sliding_attention" in decoder.config.layer_types
