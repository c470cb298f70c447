"""``retaind run``: all roles under a supervisor, or one of them."""

from __future__ import annotations

import sys

import click

from daemon.cli.options import Options, common


@click.command()
@click.option("--role", type=click.Choice(["ingest", "predict", "learn"]), help="Only this role, in this process.")
@click.option("--standby", is_flag=True, help="Wait for the role's lock instead of being refused.")
@click.option("--supervised", is_flag=True, hidden=True)
@common
def run(options: Options, role: str | None, standby: bool, supervised: bool) -> None:
    """Run the daemon until SIGTERM: ingest, learn and predict, restarted when they die.

    \b
    Example:
      retaind run --set http.port=8091
    """
    from daemon.logs import configure_logs

    configure_logs()
    loaded = options.load()
    if role is None:
        _supervise(options)
        return
    from daemon.launch import launch

    launch(loaded.config, role, standby=standby, supervised=supervised)


def _supervise(options: Options) -> None:
    from daemon.launch import supervise

    forwarded = ["--config", str(options.file)] if options.file is not None else []
    for item in options.sets:
        forwarded += ["--set", item]
    command = [sys.executable, "-m", "daemon.cli", "run", "--supervised", *forwarded, "--role"]
    status = supervise(options.load().config, {role: [*command, role] for role in ("ingest", "learn", "predict")})
    if status:
        raise click.exceptions.Exit(status)
