# SPDX-License-Identifier: Apache-2.0
"""Seeds that are pure functions of what randomness is for."""

from hashlib import blake2b

__all__ = ["seed_of"]


def seed_of(*use: object) -> int:
    """Seed of 64 bits for one use of randomness, the same in every process.

    Args:
        use: What tells the use from all others: values whose ``repr`` says them.
    """
    return int.from_bytes(blake2b(repr(use).encode(), digest_size=8).digest())
