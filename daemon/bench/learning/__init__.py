"""``retaind bench learning``: learning without forgetting, ours beside Avalanche and joint training.

``run`` measures what ``plan`` says, each trial in a process of its own (``child``) on one ``history``: ``ours``,
``avalanche``, ``joint`` and ``shots``. ``classifier`` is the model of the peers, ``scores`` gives their values by the
names of a backtest's report; ``table`` and ``figure`` show what was found.
"""
