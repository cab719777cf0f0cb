"""The commands of `slipway`, one module a subject."""
