"""The permissions that this Jenkins knows, by their ids."""

from __future__ import annotations

_VERBS = {
    "hudson.model.Hudson": ("Administer", "Manage", "Read", "SystemRead"),
    "hudson.model.Item": (
        "Build",
        "Cancel",
        "Configure",
        "Create",
        "Delete",
        "Discover",
        "ExtendedRead",
        "Move",
        "Read",
        "Workspace",
    ),
    "hudson.model.Run": ("Artifacts", "Delete", "Replay", "Update"),
    "hudson.model.View": ("Configure", "Create", "Delete", "Read"),
    "hudson.model.Computer": ("Build", "Configure", "Connect", "Create", "Delete", "Disconnect"),
    "hudson.scm.SCM": ("Tag",),
    "com.cloudbees.plugins.credentials.CredentialsProvider": (
        "Create",
        "Delete",
        "ManageDomains",
        "Update",
        "UseItem",
        "UseOwn",
        "View",
    ),
}  # fmt: skip - one line a class
PERMISSIONS = frozenset(f"{group}.{verb}" for group, verbs in _VERBS.items() for verb in verbs)
