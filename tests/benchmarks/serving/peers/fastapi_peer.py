"""A plain FastAPI application around the model: `MODEL=litert|savedmodel uvicorn fastapi_peer:app`."""

import os
from typing import Any

import digits
from fastapi import FastAPI
from pydantic import BaseModel

predict = getattr(digits, os.environ["MODEL"])()
app = FastAPI()


class Request(BaseModel):
    instances: list[Any]


@app.get("/healthz")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/predict")
async def answer(request: Request) -> dict[str, Any]:
    return {"predictions": predict(request.instances)}
