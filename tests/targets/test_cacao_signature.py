"""Signatures of CACAO documents: the published example verifies, ours verify with openssl, every change is noticed."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from snaphold.errors import EvidenceError, InputError, UnverifiedEvidenceError
from snaphold.targets.cacao_signature import canonical, load_key, sign_cacao, sign_files, signed_text, verify_cacao
from support.cacao_play import cacao_set
from support.every_construct import everything
from support.needs import need_program

# The test vector that OASIS publishes (oasis-tcs/cacao, Examples/CACAO-2.0/signature-example-rsa.md).
PUBLIC = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAptKZyFPStvmOlb0WihOBhlHUr6wFDHC+tW7hJAudfTQ5mHZQpB8PoMz07udZA+dG8dhUIPkmXlp1"
    "TgREeYTHdhxhuf0y/GhbpZv5JPYHx3watO+HWO2qYkjRMEcrWhPMdaVkS/Xe/liaMcow4jYoWaFm8VobeYsyVD2bWWdyl4joTEETm1Z47RnnfR15kVhVudVr"
    "DzEFmM4nXV/6dmIg184RJE4httwBFxR8qZCQCwTiJmsoyJxfUR0Gs4ePKc5sB0NTkmFZc5klQSitd67RJn2ldhbqE7EpDl4XlIt+UyLJm1guCBltia8Agke7"
    "dXuhpB7hQ6LJwY4EjzthkJ8IPwIDAQAB"
)
VALUE = (
    "gXyPW--uUKvGXRh_oDC7IYlx13hGmkiQw6XX3YX_V_i4Y39OPilf0q0qf46aO3IrvG-5_fgeQ3dIunmizYneaVJKjsXo-gkJczvGDehlTjS7MBUIGyD9DRd4"
    "1DnaxWWwzU-T4sZCur664_3J0C-WRCDgZxiB_ItFpeSnPJ8rR8GRFO6M9YS-ejEGJl-sd_hfZUqjZOE_S_UWp_Fd9QYlP2cWDvGH8vFhx2ek9KovEob5Bh2L"
    "X_Gaf7t237B34wKeN4B8aqapyTh3Q8v_Z61bDTNLyi6ZA8zcrUOgCVLVMx_EFizx31WIDZrePsSpX4bfRurcvRyvNNVdWLaS96JYog"
)
PUBLISHED: dict[str, Any] = {
    "type": "playbook",
    "spec_version": "cacao-2.0",
    "id": "playbook--a0777575-5c4c-4710-9f01-15776103837f",
    "name": "Playbook 1",
    "created_by": "identity--5abe695c-7bd5-4c31-8824-2528696cdbf1",
    "created": "2022-05-18T11:31:31.319Z",
    "modified": "2022-05-18T11:31:31.319Z",
}
SIGNATURE: dict[str, Any] = {
    "type": "jss",
    "id": "jss--af892292-c4b4-47eb-9be6-4897ff4b9388",
    "created_by": "identity--5abe695c-7bd5-4c31-8824-2528696cdbf1",
    "created": "2023-01-10T17:39:31.319Z",
    "modified": "2023-01-10T17:39:31.319Z",
    "signee": "ACME Cyber Company",
    "valid_from": "2023-01-10T17:39:31.319Z",
    "valid_until": "2023-06-10T17:39:31.319Z",
    "related_to": "playbook--a0777575-5c4c-4710-9f01-15776103837f",
    "related_version": "2022-05-18T11:31:31.319Z",
    "hash_algorithm": "sha-256",
    "algorithm": "RS256",
    "public_key": PUBLIC,
}


def make_key(folder: Path, kind: str) -> Path:
    openssl, path = need_program("openssl"), folder / f"{kind}.pem"
    bits = ["-pkeyopt", "rsa_keygen_bits:2048"] if kind == "RSA" else []
    subprocess.run([openssl, "genpkey", "-quiet", "-algorithm", kind, *bits, "-out", str(path)], check=True, capture_output=True)
    return path


def document() -> dict[str, Any]:
    return next(iter(cacao_set(*everything()).values()))


def test_the_published_example_verifies() -> None:
    assert signed_text(PUBLISHED, SIGNATURE) == b"973bb6492184e4681b1eab9df1f56926fc1a91582e3529bfd0bfb231e1c51b0a"
    verify_cacao(PUBLISHED, {**SIGNATURE, "value": VALUE})


@pytest.mark.parametrize(
    ("changed", "signature"),
    [({"name": "Playbook 2"}, {}), ({}, {"signee": "Somebody"}), ({}, {"value": "A" + VALUE[1:]}), ({}, {"value": "?"})],
)
def test_any_change_is_noticed(changed: dict[str, Any], signature: dict[str, Any]) -> None:
    with pytest.raises(EvidenceError, match="the signature is wrong"):
        verify_cacao({**PUBLISHED, **changed}, {**SIGNATURE, "value": VALUE, **signature})


@pytest.mark.parametrize("change", [{"algorithm": "PS512"}, {"hash_algorithm": "md5"}, {"public_key": "no key"}])
def test_what_cannot_be_checked_is_not_called_wrong(change: dict[str, str]) -> None:
    with pytest.raises(UnverifiedEvidenceError):
        verify_cacao(PUBLISHED, {**SIGNATURE, "value": VALUE, **change})


@pytest.mark.parametrize("kind", ["RSA", "ED25519"])
def test_signing_twice_gives_the_same_bytes_and_verifies(kind: str, tmp_path: Path) -> None:
    key = load_key(make_key(tmp_path, kind))
    signed = sign_cacao(document(), key)
    assert sign_cacao(signed, key) == signed
    (signature,) = signed["signatures"]
    verify_cacao(signed, signature)
    signed["severity"] = 1
    with pytest.raises(EvidenceError):
        verify_cacao(signed, signature)


def test_another_signature_stays_and_both_verify(tmp_path: Path) -> None:
    signed = document()
    for kind in ("RSA", "ED25519"):
        signed = sign_cacao(signed, load_key(make_key(tmp_path, kind)))
    assert [found["algorithm"] for found in signed["signatures"]] == ["RS256", "Ed25519"]
    for found in signed["signatures"]:
        verify_cacao(signed, found)


def test_openssl_verifies_what_we_sign(tmp_path: Path) -> None:
    path = make_key(tmp_path, "RSA")
    signed = json.loads(sign_files({"a.json": json.dumps(document()).encode()}, path)["a.json"])
    (signature,) = signed["signatures"]
    value = signature["value"] + "=" * (-len(signature["value"]) % 4)
    (tmp_path / "value").write_bytes(base64.urlsafe_b64decode(value))
    bare = {**signed, "signatures": [{name: item for name, item in signature.items() if name != "value"}]}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    (tmp_path / "digest").write_text(hashlib.sha256(text).hexdigest())
    (tmp_path / "public.der").write_bytes(base64.b64decode(signature["public_key"]))
    openssl = need_program("openssl")
    pem = ["pkey", "-pubin", "-inform", "DER", "-in", str(tmp_path / "public.der"), "-out", str(tmp_path / "public.pem")]
    subprocess.run([openssl, *pem], check=True, capture_output=True)
    check = ["dgst", "-sha256", "-verify", str(tmp_path / "public.pem"), "-signature", str(tmp_path / "value")]
    done = subprocess.run([openssl, *check, str(tmp_path / "digest")], capture_output=True, text=True, check=False)
    assert done.stdout == "Verified OK\n"


def test_numbers_are_written_as_rfc_8785_says() -> None:
    assert canonical({"b": [1.0, 1.5, True, None], "a": "é\n"}) == '{"a":"é\\n","b":[1,1.5,true,null]}'.encode()
    for value in (float("nan"), 1e-9, 2**60):
        with pytest.raises(InputError, match="cannot be signed"):
            canonical([value])
    with pytest.raises(InputError, match="not ASCII"):
        canonical({"é": 1})


def test_keys_that_cannot_sign_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_key(tmp_path / "none.pem")
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(InputError, match="cannot be used"):
        load_key(tmp_path / "text.pem")
    with pytest.raises(InputError, match="cannot sign CACAO"):
        load_key(make_key(tmp_path, "X25519"))
