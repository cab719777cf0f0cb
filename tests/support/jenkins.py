"""What do the tests of builds share: a clock that they turn, and a pipeline that declares parameters."""

from __future__ import annotations

from xml.sax.saxutils import escape

from harbour.jenkins.app import Jenkins

SOURCE_URL = "https://git.example/dev/shop.git"
JOB = "dev/shop_dev"
PATH = "/job/dev/job/shop_dev"
STRING = "hudson.model.StringParameterDefinition"


class Clock:
    """A clock that only moves when it is told to; in halves and quarters of seconds its sums are exact."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += seconds


def pipeline(*parameters: str, marker: str = "slipway:app-1", properties: str = "", extra: str = "") -> str:
    """Return the config.xml of a pipeline with these string parameters; `extra` are more definitions, as XML."""
    strings = "".join(f"<{STRING}><name>{escape(name)}</name><trim>true</trim></{STRING}>" for name in parameters)
    definitions = strings + extra
    declared = (
        "<hudson.model.ParametersDefinitionProperty><parameterDefinitions>"
        f"{definitions}</parameterDefinitions></hudson.model.ParametersDefinitionProperty>"
    )
    return f"""<flow-definition>
  <description>{escape(marker)}</description>
  <properties>{declared if definitions else ""}{properties}</properties>
  <definition class="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition">
    <scm class="hudson.plugins.git.GitSCM"><userRemoteConfigs><hudson.plugins.git.UserRemoteConfig>
      <url>{SOURCE_URL}</url><credentialsId>gitlab</credentialsId>
    </hudson.plugins.git.UserRemoteConfig></userRemoteConfigs></scm>
    <scriptPath>Jenkinsfile</scriptPath>
  </definition>
  <disabled>false</disabled>
</flow-definition>"""


def slow_down(service: Jenkins) -> None:
    """Give every moment of a build a length of its own, so that a turned clock can stop in each."""
    service.quiet_period_s = 4.0
    service.pending_s = service.starting_s = service.attaching_s = service.finishing_s = service.stopping_s = 0.5
