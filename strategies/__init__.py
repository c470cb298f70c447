"""Ways not to forget: one file each, named in ``catalog``. Imports nothing of ``daemon``."""
