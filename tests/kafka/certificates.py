"""A certificate authority of a test's own and what it signs, as PEM files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

HOSTS = ("127.0.0.1", "localhost")
YESTERDAY = timedelta(days=1)


class Certificates:
    """``ca``, ``other_ca`` (signed nothing here) and pairs of ``<name>.crt`` and ``<name>.key``.

    Pairs: server, expired_server, client, expired_client; and for brokers ``<name>.pem`` with key and chain.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        trustme.CA().cert_pem.write_to_path(self.other_ca)
        past = datetime.now(UTC) - YESTERDAY
        self._write("server", authority.issue_cert(*HOSTS))
        self._write("client", authority.issue_cert(*HOSTS, common_name="client"))
        for name in ("expired_server", "expired_client"):
            old = authority.issue_cert(*HOSTS, common_name=name, not_before=past - YESTERDAY, not_after=past)
            self._write(name, old)

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def other_ca(self) -> Path:
        return self.directory / "other-ca.crt"

    def certificate(self, name: str) -> Path:
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    def store(self, name: str) -> Path:
        """Key and chain in one file, the form of Kafka's PEM key stores."""
        return self.directory / f"{name}.pem"

    def _write(self, name: str, leaf: trustme.LeafCert) -> None:
        # Java reads private keys in PKCS 8 only.
        key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        self.certificate(name).write_bytes(chain)
        self.key(name).write_bytes(pem)
        self.store(name).write_bytes(pem + chain)
