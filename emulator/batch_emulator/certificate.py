"""The self-signed certificate of --oauth: made once, kept private, trusted by whoever is told its path."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAYS = 365
RENEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where the certificate and its private key are."""

    path: Path
    key_path: Path


def certificate(folder: Path, host: str) -> Certificate:
    """The certificate in a folder, for loopback and `host`; a new one if there is none that is good for a month."""
    found = Certificate(folder / "certificate.pem", folder / "certificate-key.pem")
    if not _is_good(found, host):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(found, host)
    return found


def _names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    addresses = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    try:
        addresses.append(ipaddress.ip_address(host))
    except ValueError:
        names.append(x509.DNSName(host))
    return [*dict.fromkeys(names), *(x509.IPAddress(address) for address in dict.fromkeys(addresses))]


def _is_good(found: Certificate, host: str) -> bool:
    try:
        loaded = x509.load_pem_x509_certificate(found.path.read_bytes())
        serialization.load_pem_private_key(found.key_path.read_bytes(), None)
    except (OSError, ValueError):
        return False
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    left = loaded.not_valid_after_utc - dt.datetime.now(dt.UTC)
    return left > dt.timedelta(days=RENEW_DAYS) and all(name in names for name in _names(host))


def _make(wanted: Certificate, host: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "batch-emulator on this machine")])
    now = dt.datetime.now(dt.UTC)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = dict.fromkeys(
        (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        ),
        False,
    )  # fmt: skip
    usage |= {"digital_signature": True, "key_cert_sign": True}
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(own, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(wanted.key_path, private, 0o600)
    _write(wanted.path, made.public_bytes(serialization.Encoding.PEM), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    fresh.replace(path)
