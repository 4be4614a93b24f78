"""The page of a running training, served to this machine alone and only to who knows its secret address."""

import hmac
import ipaddress
import json
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from caviar.errors import CaviarError, OptionError
from caviar.nursing.commands import read_json
from caviar.nursing.live import Live, Request
from caviar.report.panda import Page

HOST = "127.0.0.1"
LARGEST_BODY = 4096
"""Bytes that a request may send."""
_MOST_DIGITS = 9
# A command waits for the epochs that run now; who asks is told that it will be done.
_PATIENCE = 20.0
_SILENCE = 10.0
_FAREWELL = 2.0


class _Refused(Exception):  # noqa: N818 - an answer, not an error
    """Why a request is not answered."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Server:
    """Serves a page, its state and its commands.

    Args:
        live: What is shown and asked.
        page: As it is sent.
        port: Where it listens; 0 for any that is free.
        host: An address of this machine that no other one reaches.

    Raises:
        OptionError: The address is not a loopback one, or the port cannot be had.
    """

    def __init__(self, live: Live, page: Page, port: int = 0, host: str = HOST) -> None:
        if not _is_loopback(host):
            raise OptionError(
                f"Expected the page to be served to this machine alone, got the address {host}. Use {HOST}; from "
                f"another machine, come through ssh -L."
            )
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
            raise OptionError(f"Expected --port to be from 0 to 65535, got {port!r}. Leave it out for any.")
        self.token = secrets.token_urlsafe(24)
        self._live, self._page = live, page
        self._idle, self._busy = threading.Condition(), 0
        handler = type("Handler", (_Handler,), {"served": self})
        try:
            self._server = _Quiet((host, port), handler)
        except OSError as error:
            raise OptionError(
                f"Expected to serve the page at port {port}, but the system says: {error.strerror}. Choose another "
                f"--port, or leave it out."
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.hosts = {f"{name}:{self.port}" for name in (HOST, "localhost", "[::1]")}

    @property
    def address(self) -> str:
        """What a browser opens."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer while this lasts, in threads of their own."""
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True, name="caviar-page"
        )
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            with self._idle:  # who asked to stop is told so
                self._idle.wait_for(lambda: not self._busy, timeout=_FAREWELL)
            self._server.server_close()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While this lasts, an answer is on its way."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def page(self) -> Page:
        """What is shown."""
        return self._page

    def state(self, have: int) -> dict[str, Any] | None:
        """What the training looks like; None where the asker has that already."""
        seen = self._live.look()
        return None if seen["version"] == have else seen

    def do(self, given: Any) -> tuple[HTTPStatus, str]:  # noqa: ANN401 - whatever somebody sends
        """Carry out a command; says what became of it."""
        try:
            request = Request(read_json(given))
        except CaviarError as error:
            return HTTPStatus.BAD_REQUEST, str(error)
        if self._live.is_over:
            return HTTPStatus.CONFLICT, "The training has ended."
        self._live.ask(request)
        if not request.wait(_PATIENCE):
            return HTTPStatus.ACCEPTED, "It will be done when the epochs that run now are."
        return HTTPStatus.BAD_REQUEST if request.refused else HTTPStatus.OK, request.answer


class _Quiet(ThreadingHTTPServer):
    """Says nothing of a browser that leaves while it is answered: the terminal belongs to the training."""

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - Python's own signature
        """Called while an error is handled that ended a request."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request; `served` is set by the server."""

    served: Server
    server_version, sys_version = "caviar", ""
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE

    def do_GET(self) -> None:
        """The page, or its state."""
        self._answer(self._got)

    def do_POST(self) -> None:
        """A command."""
        self._answer(self._posted)

    def _answer(self, answered: Any) -> None:  # noqa: ANN401 - one of the two below
        with self.served.answering():
            try:
                status, kind, text = answered(self._place())
            except _Refused as refused:
                self.close_connection = True  # its body was not read
                status, kind, text = refused.status, "application/json", json.dumps({"said": refused.why})
            self._send(status, kind, text)

    def _place(self) -> str:
        """What is asked for, behind the secret.

        Raises:
            _Refused: It comes under another name, as after DNS rebinding, from another page, or without the secret.
        """
        if self.headers.get("Host", "") not in self.served.hosts:
            raise _Refused(HTTPStatus.FORBIDDEN, "This page is served to this machine alone.")
        origin = self.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in self.served.hosts:
            raise _Refused(HTTPStatus.FORBIDDEN, "This page takes no commands from others.")
        token, slash, place = urlsplit(self.path).path.lstrip("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(), self.served.token.encode()):
            raise _Refused(HTTPStatus.NOT_FOUND, "There is nothing here. Open the address that was printed.")
        return place

    def _got(self, place: str) -> tuple[HTTPStatus, str, str]:
        if place == "":
            return HTTPStatus.OK, "text/html; charset=utf-8", self.served.page().html
        if place == "state":
            have = parse_qs(urlsplit(self.path).query).get("have", [""])[0]
            state = self.served.state(_number(have))
            if state is None:
                return HTTPStatus.NO_CONTENT, "application/json", ""
            return HTTPStatus.OK, "application/json", json.dumps(state, allow_nan=False)
        raise _Refused(HTTPStatus.NOT_FOUND, "There is nothing here. Open the address that was printed.")

    def _posted(self, place: str) -> tuple[HTTPStatus, str, str]:
        if place != "do":
            raise _Refused(HTTPStatus.NOT_FOUND, "There is nothing here. Commands go to do.")
        if self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Expected JSON. Send application/json.")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "Expected a length. Send Content-Length.")
        if not 0 <= _number(length) <= LARGEST_BODY:
            raise _Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Expected at most {LARGEST_BODY} bytes. Send less."
            )
        try:
            given = json.loads(self.rfile.read(_number(length)))
        except (ValueError, RecursionError):
            raise _Refused(
                HTTPStatus.BAD_REQUEST, "Expected JSON, got something else. Send an object."
            ) from None
        status, said = self.served.do(given)
        return status, "application/json", json.dumps({"said": said})

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self.served.page().policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - Python's own signature
        """Say nothing: addresses hold the secret."""


def _number(text: str) -> int:
    """A whole number of so many digits at most; -1 for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else -1


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
