# SPDX-License-Identifier: Apache-2.0
"""From how gradients compare to what to try, in words.

The bounds are rules of thumb, chosen to keep quiet where a change would hardly show.
"""

from collections.abc import Iterable

from hf_mtl.training.diagnosis.measures import Diagnosis, Pair

__all__ = ["advice_on"]

# A gradient ten times as long as another has the direction to itself.
_FAR_APART = 10.0
# More of the direction than all others together have twice over.
_MOST = 2 / 3
# Tasks that agree as much help each other; those that conflict as much hinder each other.
_MATTERS = 0.1
_MOST_NAMED = 3


def advice_on(diagnosis: Diagnosis) -> list[str]:
    """Sentences for the user, the weightiest first."""
    against, lengths = _on_conflicts(diagnosis), _on_lengths(diagnosis)
    unknown = [pair for pair in diagnosis.pairs if pair.may_conflict(_MATTERS)]
    verdict = []
    if len(unknown) == len(diagnosis.pairs):
        verdict = [_too_few("whether tasks conflict: {}", unknown, diagnosis)]
    elif not against and not lengths:
        verdict = [
            "Keep equal weights. No two tasks that were compared conflict on average, and no "
            "gradient drowns the others: a gradient method would find little to do."
        ]
    if 0 < len(unknown) < len(diagnosis.pairs):
        verdict.append(_too_few("of {} whether they conflict", unknown, diagnosis))
    closing = (
        "Whatever you try, compare it with equal weights on a validation split, over several "
        "seeds, by the metrics of the tasks. Cosines say what gradients do, not how well a model "
        "will do."
    )
    return [*against, *verdict, *lengths, *_on_agreement(diagnosis), closing]


def _too_few(what: str, unknown: list[Pair], diagnosis: Diagnosis) -> str:
    pairs = what.format(f"{len(unknown)} of {len(diagnosis.pairs)} pairs")
    named = _named(unknown, (f"{pair.num_steps} steps" for pair in unknown))
    return (
        f"Too few steps to tell {pairs}: {named}. Raise `--steps`, or draw these tasks in the same "
        f"step more often."
    )


def _named(pairs: list[Pair], remarks: Iterable[str]) -> str:
    """The first of some pairs, each with a remark."""
    named = [
        f"{pair.tasks[0]} and {pair.tasks[1]} ({remark})"
        for pair, remark in zip(pairs, remarks, strict=True)
    ]
    return "; ".join(named[:_MOST_NAMED])


def _on_conflicts(diagnosis: Diagnosis) -> list[str]:
    against = [pair for pair in diagnosis.pairs if pair.is_in_conflict]
    if not against:
        return []
    worst = _named(
        against,
        (
            f"{pair.cosine:+.3f} ± {pair.margin:.3f}, below 0 in {pair.conflicts:.0%} of "
            f"{pair.num_steps} steps"
            for pair in against
        ),
    )
    many = f"{len(against)} of {len(diagnosis.pairs)} pairs"
    return [
        f"Conflict: {many} point against each other on average: {worst}. Try a gradient method "
        f"that resolves conflicts, `upgrad` or `cagrad` first; or train these tasks in separate "
        f"models, if their metrics fall below those of single-task training."
    ]


def _on_lengths(diagnosis: Diagnosis) -> list[str]:
    norms, shares = diagnosis.mean_norms, diagnosis.median_shares
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
            f"Share: in the median step {shares[largest]:.0%} of the update is that of {largest}. "
            f"The other tasks train at the speed of what is left."
        )
    return found


def _on_agreement(diagnosis: Diagnosis) -> list[str]:
    together = [pair for pair in diagnosis.pairs if pair.agrees(_MATTERS)][::-1]
    if not together:
        return []
    best = _named(together, (f"{pair.cosine:+.3f}" for pair in together))
    return [f"Agreement: {len(together)} pairs pull together: {best}. They gain from one model."]
