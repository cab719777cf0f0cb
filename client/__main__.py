"""`python -m client` is `slipway`."""

from client.cli import main

main()
