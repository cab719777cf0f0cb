"""Whatever people, operators and workers do, and wherever their processes are killed: the audit has every act.

Each run is some sixty acts of two processes. SLIPWAY_RUNS=170 makes ten thousand of them (`make proofs`).
"""

from __future__ import annotations

import multiprocessing
import random
from multiprocessing.process import BaseProcess

import pytest
from sqlalchemy import func, select
from support import random_acts
from support.api import Api
from support.commands import Operator
from support.runs import runs
from support.stack import wait_for

from common.database.engine import Database
from common.database.models import Action

ACTS = 60 * runs(1)
PROCESSES, ACTS_OF_A_LIFE = 2, (5, 40)  # it is killed after so many acts of all
PEOPLE = ("grace", "linus", "alan")

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)


def _count(db: Database) -> int:
    return db.read(lambda session: session.scalar(select(func.count()).select_from(Action))) or 0


def test_no_act_is_without_its_row_wherever_processes_are_killed(api: Api, db: Database) -> None:
    chiefs = [f"chief-{number}" for number in range(PROCESSES)]
    for login in (*PEOPLE, *chiefs):
        api.sign_up(login)
        api.admit(login)
    for login in chiefs:
        assert Operator(api).types("users", "grant-admin", login).exit_code == 0
    chance, url = random.Random(ACTS), api.service.settings.db_url.get_secret_value()
    lives = [_begin(url, login, chance) for login in chiefs]
    killed, after = 0, 0
    while after < ACTS:
        after += chance.randint(*ACTS_OF_A_LIFE)
        wait_for("so many acts", lambda until=after: _has(db, until, lives), within_s=120)
        number = chance.randrange(PROCESSES)
        _kill(lives[number])
        killed += 1
        if after < ACTS:
            lives[number] = _begin(url, chiefs[number], chance)
    for life in lives:
        _kill(life)

    print(f"\n{_count(db)} acts, {killed} processes killed")  # noqa: T201 - for whoever runs it with -s
    assert db.read(random_acts.disagreements) == []


def _has(db: Database, acts: int, lives: list[BaseProcess]) -> bool:
    assert all(life.is_alive() for life in lives), "one ended by itself: see what it printed"
    return _count(db) >= acts


def _begin(url: str, login: str, chance: random.Random) -> BaseProcess:
    """Fork a process from one that has no threads and has loaded all modules."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.random_acts"])
    arguments = (url, login, list(PEOPLE), chance.getrandbits(32))
    life = context.Process(target=random_acts.act, args=arguments, daemon=True)
    life.start()
    return life


def _kill(life: BaseProcess) -> None:
    life.kill()
    life.join()
