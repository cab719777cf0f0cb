"""Former name of `worker.healthcheck`, kept for one release: health checks of running installations call it."""

import sys

from worker.healthcheck import main

if __name__ == "__main__":
    sys.exit(main())
