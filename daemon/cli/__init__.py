"""The command line. ``COMMANDS`` names every command; its module is imported when the command runs.

So ``retaind --help`` imports neither torch nor pydantic, and a new command is one line here, one module
beside this one, and one row in docs/reference/commands.md (tests hold the three together).

Exit status: 0 done, 1 failed, 2 wrong usage or configuration.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

import click

from daemon import __version__
from daemon.errors import RetaindError


class Entry(NamedTuple):
    """``target``: ``module:attribute`` of a click command; ``help``: what the list of commands says."""

    target: str
    help: str


COMMANDS: Mapping[str, Entry] = {
    "run": Entry("daemon.cli.run:run", "Run the daemon, or one of its roles."),
    "demo": Entry("daemon.cli.demo:demo", "Show the daemon learning, on a state directory of its own."),
    "produce": Entry("daemon.cli.produce:produce", "Write a file of events into the stream."),
    "predict": Entry("daemon.cli.predict:predict", "Answer a text with the served model."),
    "backtest": Entry("daemon.cli.backtest:backtest", "Play labelled history and measure what would have been served."),
    "bench": Entry("daemon.cli.bench:bench", "Measure what we claim."),
    "status": Entry("daemon.cli.status:status", "Where every task stands."),
    "train-now": Entry("daemon.cli.control_commands:train_now", "Start an update now."),
    "versions": Entry("daemon.cli.versions:versions", "Versions of the model: list, show, diff."),
    "promote": Entry("daemon.cli.control_commands:promote", "Serve a version, whatever the gate said."),
    "rollback": Entry("daemon.cli.control_commands:rollback", "Serve the previous champion again."),
    "pause": Entry("daemon.cli.control_commands:pause", "Start no update by itself."),
    "resume": Entry("daemon.cli.control_commands:resume", "Let updates start by themselves again."),
    "labels": Entry("daemon.cli.labels:labels", "Wrong labels: suspects, contradictions, release."),
    "buffer": Entry("daemon.cli.status:buffer", "The store of events: stats, export, erase."),
    "dlq": Entry("daemon.cli.dlq:dlq", "Dead letters: list, show, send back."),
    "check-config": Entry("daemon.cli.config_commands:check_config", "Check the configuration, and sample records."),
    "doctor": Entry("daemon.cli.doctor:doctor", "Check machine, configuration and state, each with its mend."),
    "config": Entry("daemon.cli.config_commands:config", "Show each value of the configuration with its origin."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and help, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command), entry.target
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; commands: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="retaind")
def cli() -> None:
    """A daemon that keeps a text model up to date: it learns from labelled events as they arrive.

    \b
    Example:
      retaind config show --set http.port=8091
    """


def main() -> None:
    """The console script. Turns every failure into one line on standard error and an exit status."""
    try:
        status = cli.main(prog_name="retaind", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except click.Abort:
        raise SystemExit(130) from None
    except RetaindError as error:
        click.echo(f"retaind: {error}", err=True)
        raise SystemExit(error.exit_status) from None
    except BrokenPipeError:  # the reader left (``| head``): nothing more can be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    raise SystemExit(status if isinstance(status, int) else 0)
