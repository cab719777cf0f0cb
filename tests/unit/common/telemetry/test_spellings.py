"""A secret is found however a text spells it, and what is beside it stays."""

from __future__ import annotations

import base64
import time

import pytest
from support.spelt import ENCODINGS

from common.telemetry import sent
from common.telemetry.spellings import HIDDEN, Secrets

CANARIES = ["glpat-c4nary_Tok3n/x+9==", 'ü"&/+c4nary ~\\é<b>', "🙂 canary of letters"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("canary", CANARIES)
def test_a_secret_is_hidden_in_every_spelling(canary: str, encoding: str) -> None:
    if encoding == "unicode" and not canary.isascii():
        pytest.skip("beyond 16 bits it takes two escapes, which json covers")
    spelt = ENCODINGS[encoding](canary)

    shown = Secrets([canary]).hide(f"the token [{spelt}] was revoked")

    assert spelt not in shown
    assert HIDDEN in shown
    assert shown.startswith("the token [")
    assert shown.endswith("] was revoked")


def test_of_base64_no_letter_of_a_secret_is_left() -> None:
    header = base64.b64encode(b"provisioner:glpat-c4nary").decode()

    shown = Secrets(["glpat-c4nary"]).hide(f"Authorization: Basic {header}")

    rest = shown.removeprefix("Authorization: Basic ").partition(HIDDEN)[0]
    assert shown.endswith(HIDDEN)
    assert b"glpat" not in base64.b64decode(rest + "=" * (-len(rest) % 4))


def test_words_beside_a_short_value_stay() -> None:
    assert Secrets(["abc", ""]).hide("abc abcd") == "abc abcd"


def test_hiding_takes_linear_time_and_little_of_it() -> None:
    secrets = Secrets(f"canary-number-{number}-of-many" for number in range(15))
    began_s = time.process_time()

    secrets.hide("canary-number-" * 4_000)

    assert time.process_time() - began_s < 1.0


def test_what_was_sent_counts_until_the_end_of_its_scope() -> None:
    with sent.scope(Secrets(["a setting of ours"])):
        sent.note(Secrets(["our token"]), Secrets(["a password"]))
        sent.note(Secrets(["our token"]))

        assert sent.hide("our token, a password, a setting of ours") == f"{HIDDEN}, {HIDDEN}, {HIDDEN}"
    assert sent.hide("a password") == "a password"


def test_outside_a_scope_the_last_call_counts() -> None:
    sent.note(Secrets(["our token"]), Secrets(["a password"]))
    assert sent.hide("our token, a password") == f"{HIDDEN}, {HIDDEN}"

    sent.note(Secrets(["our token"]))
    assert sent.hide("our token, a password") == f"{HIDDEN}, a password"
