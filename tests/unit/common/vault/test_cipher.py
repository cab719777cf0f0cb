"""A sealed secret opens where it was sealed, with a key that we have, and nowhere else."""

from __future__ import annotations

import pytest

from common.vault.cipher import NONCE_BYTES, CannotOpenError, Vault

OLD, NEW = "the old key, of thirty-two characters or more", "the new key, of thirty-two characters or more"
SECRET = "pässwörd with 漢字 in it"


def test_what_was_sealed_opens() -> None:
    vault = Vault([OLD])

    key_id, sealed = vault.seal(SECRET, job_id="job-1", purpose="password")

    assert vault.open(key_id, sealed, job_id="job-1", purpose="password") == SECRET
    assert SECRET.encode() not in sealed


def test_sealing_twice_shows_nothing_in_common() -> None:
    vault = Vault([OLD])

    first, second = (vault.seal(SECRET, job_id="job-1", purpose="password")[1] for _ in range(2))

    assert first[:NONCE_BYTES] != second[:NONCE_BYTES]
    assert first[NONCE_BYTES:] != second[NONCE_BYTES:]


@pytest.mark.parametrize(("job_id", "purpose"), [("job-2", "password"), ("job-1", "token")])
def test_a_secret_moved_to_another_row_does_not_open(job_id: str, purpose: str) -> None:
    vault = Vault([OLD])
    key_id, sealed = vault.seal(SECRET, job_id="job-1", purpose="password")

    with pytest.raises(CannotOpenError, match="does not belong to this row"):
        vault.open(key_id, sealed, job_id=job_id, purpose=purpose)


def test_swapped_secrets_do_not_open() -> None:
    vault = Vault([OLD])
    rows = {job: vault.seal(SECRET, job_id=job, purpose="password") for job in ("job-1", "job-2")}

    for job, other in (("job-1", "job-2"), ("job-2", "job-1")):
        with pytest.raises(CannotOpenError):
            vault.open(*rows[other], job_id=job, purpose="password")


@pytest.mark.parametrize("damage", [lambda sealed: sealed[:-1], lambda sealed: sealed[:5], lambda _: b""])
def test_a_damaged_secret_does_not_open(damage) -> None:  # type: ignore[no-untyped-def] # a lambda of the line above
    vault = Vault([OLD])
    key_id, sealed = vault.seal(SECRET, job_id="job-1", purpose="password")

    with pytest.raises(CannotOpenError):
        vault.open(key_id, damage(sealed), job_id="job-1", purpose="password")


def test_after_a_rotation_old_secrets_open_and_new_ones_are_sealed_with_the_new_key() -> None:
    before, after = Vault([OLD]), Vault([NEW, OLD])
    old_id, old_sealed = before.seal(SECRET, job_id="job-1", purpose="password")

    new_id, new_sealed = after.seal(SECRET, job_id="job-1", purpose="password")

    assert new_id != old_id
    assert after.open(old_id, old_sealed, job_id="job-1", purpose="password") == SECRET
    assert Vault([NEW]).open(new_id, new_sealed, job_id="job-1", purpose="password") == SECRET


def test_a_key_that_is_gone_is_said_to_be_gone() -> None:
    key_id, sealed = Vault([OLD]).seal(SECRET, job_id="job-1", purpose="password")

    with pytest.raises(CannotOpenError, match="no longer configured"):
        Vault([NEW]).open(key_id, sealed, job_id="job-1", purpose="password")


def test_a_key_cannot_be_passed_off_as_another() -> None:
    old_id, _ = Vault([OLD]).seal(SECRET, job_id="job-1", purpose="password")
    _, sealed = Vault([NEW]).seal(SECRET, job_id="job-1", purpose="password")

    with pytest.raises(CannotOpenError):
        Vault([NEW, OLD]).open(old_id, sealed, job_id="job-1", purpose="password")


def test_errors_name_neither_key_nor_secret() -> None:
    key_id, sealed = Vault([OLD]).seal(SECRET, job_id="job-1", purpose="password")

    for vault in (Vault([NEW]), Vault([OLD])):
        with pytest.raises(CannotOpenError) as refused:
            vault.open(key_id, sealed, job_id="job-2", purpose="password")
        assert not {OLD, NEW, SECRET} & set(str(refused.value).split())
        assert "key, of" not in repr(vault)
