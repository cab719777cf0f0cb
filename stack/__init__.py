"""The whole of Slipway on one machine, on embedded defaults: `python -m stack up`, `python -m stack demo`."""
