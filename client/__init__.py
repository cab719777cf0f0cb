"""Deprecated name of the package `slipway`, kept for one release: `from slipway import Client`."""

import warnings

from slipway import *  # noqa: F403 - the same names
from slipway import __all__ as __all__

warnings.warn(
    "the package `client` is now `slipway`: write `from slipway import Client`", DeprecationWarning, stacklevel=2
)
