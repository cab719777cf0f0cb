"""The repair of an app by the steps that made it: each makes or confirms, and leaves what is right alone."""

from worker.steps.provision import (
    await_helm,
    await_source,
    create_application,
    create_pipeline,
    fork_helm,
    fork_source,
    open_to_developers,
    register_repository,
)

__all__ = [
    "await_helm",
    "await_source",
    "create_application",
    "create_pipeline",
    "fork_helm",
    "fork_source",
    "open_to_developers",
    "register_repository",
]
