"""The last look at a merged tensor: is it a number everywhere?"""

import torch

from evoforge.errors import MergeError


def check_finite(name: str, merged: torch.Tensor) -> None:
    """Refuse a tensor that is not finite.

    Raises:
        MergeError: it is not.
    """
    if not torch.isfinite(merged).all():
        raise not_finite(name, merged)


def not_finite(name: str, merged: torch.Tensor) -> MergeError:
    """Return the error of a tensor that is not finite."""
    advice = (
        " or do not fit into float16; set models.dtype" if merged.dtype == torch.float16 else ""
    )
    return MergeError(f"the merged {name} has values that are not finite{advice}")
