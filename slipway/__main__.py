"""`python -m client` is `slipway`."""

from slipway.cli import main

main()
