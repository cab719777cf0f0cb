"""Can this process take work?  Not before the schema is this version's and the catalog's teams are in the database."""

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
    """Asked at every request until it is true once; a database that is late or unmigrated needs no restart of ours."""

    def __init__(self, db: Database, catalog: Catalog) -> None:
        self._db = db
        self._catalog = catalog
        self._is_ready = False

    def require(self) -> None:
        """Raises Problem `unavailable`."""
        if not self._is_ready:
            self.check()

    def check(self) -> None:
        """Look now, whatever was found before. Raises Problem `unavailable`."""
        try:
            migrate.check(self._db)
            self._db.transaction(self._add_missing_teams)
        except SchemaError as error:
            raise Problem("unavailable", str(error)) from None
        except IntegrityError:
            pass  # another process added the same teams at the same moment
        except SQLAlchemyError:
            raise Problem("unavailable", "The database does not answer.") from None
        self._is_ready = True

    def _add_missing_teams(self, session: Session) -> None:
        known = set(session.scalars(select(Team.id)))
        session.add_all(Team(id=team) for team in self._catalog.teams if team not in known)
