"""One suite for all vaults: whole or not at all, never replaced, given back as it was put."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from snaphold.clock import SystemClock
from snaphold.errors import EvidenceError, InputError, StorageError
from snaphold.vault.base import Vault
from snaphold.vault.local import LocalVault
from support.vault_rigs import FILES, KEEP, NAME, fill, put, s3_vault

Make = Callable[[Path], Vault]


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Vault:
    if request.param == "local":
        return LocalVault(tmp_path / "evidence")
    return s3_vault(tmp_path, request.getfixturevalue("seaweed"))


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_package_is_found_only_after_its_commit(vault: Vault) -> None:
    staged = fill(vault.stage(NAME))
    assert vault.find(NAME) is None
    final = vault.commit(staged, NAME, retain_until=SystemClock().now() + KEEP)
    assert vault.find(NAME) == final
    assert content_of(final) == FILES
    assert not staged.exists()


def test_the_vault_gives_back_what_was_put(vault: Vault, tmp_path: Path) -> None:
    put(vault)
    back = vault.read_back(NAME, tmp_path / "back", recorded=vault.stored(NAME))
    assert (back.faults, back.unreadable, back.notes) == ((), (), ())
    assert content_of(back.folder) == FILES


def test_a_sealed_package_is_never_replaced(vault: Vault) -> None:
    final = put(vault)
    with pytest.raises(StorageError, match="exists already"):
        put(vault, files={"bagit.txt": b"other"})
    assert vault.find(NAME) == final
    assert content_of(final) == FILES


def test_a_package_is_read_only_here_but_for_its_custody_folder(vault: Vault) -> None:
    final = put(vault)
    assert (final / "bagit.txt").stat().st_mode & 0o777 == 0o444
    assert (final / "custody/custody.jsonl").stat().st_mode & 0o777 == 0o644


def test_leftovers_of_a_lost_attempt_are_removed(vault: Vault) -> None:
    (vault.stage(NAME) / "leftover").write_text("x")
    assert list(vault.stage(NAME).iterdir()) == []


def test_a_package_that_is_not_there_is_said_so(vault: Vault, tmp_path: Path) -> None:
    assert vault.stored(NAME) is None
    assert vault.find(NAME) is None
    back = vault.read_back(NAME, tmp_path / "back", recorded=None)
    assert "gone" in back.faults[0]


@pytest.mark.parametrize("name", ["../EV-1", "a/b", "", ".hidden"])
def test_a_name_cannot_lead_out_of_the_vault(vault: Vault, name: str) -> None:
    with pytest.raises((InputError, StorageError, EvidenceError)):
        vault.stage(name)


def test_the_place_tells_what_protects_the_package(vault: Vault) -> None:
    place = vault.place(NAME, SystemClock().now() + KEEP)
    assert place.uri.endswith(f"/{NAME}")
    assert place.immutability


def test_holds_and_retention_say_how_they_are_enforced(vault: Vault) -> None:
    put(vault)
    remote = vault.stored(NAME) is not None
    for text in (
        vault.set_legal_hold(NAME, ["HOLD-1"]),
        vault.set_legal_hold(NAME, []),
        vault.extend_retention(NAME, SystemClock().now() + KEEP + timedelta(seconds=5)),
    ):
        assert text.startswith("S3 Object Lock: " if remote else "register only: ")
