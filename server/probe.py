"""Health check of a URL, for containers: `python -m server.probe URL` exits with 0 or 1.

Uses no proxy of the environment, and follows no redirect.
"""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

WITHIN_S = 4.0


def is_well(url: str) -> bool:
    """Return whether one request is answered with 2xx in time."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=WITHIN_S)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status // 100 == 2
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_well(sys.argv[1]) else 1)
