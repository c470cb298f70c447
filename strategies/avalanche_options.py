"""Options of ``avalanche``. Torch-free: a plugin is judged by its source, Avalanche is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from strategies import avalanche_source as source
from strategies.avalanche_plugins import PLUGINS, refusal
from strategies.options import Options


class AvalancheOptions(Options):
    """``avalanche``: a plugin of Avalanche's, run inside the trainer."""

    plugin: Annotated[str, Field(validate_default=True)] = "LwFPlugin"
    """A class of ``avalanche.training.plugins``."""
    args: Annotated[Mapping[str, Any], Field(validate_default=True)] = {}
    """Arguments of its constructor, by name."""
    pool_events: Annotated[int, Field(ge=1)] = 1000
    """Stored events that the job's pool holds, at most, for a plugin that has a memory of examples."""
    max_experiences: Annotated[int, Field(ge=1)] = 10
    """A plugin that is told of the past again is told of at most so many earlier updates; older ones are one."""

    @field_validator("plugin")
    @classmethod
    def _runs_here(cls, plugin: str) -> str:
        try:
            found = refusal(plugin)
        except ValueError as error:
            found = str(error)
        if found is not None:
            raise PydanticCustomError("plugin", "{why}", {"why": found})
        return plugin

    @field_validator("args")
    @classmethod
    def _fit(cls, args: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        """Plain values, the plugin's own names."""
        plugin = info.data.get("plugin")
        if plugin is None:  # refused already
            return args
        model = PLUGINS[plugin].args
        allowed = [name for name in model.model_fields if name in source.signature(plugin)]
        unknown = sorted({str(name) for name in args} - set(allowed))
        try:
            if unknown:
                raise ValueError(f"no such argument of {plugin}: {', '.join(unknown)}; allowed: {', '.join(allowed)}")
            return model.model_validate(dict(args)).model_dump(exclude_unset=True)
        except ValidationError as error:
            why = "; ".join(_line(found) for found in error.errors()) + f" ({plugin})"
        except ValueError as error:
            why = str(error)
        raise PydanticCustomError("args", "{why}", {"why": why})

    def memory(self) -> int:
        """Events that the plugin's memory wants from the pool; 0 without one."""
        if PLUGINS[self.plugin].past != "pool":
            return 0
        given = PLUGINS[self.plugin].args.model_validate(dict(self.args))
        return min(self.pool_events, int(getattr(given, "mem_size", self.pool_events)))

    def experiences(self) -> int:
        """Into how many earlier updates the past is divided, at most: each needs a share of A-GEM's sample."""
        return min(self.max_experiences, int(self.args.get("sample_size", self.max_experiences)))


def _line(found: Any) -> str:
    key = ".".join(str(part) for part in found["loc"])
    message = found["msg"].removeprefix("Value error, ")
    if found["type"] == "missing":
        return f"needs {key}"
    return f"{key}: {found['input']!r}; {message[0].lower()}{message[1:]}" if key else message
