"""A deadline for a whole HTTP call, which the server cannot extend.

`requests` bounds each `recv`, not the call: a server that sends one header byte every nine seconds holds a thread for
hours. A `Watch` knows the socket that its call is using and shuts it down when the time is up, whatever is being read.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from contextvars import ContextVar
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection

_watching: ContextVar[Watch | None] = ContextVar("watching", default=None)


class Watch:
    """Bound one call: `sent` says whether its request may have left, `expired` whether its time ran out."""

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s
        self.sent = False
        self.expired = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(total_s, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._token = _watching.set(self)
        self._timer.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        _watching.reset(self._token)
        self._timer.cancel()
        with self._lock:  # the connection goes back to the pool: a timer that fires now must not touch it
            self._socket = None

    def connecting_on(self, connection: socket.socket) -> None:
        """Note the socket to a proxy that is asked to let us through: nothing of the request is sent yet."""
        self._use(connection)

    def sending_on(self, connection: socket.socket) -> None:
        """Note the socket just before the request's first byte is written to it."""
        self.sent = True
        self._use(connection)

    def _use(self, connection: socket.socket) -> None:
        with self._lock:
            self._socket = connection
            if self.expired:
                _shut(connection)

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            if self._socket is not None:
                _shut(self._socket)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already, which is what we want
        # SSLSocket.shutdown forgets its TLS state first, while another thread still reads
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class WatchedHTTP(HTTPConnection):
    """A connection whose socket the present `Watch` knows."""

    def send(self, data: Any) -> None:
        _notify_watch(self)
        super().send(data)


class WatchedHTTPS(HTTPSConnection):
    """The same with TLS."""

    _is_connecting = False

    def connect(self) -> None:
        self._is_connecting = True
        try:
            super().connect()
        finally:
            self._is_connecting = False

    def send(self, data: Any) -> None:
        """Send a part of a request, or, while it connects through a proxy, of the request for a tunnel."""
        if not self._is_connecting:
            _notify_watch(self)
        elif (watch := _watching.get()) is not None and self.sock is not None:
            watch.connecting_on(self.sock)
        super().send(data)


def _notify_watch(connection: HTTPConnection) -> None:
    if connection.sock is None:
        connection.connect()  # a failure in here is known to have sent nothing
    watch = _watching.get()
    if watch is not None and connection.sock is not None:
        watch.sending_on(connection.sock)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = WatchedHTTPS


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - the library's signature
        """Know no redirects: even unfollowed, requests would read their bodies without a bound."""
        return None


def open_session(pool_size: int, *, proxy: str | None = None) -> requests.Session:
    """Return a session that trusts no environment, keeps no cookies, follows nothing and never retries."""
    session = _Session()
    session.proxies = {"http": proxy, "https": proxy} if proxy else {}
    session.trust_env = False  # no netrc, proxy or CA bundle may change where our tokens go
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(pool_connections=4, pool_maxsize=pool_size, max_retries=Retry(0))
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    session.headers.update({"User-Agent": "slipway", "Accept-Encoding": "identity"})
    return session
