"""Web page and its API; needs the extra `web` (fastapi, starlette and uvicorn are imported only here)."""

from monitor.outputs.web.context import AppContext
from monitor.outputs.web.server import Web

__all__ = ["AppContext", "Web"]
