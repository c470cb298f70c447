"""``retaind predict``: an answer from the served model, with or without a daemon."""

from __future__ import annotations

from typing import Any

import click

from daemon.cli.options import Options, common, one_task, task_option


@click.command()
@click.argument("text")
@click.option("--pair", metavar="TEXT", help="The second text of a pair task.")
@task_option
@common
def predict(options: Options, text: str, pair: str | None, task: str | None) -> None:
    """Answer TEXT with the served model.

    Reads the champion and its HeadState from the state directory, so it needs no running daemon and
    answers as the daemon would.

    \b
    Example:
      retaind predict "my card was swallowed by the machine abroad"
    """
    from daemon.app import Rooms
    from daemon.errors import RetaindError
    from daemon.events import Input

    rooms = Rooms.make(options.load().config)
    name = one_task(rooms.config, task)
    champion = rooms.registry.alias(name, "champion")
    if champion is None:
        raise RetaindError(f"task {name!r} has no version yet: start `retaind run` once")
    import torch

    from daemon.serving.loading import Precision, load_served

    torch.set_num_threads(rooms.config.predict.threads)
    directory = rooms.paths.head(name, champion)
    predict_as = rooms.config.predict
    precision = Precision(predict_as.precision == "int8", predict_as.recheck_odds)
    served = load_served(rooms.registry.load(champion), directory, torch.device("cpu"), precision)
    answer: dict[str, Any] = {"task": name, **served.answer([Input(text, pair)], rooms.config.predict.top_k)[0]}
    if answer.get("label") is None and "reason" in answer:
        line = f"no answer: {answer['reason']}"
    else:
        line = "  ".join(f"{label} {score:.3f}" for label, score in answer.get("scores", {}).items())
    options.emit(answer, f"{line}\n(version {answer['version']}, labels seen {answer['labels_seen']})")
