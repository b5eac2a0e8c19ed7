"""Web page and its API; needs the extra `web` (fastapi, starlette and uvicorn are imported only here)."""

from monitor.outputs.web.context import AppContext
from monitor.outputs.web.server import Web
from monitor.outputs.web.set_up_page import SetUpContext, set_up_application

__all__ = ["AppContext", "SetUpContext", "Web", "set_up_application"]
