"""Secrets of the configuration: from an environment variable or a file, from nowhere else, and shown nowhere.

Each stands beside a key ``NAME_file`` that names its file. The variable wins over the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretStr

from daemon.config.document import Given, Node, Tree
from daemon.config.models import Config
from daemon.errors import ConfigError


class Secret(NamedTuple):
    """``key``: dotted, as :class:`~daemon.config.models.Config` has it."""

    key: str
    variable: str

    @property
    def file_key(self) -> str:
        return f"{self.key}_file"


SECRETS = (
    Secret("http.token", "RETAIND_HTTP_TOKEN"),
    Secret("stream.kafka.sasl.password", "RETAIND_KAFKA_PASSWORD"),
    Secret("stream.kafka.sasl.client_secret", "RETAIND_KAFKA_CLIENT_SECRET"),
    Secret("stream.kafka.ssl.key_password", "RETAIND_KAFKA_KEY_PASSWORD"),
)
SECRET_KEYS = frozenset(secret.key for secret in SECRETS)
"""Values that no message, log or document may show."""
VARIABLES = frozenset(secret.variable for secret in SECRETS)
"""Names of the environment that are no key."""


def is_secret(annotation: Any) -> bool:
    """Whether a field of this type is one of them."""
    return bool(annotation == SecretStr | None)


def refuse_secrets(tree: Tree) -> None:
    """Raises ConfigError where a secret itself stands in the file or on the command line."""
    for secret in SECRETS:
        node: Node | None = tree
        for part in secret.key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, Given) and node.value is not None:
            raise ConfigError(
                f"{secret.key} ({node.origin}): a secret must not stand here; "
                f"set {secret.variable} in the environment or name a file in {secret.file_key}"
            )


def with_secrets(config: Config, environ: Mapping[str, str]) -> tuple[Config, Mapping[str, str]]:
    """The configuration with its secrets, and where each came from. Raises ConfigError for a file that says nothing.

    A variable whose section is not configured is passed over.
    """
    origins = {}
    for secret in SECRETS:
        *path, name = secret.key.split(".")
        section: Any = config
        for part in path:
            section = getattr(section, part, None)
        if section is None or name not in type(section).model_fields:
            continue
        file: Path | None = getattr(section, f"{name}_file")
        value = environ.get(secret.variable, "")
        if value:
            origins[secret.key] = secret.variable
        elif file is not None:
            value = _read(secret, file)
            origins[secret.key] = str(file)
        if value:
            config = _laid(config, [*path, name], SecretStr(value))
    return config, origins


def _laid(model: Any, path: list[str], value: SecretStr) -> Any:
    assert isinstance(model, BaseModel)
    inner = value if len(path) == 1 else _laid(getattr(model, path[0]), path[1:], value)
    return model.model_copy(update={path[0]: inner})


def _read(secret: Secret, file: Path) -> str:
    try:
        value = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{secret.file_key} = {str(file)!r}: cannot be read: {reason}") from None
    if not value:
        raise ConfigError(f"{secret.file_key} = {str(file)!r}: is empty; put the secret on its first line")
    return value
