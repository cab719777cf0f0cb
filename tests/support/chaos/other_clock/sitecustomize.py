"""What a Python process under libfaketime loads first: a sleep that the library calls invalid is over.

It subtracts two looks at the clock, and a sleep whose end passes between them gets a negative time. No real system
answers so.
"""

from __future__ import annotations

import errno
import time

_sleep = time.sleep


def _sleep_under_faketime(seconds: float) -> None:
    try:
        _sleep(seconds)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


time.sleep = _sleep_under_faketime
