"""retaind: a daemon that keeps a text model up to date on a live stream.

Rooms, in the direction of imports (import-linter holds it)::

    errors, observe, clock <- events, config <- (strategies.base) <- tasks, models
        <- heads, buffer, registry, stream <- update, serving <- training
        <- roles <- http, metrics <- app <- backtest, testing <- bench <- cli
"""

__version__ = "0.1.0"
