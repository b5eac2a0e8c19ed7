"""The page, and the API behind it; extra `web`   (fastapi, starlette, uvicorn: only here)."""

from monitor.outputs.web.context import AppContext
from monitor.outputs.web.server import Web

__all__ = ["AppContext", "Web"]
