"""The page behind the link in a mail: a button that confirms the e-mail address.

The token is the fragment of the address, so that neither logs nor proxies see it; and only a click sends it, because
mail servers open links to look for malware.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import ClassVar

from flask import Blueprint, Response

from api.contract.endpoint import Policy, ResponseBody
from api.serving.routing import route

blueprint = Blueprint("confirm_page", __name__)

SCRIPT = """
"use strict";
const button = document.querySelector("button");
const said = document.querySelector("p");
const confirmed = "Your e-mail address is confirmed. The sign-up goes on.";
const failed = "That did not work. Check your connection, and try again.";
async function confirm() {
  button.disabled = true;
  const sent = {token: location.hash.slice(1)};
  const headers = {"Content-Type": "application/json"};
  try {
    const answer = await fetch("api/v1/signups/confirm", {method: "POST", headers, body: JSON.stringify(sent)});
    const problem = await answer.json();
    said.textContent = answer.ok ? confirmed : `${problem.title}. ${problem.remedy}`;
    button.hidden = answer.ok;
  } catch {
    said.textContent = failed;
  }
  button.disabled = false;
}
button.addEventListener("click", confirm);
"""
PAGE = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Slipway: confirm your e-mail address</title>
</head>
<body>
<h1>Confirm your e-mail address</h1>
<p>If you have signed up, press the button. If it was not you, close this page: no account is made.</p>
<button>Confirm</button>
<noscript>This page needs JavaScript.</noscript>
<script>{SCRIPT}</script>
</body>
</html>
"""
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src 'sha256-{b64encode(sha256(SCRIPT.encode()).digest()).decode()}'",  # this script and no other
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


class ConfirmPage(ResponseBody):
    """The page."""

    media_type: ClassVar[str] = "text/html"


@route(blueprint, "GET", "/confirm", policy=Policy.PUBLIC, answers={200: ConfirmPage}, base="")
def show_confirm_page() -> Response:
    """Confirm an e-mail address in a browser. Links in mails lead here."""
    page = Response(PAGE, mimetype=ConfirmPage.media_type)
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return page
