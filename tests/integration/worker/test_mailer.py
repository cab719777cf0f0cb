"""Mails reach people through a real SMTP server, whatever becomes of it, and nobody adds a header or reads a token."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update
from support.certificates import certify
from support.mail_server import MailServer, serving
from support.world import World

from common.database.models import Base, Job, Mail, PasswordReset, SignupReview, User
from common.jobs import lifecycle, outbox, reset_codes, signup_reviews
from common.jobs.interventions import NotPossibleError
from common.states import JobState, ReviewState, StepState
from common.vault import sealed_passwords
from common.workflows import SIGNUP
from worker import mailer
from worker.doctor.mail import MailChecks
from worker.mailer import Mailer, message_to
from worker.upstreams.check import CheckFailedError

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)

TOKEN = re.compile(r"https://slipway\.example\.com/confirm#([A-Za-z0-9_-]{43})\r?\n")
NewName = Callable[[str], str]


@pytest.fixture
def server() -> Iterator[MailServer]:
    with serving(MailServer()) as told:
        yield told


def _mailer(world: World, port: int, **changes: Any) -> Mailer:
    told = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none", "smtp_from": "slipway@example.com"}
    link = {"slipway_ext_url": "https://slipway.example.com"}
    return Mailer(world.db, world.settings.model_copy(update={**told, **link, **changes}))


def _sign_up(world: World, login: str) -> Job:
    """Accept a sign-up whose address is to be confirmed, as the API does."""
    user = world.add_user(login)
    inputs = {"login": login, "email": user.email, "name": user.name, "team": "dev"}

    def work(session: Any) -> Job:
        now, state = world.db.now(), ReviewState.UNCONFIRMED
        job = lifecycle.accept(
            session, SIGNUP, now=now, subject_id=user.id, team_id="dev", user_id=user.id, request_id="r", inputs=inputs,
            pending=signup_reviews.PENDING[state],
        )  # fmt: skip
        ends_at = signup_reviews.ends_at(state, world.settings, now)
        signup_reviews.begin(session, job, state, now=now, ends_at=ends_at)
        sealed_passwords.seal(session, world.context.vault, job_id=job.id, password="engines weave numbers", now=now)
        return job

    return world.db.transaction(work)


def _confirm(world: World, token: str, **changes: Any) -> Job:
    config = world.settings.model_copy(update=changes)
    return world.db.transaction(lambda session: signup_reviews.confirm(session, token, config, world.db.now()).job)


def _token(server: MailServer, number: int = -1) -> str:
    (token,) = TOKEN.findall(server.messages[number].get_content())
    return token


def _mails(world: World) -> int:
    return world.db.read(lambda session: session.scalar(select(func.count()).select_from(Mail))) or 0


def test_the_link_of_the_mail_lets_the_sign_up_begin(world: World, new_name: NewName, server: MailServer) -> None:
    login = new_name("ada")
    job = _sign_up(world, login)

    assert _mailer(world, server.port).send_due() == 1

    (message,) = server.messages
    assert server.recipients == [[f"{login}@example.com"]]
    assert (message["To"], message["From"]) == (f"{login}@example.com", "Slipway <slipway@example.com>")
    assert f"signed up as {login} " in message.get_content()
    assert (_mails(world), _mailer(world, server.port).send_due()) == (0, 0)
    confirmed = _confirm(world, _token(server))
    assert (confirmed.id, confirmed.input["email_confirmed"]) == (job.id, True)
    assert _confirm(world, _token(server)).id == job.id, "twice is fine"
    assert [step.state for step in world.step_rows(job) if step.position == 0] == [StepState.READY]


def test_no_token_is_in_the_database_before_or_after(world: World, new_name: NewName, server: MailServer) -> None:
    _sign_up(world, new_name("ada"))
    _mailer(world, server.port).send_due()

    token = _token(server)
    tables = Base.metadata.sorted_tables
    rows = world.db.read(lambda session: [str(session.execute(select(table)).all()) for table in tables])
    assert not [text for text in rows if token in text]


def test_a_mail_outlives_a_server_that_is_away_and_one_that_dies_in_the_middle(
    world: World, new_name: NewName, server: MailServer
) -> None:
    _sign_up(world, new_name("ada"))
    assert _mailer(world, 1).send_due() == 0, "nobody listens there"
    for command, answer in (("MAIL", "421 Closing"), ("RCPT", "451 Later"), ("DATA", "452 Full"), ("EHLO", "500 What")):
        world.time.advance(outbox.LONGEST_PAUSE_S)
        server.refusals = {command: answer, "HELO": answer}
        assert _mailer(world, server.port).send_due() == 0, command
    assert _mails(world) == 1

    server.refusals = {}
    assert _mailer(world, server.port).send_due() == 0, "not before its pause is over"
    world.time.advance(outbox.LONGEST_PAUSE_S)
    assert _mailer(world, server.port).send_due() == 1
    assert _confirm(world, _token(server)).state is JobState.QUEUED


def test_a_later_link_replaces_an_earlier_one(world: World, new_name: NewName, server: MailServer) -> None:
    job = _sign_up(world, new_name("ada"))
    _mailer(world, server.port).send_due()
    now = world.db.now()
    world.db.transaction(
        lambda session: outbox.put(session, job.subject_id, outbox.CONFIRM_SIGNUP, now=now, expires_at=now)
    )
    _mailer(world, server.port).send_due()

    with pytest.raises(NotPossibleError, match="later mail"):
        _confirm(world, _token(server, 0))
    assert _confirm(world, _token(server)).id == job.id


def test_a_link_expires_and_the_sign_up_ends_without_its_password(
    world: World, new_name: NewName, server: MailServer
) -> None:
    job = _sign_up(world, new_name("ada"))
    _mailer(world, server.port).send_due()
    world.time.advance(signup_reviews.LINK_LIVES.total_seconds())

    with pytest.raises(NotPossibleError, match="expired"):
        _confirm(world, _token(server))
    signup_reviews.expire(world.db)

    assert world.job(job).state is JobState.CANCELLED
    assert not world.db.read(lambda session: sealed_passwords.is_kept(session, job.id))
    assert world.db.read(lambda session: session.get_one(SignupReview, job.id)).state is ReviewState.LAPSED
    with pytest.raises(NotPossibleError, match="ended"):
        _confirm(world, _token(server))


def test_where_both_are_needed_an_administrator_is_asked_after_the_person(
    world: World, new_name: NewName, server: MailServer
) -> None:
    job = _sign_up(world, new_name("ada"))
    with pytest.raises(NotPossibleError, match="not confirmed"):
        world.db.transaction(lambda session: signup_reviews.approve(session, job.id, by=None, now=world.db.now()))
    _mailer(world, server.port).send_due()

    _confirm(world, _token(server), signup_approval=True)

    assert world.step_rows(job)[0].code == "approval"
    assert {step.state for step in world.step_rows(job)} == {StepState.PENDING}
    world.db.transaction(lambda session: signup_reviews.approve(session, job.id, by=None, now=world.db.now()))
    assert StepState.READY in {step.state for step in world.step_rows(job)}


@pytest.mark.parametrize("is_confirmed", [False, True])
def test_gitlab_takes_an_address_for_confirmed_that_was_confirmed_here_and_no_other(
    world: World, new_name: NewName, is_confirmed: bool
) -> None:
    job = world.sign_up(new_name("ada"))
    if is_confirmed:
        confirmed = update(Job).where(Job.id == job.id).values(input={**job.input, "email_confirmed": True})
        world.db.transaction(lambda session: session.execute(confirmed))
    world.context = replace(
        world.context, settings=world.settings.model_copy(update={"gitlab_skip_confirmation": False})
    )

    world.runner_named("strict").run(job.id, "create_gitlab_user")

    user = next(each for each in world.harbour.gitlab.state.users.values() if each.username == job.input["login"])
    assert bool(user.confirmed_at) is is_confirmed


def test_a_mail_that_is_of_no_use_any_more_is_not_sent(world: World, new_name: NewName, server: MailServer) -> None:
    job = _sign_up(world, new_name("ada"))
    reason = {"reason": "unknown", "now": world.db.now()}
    world.db.transaction(lambda session: signup_reviews.reject(session, job.id, by=None, **reason))

    assert _mailer(world, server.port).send_due() == 0
    assert (server.messages, _mails(world)) == ([], 0)


def test_an_address_that_the_server_refuses_holds_up_no_other(
    world: World, new_name: NewName, server: MailServer
) -> None:
    _sign_up(world, new_name("ada"))
    server.refusals = {"RCPT": "550 No such user"}
    assert _mailer(world, server.port).send_due() == 0
    server.refusals = {}
    _sign_up(world, new_name("betty"))

    assert _mailer(world, server.port).send_due() == 1
    assert _mails(world) == 0


def test_a_forgotten_password_is_set_anew_with_the_code_of_a_mail(
    world: World, new_name: NewName, server: MailServer
) -> None:
    person = world.add_user(new_name("ada"))

    def ask(**changes: Any) -> int:
        def work(session: Any) -> None:
            session.execute(update(User).where(User.id == person.id).values(**changes))
            now = world.db.now()
            outbox.put(session, person.id, outbox.RESET_PASSWORD, now=now, expires_at=now + reset_codes.CODE_LIVES)

        world.db.transaction(work)
        return _mailer(world, server.port).send_due()

    assert ask(is_admin=False) == 0, "nobody knows whose the address is"
    assert ask(email_confirmed_at=world.db.now(), is_admin=True) == 0, "another administrator helps"
    assert ask(is_admin=False) == 1

    (message,) = server.messages
    (code,) = re.findall(r"^([A-Za-z0-9_-]{43})\r?$", message.get_content(), re.M)
    stored = world.db.read(lambda session: session.get_one(PasswordReset, person.id))
    assert (message["To"], stored.code_hash) == (person.email, reset_codes.hash_of(code))
    assert ask(left_at=world.db.now()) == 0
    assert _mails(world) == 0


def test_a_server_that_answers_drop_by_drop_is_left_before_another_worker_makes_a_new_link(
    world: World, new_name: NewName, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outbox.SENT_WITHIN_S < outbox.FIRST_PAUSE_S
    monkeypatch.setattr(outbox, "SENT_WITHIN_S", 0.2)
    _sign_up(world, new_name("ada"))

    with serving(MailServer(drips=50)) as tarpit:
        assert _mailer(world, tarpit.port).send_due() == 0

    assert _mails(world) == 1, "it is sent later"


def test_no_link_is_made_when_no_time_is_left_to_send_it(
    world: World, new_name: NewName, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "SENT_WITHIN_S", 0)
    job = _sign_up(world, new_name("ada"))

    assert _mailer(world, server.port).send_due() == 0

    assert world.db.read(lambda session: session.get_one(SignupReview, job.id)).token_hash is None


def test_a_round_takes_no_mail_that_it_does_not_send(
    world: World, new_name: NewName, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer, "IN_A_ROUND", 1)
    for name in ("ada", "betty"):
        _sign_up(world, new_name(name))

    assert [_mailer(world, server.port).send_due() for _ in range(3)] == [1, 1, 0]


def test_of_two_workers_one_sends(world: World, new_name: NewName) -> None:
    _sign_up(world, new_name("ada"))

    taken = [outbox.take_next(world.db) for _ in range(2)]

    assert [mail is None for mail in taken] == [False, True]


def test_tls_and_a_login_are_used_and_nothing_goes_in_clear(world: World, new_name: NewName, tmp_path: Path) -> None:
    context, ca_file = certify(tmp_path)
    login = {"smtp_user": "slipway", "smtp_password": SecretStr("canary of the mail"), "smtp_tls": "starttls"}
    _sign_up(world, new_name("ada"))
    with serving(MailServer(login=("slipway", "canary of the mail"))) as in_clear:
        assert _mailer(world, in_clear.port, **login).send_due() == 0, "it offers no STARTTLS"
        assert in_clear.messages == []
    world.time.advance(outbox.LONGEST_PAUSE_S)

    with serving(MailServer(tls=context, login=("slipway", "canary of the mail"))) as server:
        assert _mailer(world, server.port, **login).send_due() == 0, "nobody vouches for its certificate"
        world.time.advance(outbox.LONGEST_PAUSE_S)
        assert _mailer(world, server.port, **login, smtp_ca_file=Path(ca_file)).send_due() == 1


@pytest.mark.parametrize("address", ["ada@example.com\r\nBcc: all@example.com", "ada@example.com\nX: y", "a\rb@c.de"])
def test_no_address_adds_a_header(address: str, db_url: str) -> None:  # noqa: ARG001 - of the whole file
    with pytest.raises(ValueError, match="linefeed or carriage return"):
        message_to(address, "slipway@example.com", subject="s", text="t")


def test_the_doctor_asks_the_mail_server(world: World, server: MailServer) -> None:
    (check,) = MailChecks(_mailer(world, server.port)._settings).all()  # noqa: SLF001 - how they are put together is above
    assert check.run() == "it takes mails of slipway@example.com"
    server.refusals = {"MAIL": "553 Not yours"}
    with pytest.raises(CheckFailedError, match="553"):
        check.run()
    assert MailChecks(world.settings).all() == ()
