"""Web page and its API; needs the extra `web` (fastapi, starlette and uvicorn are imported only here).

What the page needs takes 0.6 s of processor time to import, so nothing is imported here: `HttpServers` binds
the socket, and imports the rest while sounds are detected already.
"""
