"""The instance's settings, as far as they are read from outside.

Source: GitLab API, "Application settings".
"""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.gitlab.errors import Params, as_json, bad_parameters
from harbour.gitlab.state import GitLabBase
from harbour.gitlab.users import API
from harbour.server import route

RETENTION_DAYS = range(1, 91)


class Settings(GitLabBase):
    """`/application/settings`: for administrators."""

    retention_days = 30
    """For how long what is marked for deletion is kept."""

    project_api_limit = 400
    """Reads of single projects that a user may make in a minute; only shown."""
    is_throttled = False
    """Whether the limit of all calls of a user, 7200 an hour, is on; only shown."""

    @route("GET", f"{API}/application/settings")
    def show_settings(self, _request: Request) -> Response:
        return as_json(self._settings())

    @route("PUT", f"{API}/application/settings")
    def change_settings(self, request: Request) -> Response:
        days = Params(request).number("deletion_adjourned_period")
        if days is not None and days not in RETENTION_DAYS:
            bad_parameters("deletion_adjourned_period does not have a valid value")
        self.retention_days = days or self.retention_days
        return as_json(self._settings())

    def _settings(self) -> dict[str, Any]:
        return {
            "id": 1,
            **({"maintenance_mode": self.is_read_only} if self.config.gitlab_edition == "ee" else {}),
            "deletion_adjourned_period": self.retention_days,
            "project_api_limit": self.project_api_limit,
            "throttle_authenticated_api_enabled": self.is_throttled,
            "throttle_authenticated_api_requests_per_period": 7200,
            "throttle_authenticated_api_period_in_seconds": 3600,
            "default_branch_protection_defaults": {
                "allowed_to_push": [{"access_level": 40}],
                "allowed_to_merge": [{"access_level": 40}],
                "allow_force_push": False,
                "developer_can_initial_push": False,
            },
            "password_authentication_enabled_for_web": True,
            "require_admin_approval_after_user_signup": False,
        }
