{{/* What all pods have in common: they pass the PodSecurity standard "restricted". */}}

{{- define "slipway.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "slipway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "slipway.podMetadata" -}}
{{- $annotations := deepCopy .annotations -}}
{{- if and .root.Values.catalog (has .component (list "api" "worker")) -}}
{{- $_ := set $annotations "slipway.dev/catalog-checksum" (sha256sum .root.Values.catalog) -}}
{{- end -}}
labels:
  {{- include "slipway.podLabels" . | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "slipway.podSpec" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ ternary "default" (include "slipway.serviceAccount" .root) (eq .component "migrate") }}
automountServiceAccountToken: false
enableServiceLinks: false # a Service named `flower` would set FLOWER_PORT
securityContext:
  {{- include "slipway.podSecurity" . | nindent 2 }}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- if has .component (list "api" "worker") }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $values.topologySpread }}
    labelSelector:
      matchLabels:
        {{- include "slipway.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
volumes:
  {{- include "slipway.volumes" . | nindent 2 }}
{{- end }}

{{- define "slipway.container" -}}
name: {{ .component }}
image: {{ include "slipway.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- include "slipway.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .resources | nindent 2 }}
env:
  {{- include "slipway.env" . | trim | nindent 2 }}
volumeMounts:
  {{- include "slipway.mounts" . | nindent 2 }}
{{- end }}
