"""The page, and the API behind it; extra `web`   (fastapi, starlette, uvicorn: only here)."""

from monitor.outputs.web.house import House
from monitor.outputs.web.server import Web

__all__ = ["House", "Web"]
