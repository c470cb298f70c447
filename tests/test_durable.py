"""What the system says of a disk becomes our error, where it is our disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from daemon.durable import written_to
from daemon.errors import StoreError, StoreFull


@pytest.mark.parametrize(
    ("number", "kind", "mend"),
    [(errno.ENOSPC, StoreFull, "make room"), (errno.EROFS, StoreError, "mount it"), (errno.EACCES, StoreError, "user")],
)
@pytest.mark.parametrize("named", [True, False])
def test_given_a_directory_that_cannot_be_written_then_it_and_the_mend_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StoreError], mend: str, named: bool
) -> None:
    # Given a state directory told by a relative path
    monkeypatch.chdir(tmp_path)
    file = str(tmp_path / "state" / "buffer.sqlite") if named else None
    with pytest.raises(kind, match=f"state: cannot be written: .*{mend}"), written_to(Path("state")):
        raise OSError(number, os.strerror(number), file)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied", "/etc/shadow"),
        PermissionError(errno.EACCES, "Permission denied", b"/etc/shadow"),
        OSError(errno.EIO, "Input/output error"),
    ],
)
def test_given_an_error_of_another_place_or_kind_then_it_stays_what_it_is(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError, match=error.strerror) as caught, written_to(tmp_path):
        raise error
    assert caught.value is error
