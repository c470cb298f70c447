"""The peer of ``retaind bench http``: FastAPI around a pipeline, as the documentation of both would have it.

``python -m daemon.bench.fastapi_peer MODEL PORT``: one worker, one torch thread; the route is a plain function, so
FastAPI runs it in its thread pool.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import uvicorn
from pydantic import BaseModel

from daemon.bench.peers import load_pipeline
from daemon.errors import RetaindError


class Asked(BaseModel):
    text: str


class Answered(BaseModel):
    label: str
    score: float


def make_app(model: Path) -> Any:
    """``POST /predict`` and ``GET /livez``. Raises RetaindError where FastAPI is not installed."""
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise RetaindError(
            "bench http measures against FastAPI, which is not installed: pip install fastapi"
        ) from error
    torch.set_num_threads(1)
    pipe = load_pipeline(model)
    app = FastAPI()

    @app.get("/livez")
    def livez() -> dict[str, bool]:
        return {"live": True}

    @app.post("/predict")
    def predict(asked: Asked) -> Answered:
        found = pipe(asked.text)[0]
        return Answered(label=found["label"], score=found["score"])

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
