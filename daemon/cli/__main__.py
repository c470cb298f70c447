"""``python -m daemon.cli`` is ``retaind``."""

from daemon.cli import main

main()
