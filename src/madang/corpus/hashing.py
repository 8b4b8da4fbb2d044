"""Short hashes of names and texts, for tables that cannot hold the strings themselves."""

from __future__ import annotations

from hashlib import blake2b


def short_hash(text: str) -> int:
    """Return 64 bits of BLAKE2b over a text in UTF-8."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
