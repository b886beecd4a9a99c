# SPDX-License-Identifier: Apache-2.0
"""From one score for each sequence to the scores of each row."""

import torch
from torch import Tensor

__all__ = ["folded"]


def folded(scores: Tensor, row_of_sequence: Tensor | None) -> Tensor:
    """Scores of the sequences of each row: ``[B, 1] -> [b, N]``.

    Rows have different numbers of sequences: where one has fewer than ``N``, its scores are minus
    infinity.

    Args:
        scores: Score of each sequence.
        row_of_sequence: Number of the row that each sequence is of, ``[B]``; those of a row follow
            each other, and no two neighbours have one number. ``None``: each is a row.

    Example:
        >>> folded(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([4, 4, 7]))
        tensor([[1., 2.],
                [3., -inf]])
    """
    if row_of_sequence is None:
        return scores
    begins = torch.ones_like(row_of_sequence, dtype=torch.bool)
    begins[1:] = row_of_sequence[1:] != row_of_sequence[:-1]
    rows = begins.cumsum(dim=0) - 1
    positions = torch.arange(len(rows), device=rows.device)
    places = positions - torch.where(begins, positions, 0).cummax(dim=0).values
    # Both at once, because a GPU is waited for.
    last_row, last_place = torch.stack([rows[-1], places.max()]).tolist()
    empty = scores.new_full((last_row + 1, last_place + 1), -torch.inf)
    return empty.index_put((rows, places), scores.squeeze(-1))
