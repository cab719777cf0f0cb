"""Argo CD: repositories, applications, syncs and health."""
