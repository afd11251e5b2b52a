"""The MCP server at /mcp of the HTTP server. The first call loads the SDK: 28 MB and 0.6 s that most processes never need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.desk import Desk

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH = "/mcp"


class McpDoor:
    """Streamable HTTP without sessions: each call stands for itself, so that any worker can answer it.

    Nothing is sent but answers, so there is no stream to open (GET) and no session to end (DELETE). Who may call, from
    which origin and with how large a body is decided before, by the gate; the SDK's own check of Host and Origin, which
    protects servers that ask for no key, would only know addresses of this machine.

    An application needs both: ``door.mount(app)``, and in its lifespan ``async with door.running(): yield``.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._wanted: asyncio.Event | None = None
        self._manager: asyncio.Future[StreamableHTTPSessionManager] | None = None

    def mount(self, app: FastAPI) -> None:
        """Put the server at /mcp of an application."""
        app.router.routes.append(Route(PATH, endpoint=self, include_in_schema=False))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        :raises RuntimeError: The application's lifespan is not in `running`.
        """
        if self._wanted is None or self._manager is None:
            raise RuntimeError("the MCP door is closed: the application's lifespan has to be in McpDoor.running()")
        if scope["method"] != "POST":
            await PlainTextResponse("only POST is possible here", 405, {"Allow": "POST"})(scope, receive, send)
            return
        self._wanted.set()
        manager = await asyncio.shield(self._manager)
        await manager.handle_request(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be open for calls."""
        self._wanted, self._manager = asyncio.Event(), asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(self._serve(self._wanted, self._manager))
        try:
            yield
        finally:
            self._wanted = self._manager = None
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    async def _serve(self, wanted: asyncio.Event, ready: "asyncio.Future[StreamableHTTPSessionManager]") -> None:
        """Load the SDK when the first call comes, and keep its session manager running."""
        await wanted.wait()
        try:
            server = await run_in_threadpool(self._make_server)
        except Exception as error:  # those who wait are told
            ready.set_exception(error)
            return
        async with server.session_manager.run():
            ready.set_result(server.session_manager)
            await asyncio.Event().wait()

    def _make_server(self) -> "MCPServer":
        from mcp.server.transport_security import TransportSecuritySettings

        from service.mcp import make_server

        server = make_server(self._desk)
        unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        server.streamable_http_app(json_response=True, stateless_http=True, transport_security=unchecked)
        return server
