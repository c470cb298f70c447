"""When a certificate is valid, read from its DER, against what made it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from daemon.stream.kafka.certificates import validity, validity_of_file

FIRST = datetime(2026, 2, 28, 23, 59, 58, tzinfo=UTC)


@pytest.mark.parametrize(
    "last", [datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2060, 1, 2, 3, 4, 5, tzinfo=UTC)]
)
def test_both_forms_of_time_are_read(tmp_path: Path, last: datetime) -> None:
    # Given a certificate (RFC 5280: UTCTime before 2050, GeneralizedTime after), with its key before it in the file
    leaf = trustme.CA().issue_cert("kafka-1.example", not_before=FIRST, not_after=last)
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    assert validity_of_file(tmp_path / "both.pem") == (FIRST, last)


def test_whatever_is_cut_short_is_no_certificate() -> None:
    der = ssl.PEM_cert_to_DER_cert(trustme.CA().issue_cert("a.example").cert_chain_pems[0].bytes().decode())
    assert validity(der)[0] < validity(der)[1]
    for length in range(0, len(der), 7):
        with pytest.raises(ValueError, match="not a certificate"):
            validity(der[:length])
