"""Does an address answer with success?  `python -m server.probe URL`: exit 0 or 1, for the health checks of containers.

No proxy that the environment names gets between, and no redirect is followed to somewhere that is well.
"""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

WITHIN_S = 4.0


def is_well(url: str) -> bool:
    """Ask once. An answer other than 2xx, or none in time, is not well."""
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
