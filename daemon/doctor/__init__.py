"""``retaind doctor``: one small check a question, each with what was found and how to mend it.

``machine`` asks what needs no configuration, ``state`` what lies in the state directory, ``models`` what is
served, ``resources`` what the configuration asks of this machine, ``stream`` whether the stream's brokers let us in.
:data:`daemon.doctor.checks.CHECKS` names them all, in the order in which they are told.

Guarantees:

1. Nothing is changed: no directory is made, no signature written, nothing fetched. A probe file is written
   into the state directory and taken away again.
2. It may be run beside a daemon.
"""
