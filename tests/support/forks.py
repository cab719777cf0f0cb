"""Fork while a connection is open, and ask from both sides: `python -m support.forks URL`.

Exits 0 when the child had none of the parent's connections, and both got an answer. A program of its own: pytest's
process has threads, and must not fork.
"""

from __future__ import annotations

import os
import sys

from sqlalchemy import literal, select

from common.database.engine import Database


def answers(db: Database) -> bool:
    return db.read(lambda session: session.scalar(select(literal(7)))) == 7


def main() -> int:
    db = Database(sys.argv[1], tries=1)
    pool = db.read_engine.pool
    assert answers(db)
    assert "in pool: 1" in pool.status()  # nobody's at the moment
    child = os.fork()
    if child == 0:
        os._exit(0 if db.read_engine.pool is not pool and answers(db) else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) or int(not answers(db))


if __name__ == "__main__":
    sys.exit(main())
