"""A model that comes trained: what it has learned before its first example here is kept.

River's clone has the parameters alone, so whoever clones a model throws away what it has learned.
Whether it has learned anything is seen by its digest: a model that is fresh has the digest of its
clone.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from headrace.registry.digest import canonical_digest


def learned_digest(model: Any) -> str | None:
    """Return the canonical digest of what a model has learned; None if it has learned nothing.

    Of a model without a seed two clones differ, so nothing can be said of it: the laws refuse it.

    Examples
    --------
    >>> from river import linear_model
    >>> model = linear_model.LogisticRegression()
    >>> learned_digest(model) is None
    True
    >>> model.learn_one({"x": 1.0}, True)
    >>> learned_digest(model) is None
    False
    """
    try:
        fresh = canonical_digest(model.clone())
        if fresh != canonical_digest(model.clone()):
            return None
        own = canonical_digest(model)
    except Exception:  # noqa: BLE001 - a user's model may raise anything; check says so
        return None
    return None if own == fresh else own


def new_model_of(model: Any, *, trained: bool) -> Any:
    """Return a model that shares nothing with a declared one.

    Parameters
    ----------
    trained
        Whether it comes with what it has learned; otherwise it has learned nothing. Then it is a
        copy of River's clone, since clones share what stands in tuples (an imputer's statistics);
        of a clone, so that a model without a seed is a new one each time, which the laws notice.
    """
    return deepcopy(model if trained else model.clone())
