"""Readiness: the schema must be current and the catalog's teams in the database before a process accepts requests."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from api.contract.problems import Problem
from common.config.catalog import Catalog
from common.database import migrate
from common.database.engine import Database
from common.database.migrate import SchemaError
from common.database.models import Team


class Readiness:
    """Checked at every request until it succeeds once, so that a late or unmigrated database needs no restart."""

    def __init__(self, db: Database, catalog: Catalog) -> None:
        self._db = db
        self._catalog = catalog
        self._is_ready = False

    def require(self) -> None:
        """Check unless an earlier check succeeded. Raises Problem `unavailable`."""
        if not self._is_ready:
            self.check()

    def check(self) -> None:
        """Check now, whatever earlier checks found. Raises Problem `unavailable`."""
        try:
            migrate.check(self._db)
            self._db.transaction(self._add_missing_teams)
        except SchemaError as error:
            raise Problem("unavailable", str(error)) from None
        except IntegrityError:
            pass  # another process added the same teams at the same moment
        except SQLAlchemyError:
            raise Problem("unavailable", "The database is unavailable.") from None
        self._is_ready = True

    def _add_missing_teams(self, session: Session) -> None:
        known = set(session.scalars(select(Team.id)))
        session.add_all(Team(id=team) for team in self._catalog.teams if team not in known)
