"""The fixtures of this room; what tests import by name stands in answering_community."""

from answering_community import community, town

__all__ = ["community", "town"]
