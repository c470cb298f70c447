"""What stands between retaind and a broker."""

from __future__ import annotations


class Obstacle(Exception):
    """``says`` names the broker's address and the cause, ``mend`` what to do. ``denied``: the broker or a certificate
    says no, rather than that nobody answers. Never leaves this package."""

    def __init__(self, says: str, mend: str, *, denied: bool = False) -> None:
        super().__init__(says)
        self.says, self.mend, self.denied = says, mend, denied
