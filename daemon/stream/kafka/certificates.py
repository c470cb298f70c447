"""What a certificate says of itself, whether or not anybody trusts it: until when it is valid.

Python's ssl tells that only of certificates that it verified, and retaind wants to name the day of one that it did
not: hence these few lines of DER (X.690), which read the validity (RFC 5280 section 4.1.2.5) and nothing else.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

SEQUENCE, UTC_TIME, GENERALIZED_TIME, VERSION = 0x30, 0x17, 0x18, 0xA0
END = b"-----END CERTIFICATE-----"


def validity(der: bytes) -> tuple[datetime, datetime]:
    """First and last moment of an X.509 certificate. Raises ValueError for what is none."""
    try:
        ((_, certificate),) = _elements(der)
        (_, signed), *_ = _elements(certificate)
        fields = [value for tag, value in _elements(signed) if tag != VERSION]
        first, last = (_moment(tag, value) for tag, value in _elements(fields[3]))
    except (LookupError, ValueError) as error:
        raise ValueError(f"not a certificate: {error}") from None
    return first, last


def validity_of_file(pem: Path) -> tuple[datetime, datetime]:
    """Of the first certificate of a PEM file. Raises OSError, ValueError."""
    found, end, _ = pem.read_bytes().partition(END)
    return validity(ssl.PEM_cert_to_DER_cert((found[found.find(b"-----BEGIN CERT") :] + end).decode("ascii")))


def now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element, one after the other."""
    at = 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + size > len(data):
            raise ValueError("it ends too early")
        yield tag, data[at : at + size]
        at += size


def _moment(tag: int, value: bytes) -> datetime:
    form = {UTC_TIME: "%y%m%d%H%M%SZ", GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}[tag]
    found = datetime.strptime(value.decode("ascii"), form).replace(tzinfo=UTC)
    return found.replace(year=found.year - 100) if tag == UTC_TIME and found.year >= 2050 else found
