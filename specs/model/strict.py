"""The base of all models: strict types, nothing unknown, nothing changed afterwards."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Immutable; refuses unknown keys and values of another type. Made from JSON, so that lists become tuples."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)
