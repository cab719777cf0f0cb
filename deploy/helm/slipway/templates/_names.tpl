{{/* Names, labels and images. `component` is api, worker, flower or migrate; a worker may have a `group`, too. */}}

{{- define "slipway.name" -}}
{{- $name := .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name)) -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* What selectors hold: it never changes, as that of a Deployment must not. */}}
{{- define "slipway.selector" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .group }}
slipway.dev/worker-group: {{ . }}
{{- end }}
{{- end }}

{{/* Of pods: a new version of the chart alone replaces none. */}}
{{- define "slipway.podLabels" -}}
{{ include "slipway.selector" . }}
app.kubernetes.io/version: {{ include "slipway.version" . }}
app.kubernetes.io/part-of: slipway
{{- end }}

{{- define "slipway.labels" -}}
{{ include "slipway.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "slipway.tag" -}}
{{- $own := ternary .root.Values.api.tag "" (eq .component "api") -}}
{{- $own | default .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- end }}

{{- define "slipway.version" -}}
{{- include "slipway.tag" . | trunc 63 | trimSuffix "-" | quote -}}
{{- end }}

{{- define "slipway.image" -}}
{{- $image := .root.Values.image -}}
{{- $is_own := and (eq .component "api") .root.Values.api.tag -}}
{{- if and $image.digest (not $is_own) -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ include "slipway.tag" . }}
{{- end -}}
{{- end }}

{{- define "slipway.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "slipway.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{/* The groups of workers as YAML: those of the values, or `all` of them in one. */}}
{{- define "slipway.workerGroups" -}}
{{- if .Values.worker.groups -}}
{{ toYaml .Values.worker.groups }}
{{- else -}}
all: {queues: []}
{{- end -}}
{{- end }}

{{- define "slipway.workerName" -}}
{{- $name := printf "%s-worker" (include "slipway.name" .root) -}}
{{- eq .group "all" | ternary $name (printf "%s-%s" $name .group) -}}
{{- end }}
