"""What do the tests of builds share: a clock that they turn, and a pipeline that declares parameters."""

from __future__ import annotations

from xml.sax.saxutils import escape

from harbour.jenkins.app import Jenkins

JOB = "dev/shop_dev"
PATH = "/job/dev/job/shop_dev"
SCRIPT = """pipeline {
    agent any
    stages {
        stage('Checkout') { steps { echo 'nothing to check out' } }
        stage('Test') { steps { sh 'make test' } }
        stage('Image') { steps { sh 'make image' } }
    }
}"""
STRING = "hudson.model.StringParameterDefinition"


class Clock:
    """A clock that only moves when it is told to; in halves and quarters of seconds its sums are exact."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += seconds


def pipeline(
    *parameters: str, marker: str = "slipway:app-1", properties: str = "", extra: str = "", script: str = SCRIPT
) -> str:
    """Return the config.xml of a pipeline with these string parameters; `extra` are more definitions, as XML.

    Its Jenkinsfile is written into the job: these tests have no repository.
    """
    strings = "".join(f"<{STRING}><name>{escape(name)}</name><trim>true</trim></{STRING}>" for name in parameters)
    definitions = strings + extra
    declared = (
        "<hudson.model.ParametersDefinitionProperty><parameterDefinitions>"
        f"{definitions}</parameterDefinitions></hudson.model.ParametersDefinitionProperty>"
    )
    return f"""<flow-definition>
  <description>{escape(marker)}</description>
  <properties>{declared if definitions else ""}{properties}</properties>
  <definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition">
    <script>{escape(script)}</script><sandbox>true</sandbox>
  </definition>
  <disabled>false</disabled>
</flow-definition>"""


def slow_down(service: Jenkins) -> None:
    """Give every moment of a build a length of its own, so that a turned clock can stop in each."""
    service.quiet_period_s = 4.0
    service.pending_s = service.starting_s = service.attaching_s = service.finishing_s = service.stopping_s = 0.5
