"""The tables of the log, and how an older file becomes a current one."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

# "mdng": tells our file from any other SQLite database.
APPLICATION_ID: Final = 0x6D646E67

# How long a writer waits for another one.
BUSY_SECONDS: Final = 30

# One script for each version; version n is reached by running the n-th. Scripts that have been
# released are never changed, new ones are added at the end.
MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,          -- microseconds since 1970, UTC
        kind TEXT NOT NULL,
        key INTEGER,                  -- posts.key
        source TEXT,
        author TEXT,
        previous INTEGER,             -- the event that wrote this post's version before
        payload BLOB,                 -- canonical JSON; NULL once erased
        salt BLOB                     -- of the post's digest; NULL once erased
    );
    CREATE INDEX grants ON events (seq) WHERE kind = 'grant';
    CREATE TABLE posts (
        key INTEGER PRIMARY KEY,      -- dense and growing: given at the first write, never reused
        id TEXT NOT NULL UNIQUE,
        seq INTEGER NOT NULL,         -- the event that wrote the current version
        state INTEGER NOT NULL,       -- 0 visible, 1 hidden, 2 erased
        allowed INTEGER NOT NULL,     -- purposes as bits, derived by consent.resolve
        source TEXT,
        author TEXT,
        thread TEXT NOT NULL,
        grant_seq INTEGER,            -- the event of the grant under which it came
        signals TEXT,                 -- JSON, NULL where the post says nothing of purposes
        own INTEGER NOT NULL DEFAULT 0,
        metrics TEXT
    );
    CREATE INDEX posts_by_author ON posts (source, author) WHERE author IS NOT NULL;
    CREATE INDEX posts_by_thread ON posts (thread);
    CREATE TABLE authors (
        source TEXT NOT NULL,
        author TEXT NOT NULL,
        erased INTEGER NOT NULL DEFAULT 0,
        refused TEXT NOT NULL DEFAULT '{}',
        PRIMARY KEY (source, author)
    ) WITHOUT ROWID;
    CREATE TABLE imports (            -- files that were read to their end
        digest TEXT PRIMARY KEY,
        at INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
)


class DamagedLogError(Exception):
    """posts.db cannot be trusted. Nothing was changed; the message says what to do."""


class NewerLogError(Exception):
    """posts.db was written by a later version of Madang."""


def create(path: Path) -> None:
    """Create an empty log at `path`, whole or not at all.

    The file is built beside its place and linked there, so that an empty posts.db is always
    damage and never a creation that was cut short. Losing a race against another process that
    creates the same log is harmless.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA journal_mode = WAL")
        _migrate(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing log. Raises DamagedLogError or NewerLogError where it cannot be used."""
    if path.stat().st_size == 0:
        raise _damaged(path, "the file is empty")
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        timeout=BUSY_SECONDS,
        cached_statements=256,
        # One thread works with it; whoever closes the log closes it.
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -32768")
        connection.execute("PRAGMA temp_store = MEMORY")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            raise _damaged(path, "it is a database of another program")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise NewerLogError(
                f"{path} was written by a later version of Madang (schema {version}, this one "
                f"knows {len(MIGRATIONS)}); install the later version"
            )
        if version < len(MIGRATIONS):
            _migrate(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise _damaged(path, str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Read every page of the log. Raises DamagedLogError where one is broken."""
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error
    if verdict != "ok":
        raise _damaged(path, verdict.splitlines()[0])


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """Split a script so that it runs inside one transaction, which executescript would end."""
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    if pending.strip():
        raise AssertionError(f"unfinished statement in a migration: {pending}")
    return statements


def _damaged(path: Path, reason: str) -> DamagedLogError:
    return DamagedLogError(
        f"{path} is damaged ({reason}); nothing was changed. Put a backup in its place, or move "
        "it away and import the archives again"
    )
