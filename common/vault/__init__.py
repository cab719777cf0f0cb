"""Secrets at rest: the cipher, key rotation, sealed passwords."""
