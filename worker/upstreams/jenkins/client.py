"""How do we see and make users, role assignments, pipelines and builds on Jenkins?

Jenkins answers people, not programs: a rejected form is a 200, an accepted one a 302, and a role call is a 200 whether
or not it did anything. So every write is proved by reading the object back.
Source: jenkinsci/jenkins 2.568, role-strategy 898, cloudbees-folder 6.1100.
"""

from __future__ import annotations

from worker.upstreams.jenkins.accounts import People, RoleAssignment, User
from worker.upstreams.jenkins.builds import Build, Builds, Console, QueueItem, Sighting
from worker.upstreams.jenkins.pipelines import Pipeline, Pipelines

__all__ = ["Build", "Console", "Jenkins", "Pipeline", "QueueItem", "RoleAssignment", "Sighting", "User"]


class Jenkins(People, Pipelines, Builds):
    """Jenkins, whole: people, pipelines and builds."""
