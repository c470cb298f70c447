"""The other process: ``python -m daemon.training JOB OUT`` turns a frozen job into a candidate version.

::

    __main__   environment, signals, exit status
    attempt    the phases of one attempt, in order
    context    what strategies see of the trainer
    loop       epochs and steps
    optimiser  fused AdamW, its groups and its schedule
    depth      which layer a weight belongs to, for layer-wise learning rates
    averaging  weights between the parent's and the trained ones
    answers    what a served model would say to a row: tuned head, fast head, blend
    refit      the fast head on the candidate's features
    score      champion and candidate on the same rows
    progress   progress.jsonl and the seconds of each phase

It reaches no store: the job's directory is all it has, OUT is all it writes.
"""
