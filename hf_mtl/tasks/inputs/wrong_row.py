# SPDX-License-Identifier: Apache-2.0
"""What is said of a row that no input can be made of."""

__all__ = ["WrongRowError"]


class WrongRowError(ValueError):
    """A row that no input can be made of, named by its place.

    Args:
        rule: What every row must be.
        row: Place of the row among those that were given.
        found: What it is instead, and what to do.

    Example:
        >>> print(WrongRowError("`text` must be a text", 3, "holds None. Remove the row."))
        `text` must be a text, but row 3 holds None. Remove the row.
    """

    def __init__(self, rule: str, row: int, found: str) -> None:
        super().__init__(rule, row, found)

    def __str__(self) -> str:
        rule, row, found = self.args
        return f"{rule}, but row {row} {found}"

    def counted_from(self, first_row: int) -> "WrongRowError":
        """The same of rows of which the first has another number than 0.

        Args:
            first_row: Its number.
        """
        rule, row, found = self.args
        return WrongRowError(rule, row + first_row, found)
