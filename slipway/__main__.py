"""Entry point of `python -m slipway`."""

from slipway.cli import main

main()
