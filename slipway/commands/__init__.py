"""The commands of `slipway`, by what they are about."""
