# SPDX-License-Identifier: Apache-2.0
"""From how gradients compare to what to try, in words.

The bounds are rules of thumb, chosen to keep quiet where a change would hardly show.
"""

from hf_mtl.training.diagnosis.measures import Diagnosis

__all__ = ["advice_on"]

# A gradient ten times as long as another has the direction to itself.
_FAR_APART = 10.0
# More of the direction than all others together have twice over.
_MOST = 2 / 3
# Tasks that agree as much help each other.
_AGREE = 0.1


def advice_on(diagnosis: Diagnosis) -> list[str]:
    """Sentences for the user, the weightiest first."""
    found = [*_on_conflicts(diagnosis), *_on_lengths(diagnosis), *_on_agreement(diagnosis)]
    closing = (
        "Whatever you try, compare it with equal weights on a validation split, over several "
        "seeds, by the metrics of the tasks. Cosines say what gradients do, not how well a model "
        "will do."
    )
    if not any(_on_conflicts(diagnosis)) and not any(_on_lengths(diagnosis)):
        found.insert(
            0,
            "Keep equal weights. No two tasks conflict on average, and no gradient drowns the "
            "others: a gradient method would find little to do.",
        )
    return [*found, closing]


def _on_conflicts(diagnosis: Diagnosis) -> list[str]:
    against = [pair for pair in diagnosis.pairs if pair.is_in_conflict]
    if not against:
        return []
    worst = "; ".join(
        f"{pair.tasks[0]} and {pair.tasks[1]} ({pair.cosine:+.3f} ± {pair.error:.3f}, below 0 in "
        f"{pair.conflicts:.0%} of the steps)"
        for pair in against[:3]
    )
    many = f"{len(against)} of {len(diagnosis.pairs)} pairs"
    return [
        f"Conflict: {many} point against each other on average: {worst}. Try a gradient method "
        f"that resolves conflicts, `upgrad` or `cagrad` first; or train these tasks in separate "
        f"models, if their metrics fall below those of single-task training."
    ]


def _on_lengths(diagnosis: Diagnosis) -> list[str]:
    norms, shares = diagnosis.mean_norms, diagnosis.mean_shares
    longest, shortest = max(norms, key=norms.__getitem__), min(norms, key=norms.__getitem__)
    found = []
    if norms[shortest] == 0 or norms[longest] / norms[shortest] > _FAR_APART:
        times = "many" if norms[shortest] == 0 else f"{norms[longest] / norms[shortest]:.0f}"
        found.append(
            f"Scale: the gradient of {longest} is {times} times as long as that of {shortest}. "
            f"Try a weighting that brings losses to one scale (`uncertainty`, `ema`), another "
            f"`weight` for {longest}, or `imtl_g`, which ignores lengths."
        )
    largest = max(shares, key=shares.__getitem__, default="")
    if len(shares) > 1 and shares[largest] > _MOST:
        found.append(
            f"Share: {shares[largest]:.0%} of the update is that of {largest}. The other tasks "
            f"train at the speed of what is left."
        )
    return found


def _on_agreement(diagnosis: Diagnosis) -> list[str]:
    together = [pair for pair in diagnosis.pairs if pair.cosine - 2 * pair.error > _AGREE]
    if not together:
        return []
    best = "; ".join(
        f"{pair.tasks[0]} and {pair.tasks[1]} ({pair.cosine:+.3f})" for pair in together[-3:][::-1]
    )
    return [f"Agreement: {len(together)} pairs pull together: {best}. They gain from one model."]
