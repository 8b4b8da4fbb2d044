"""Posts, their log, consent by purpose, and the readers of archives."""

from madang.posts.consent import FILE_GRANT, OWNER_GRANT, PURPOSES, Decision, Purpose
from madang.posts.event import (
    Consent,
    Delete,
    DeleteAuthor,
    Event,
    Grant,
    NewEvent,
    Outcome,
    SetVisibility,
    Write,
)
from madang.posts.log import PostLog
from madang.posts.post import Media, Post
from madang.posts.schema import DamagedLogError, NewerLogError
from madang.posts.stored import Stored, Version

__all__ = [
    "FILE_GRANT",
    "OWNER_GRANT",
    "PURPOSES",
    "Consent",
    "DamagedLogError",
    "Decision",
    "Delete",
    "DeleteAuthor",
    "Event",
    "Grant",
    "Media",
    "NewEvent",
    "NewerLogError",
    "Outcome",
    "Post",
    "PostLog",
    "Purpose",
    "SetVisibility",
    "Stored",
    "Version",
    "Write",
]
