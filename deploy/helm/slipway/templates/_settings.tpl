{{/*
What a process gets: its environment, and the files of its secrets and CAs. Each gets what it reads and nothing else,
as in docker-compose.yml; a test compares both. `process` is api, worker, flower or migrate.
*/}}

{{- define "slipway.secrets" -}}
api: {required: [db_password, redis_password, secret_keys, metrics_token], optional: [redis_sentinel_password]}
worker:
  required:
    - db_password
    - redis_password
    - secret_keys
    - metrics_token
    - gitlab_token
    - jenkins_auth_token
    - argo_token
    - kibana_pwd
  optional:
    - redis_sentinel_password
    - gitlab_read_token
    - smtp_password
    - webhook_urls
    - webhook_secret
    - heartbeat_url
flower: {required: [redis_password, flower_basic_auth], optional: [redis_sentinel_password]}
migrate: {required: [db_password, secret_keys], optional: []}
{{- end }}

{{- define "slipway.secretName" -}}
{{- if .root.Values.secrets.external.enabled -}}
{{ include "slipway.name" .root }}{{ ternary "-migrate" "" (eq .process "migrate") }}
{{- else -}}
{{ .root.Values.secrets.existingSecret }}
{{- end -}}
{{- end }}

{{/* Files in a directory of its own: /run/secrets is where Kubernetes and EKS put tokens of service accounts. */}}
{{- define "slipway.secretsVolume" -}}
{{- $names := get (include "slipway.secrets" . | fromYaml) .process -}}
{{- $overrides := .root.Values.secrets.overrides -}}
{{- $secret := include "slipway.secretName" . -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $kind := list "required" "optional" }}
      {{- $shared := list }}
      {{- range $name := get $names $kind }}
      {{- with get $overrides $name }}
      - secret: {name: {{ .name | quote }}, items: [{key: {{ .key | quote }}, path: {{ $name }}}]}
      {{- else }}
      {{- $shared = append $shared $name }}
      {{- end }}
      {{- end }}
      {{- if $shared }}
      - secret:
          name: {{ $secret | quote }}
          {{- if eq $kind "optional" }}
          optional: true
          {{- end }}
          items:
            {{- range $shared }}
            - {key: {{ . }}, path: {{ . }}}
            {{- end }}
      {{- end }}
      {{- end }}
{{- end }}

{{/* A CA that the process trusts: a volume, and its mount. `ca` is a part of the values, `name` that of the volume. */}}
{{- define "slipway.caVolume" -}}
{{- if or .ca.configMap .ca.secret }}
- name: {{ .name }}
  {{- if .ca.configMap }}
  configMap: {name: {{ .ca.configMap | quote }}, items: [{key: {{ .ca.key | quote }}, path: ca.pem}]}
  {{- else }}
  secret: {secretName: {{ .ca.secret | quote }}, defaultMode: 0440, items: [{key: {{ .ca.key | quote }}, path: ca.pem}]}
  {{- end }}
{{- end }}
{{- end }}

{{- define "slipway.caMount" -}}
{{- if or .ca.configMap .ca.secret }}
- {name: {{ .name }}, mountPath: /etc/slipway/{{ .name }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "slipway.cas" -}}
{{- $cas := dict -}}
{{- if ne .process "flower" }}{{ $_ := set $cas "database-ca" .root.Values.database.ca }}{{ end -}}
{{- if ne .process "migrate" }}{{ $_ := set $cas "redis-ca" .root.Values.redis.ca }}{{ end -}}
{{- if eq .process "worker" }}{{ $_ := set $cas "upstream-ca" .root.Values.upstreamCa }}{{ end -}}
{{- toYaml $cas -}}
{{- end }}

{{- define "slipway.volumes" -}}
{{- $reads_catalog := and .root.Values.catalog (has .process (list "api" "worker")) -}}
- {name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
{{ include "slipway.secretsVolume" . }}
{{- range $name, $ca := include "slipway.cas" . | fromYaml }}
{{- include "slipway.caVolume" (dict "name" $name "ca" $ca) }}
{{- end }}
{{- if $reads_catalog }}
- {name: catalog, configMap: {name: {{ include "slipway.name" .root }}-catalog}}
{{- end }}
{{- if has .process (list "api" "worker") }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "slipway.mounts" -}}
{{- $reads_catalog := and .root.Values.catalog (has .process (list "api" "worker")) -}}
- {name: tmp, mountPath: /tmp}
- {name: secrets, mountPath: /etc/slipway/secrets, readOnly: true}
{{- range $name, $ca := include "slipway.cas" . | fromYaml }}
{{- include "slipway.caMount" (dict "name" $name "ca" $ca) }}
{{- end }}
{{- if $reads_catalog }}
- {name: catalog, mountPath: /etc/slipway/catalog, readOnly: true}
{{- end }}
{{- if has .process (list "api" "worker") }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "slipway.databaseUrl" -}}
{{- $database := .Values.database -}}
{{- $ca := ternary "/etc/slipway/database-ca/ca.pem" "/etc/ssl/certs/ca-certificates.crt" (or (not (empty $database.ca.configMap)) (not (empty $database.ca.secret))) -}}
mysql+pymysql://{{ $database.user }}@{{ $database.host }}:{{ int $database.port }}/{{ $database.name }}
{{- if $database.tls }}?ssl_ca={{ $ca }}{{ end -}}
{{- end }}

{{- define "slipway.redisUrl" -}}
{{- $redis := .Values.redis -}}
{{- $user := ternary "" (printf "%s@" $redis.user) (empty $redis.user) -}}
{{- if $redis.sentinel.addresses -}}
{{- $scheme := ternary "sentinels" "sentinel" $redis.tls -}}
{{- $addresses := list -}}
{{- range $redis.sentinel.addresses -}}
{{- $addresses = append $addresses (printf "%s://%s%s:%d/%d" $scheme $user .host (int .port) (int $redis.number)) -}}
{{- end -}}
{{- join ";" $addresses -}}
{{- else -}}
{{ ternary "rediss" "redis" $redis.tls }}://{{ $user }}{{ $redis.host }}:{{ int $redis.port }}/{{ int $redis.number }}
{{- end -}}
{{- end }}

{{/* Numbers of the values are floating-point numbers, which would be written as 1e+06. */}}
{{- define "slipway.text" -}}
{{- if and (kindIs "float64" .) (eq (float64 (int64 .)) .) -}}
{{ int64 . }}
{{- else -}}
{{ . | toString | replace "$(" "$$(" }}
{{- end -}}
{{- end }}

{{- define "slipway.env" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $env := dict "SECRETS_DIR" "/etc/slipway/secrets" -}}
{{- range $name, $value := $values.config -}}
{{- if or (ne $.process "flower") (has $name (list "LOG_FORMAT" "LOG_LEVEL" "ALLOW_WRITABLE_FILES")) -}}
{{- $_ := set $env $name (include "slipway.text" $value) -}}
{{- end -}}
{{- end -}}
{{- if ne .process "flower" -}}
{{- $_ := set $env "DB_URL" (include "slipway.databaseUrl" $root) -}}
{{- if not $values.database.tls }}{{ $_ := set $env "ALLOW_PLAIN_DATABASE" "true" }}{{ end -}}
{{- end -}}
{{- if eq .process "migrate" -}}
{{- $_ := set $env "REDIS_URL" "redis://127.0.0.1:6379/0" -}}{{/* it sends nothing, and is not given the password */}}
{{- else -}}
{{- $_ := set $env "REDIS_URL" (include "slipway.redisUrl" $root) -}}
{{- with $values.redis.sentinel.master }}{{ $_ := set $env "REDIS_SENTINEL_MASTER" . }}{{ end -}}
{{- if not $values.redis.tls }}{{ $_ := set $env "ALLOW_PLAIN_BROKER" "true" }}{{ end -}}
{{- if or $values.redis.ca.configMap $values.redis.ca.secret -}}
{{- $_ := set $env "REDIS_CA_FILE" "/etc/slipway/redis-ca/ca.pem" -}}
{{- end -}}
{{- end -}}
{{- if and $values.catalog (has .process (list "api" "worker")) -}}
{{- $_ := set $env "CATALOG_FILE" "/etc/slipway/catalog/catalog.toml" -}}
{{- end -}}
{{- if eq .process "api" -}}
{{- if or $values.ingress.enabled $values.httpRoute.enabled -}}
{{- $_ := set $env "PROXY_COUNT" (get $env "PROXY_COUNT" | default "1") -}}
{{- end -}}
{{- if hasKey $env "TRUSTED_HOSTS" }}{{ $_ := set $env "TRUSTED_HOSTS" (include "slipway.trustedHosts" $root) }}{{ end -}}
{{- end -}}
{{- if eq .process "worker" -}}
{{- $_ := set $env "WORKER_CONCURRENCY" (.concurrency | int | toString) -}}
{{- $_ := set $env "WORKER_METRICS_ADDRESS" "0.0.0.0" -}}
{{- $_ := set $env "WORKER_METRICS_PORT" "9100" -}}
{{- if or $values.upstreamCa.configMap $values.upstreamCa.secret -}}
{{- $_ := set $env "CA_FILE" "/etc/slipway/upstream-ca/ca.pem" -}}
{{- end -}}
{{- end -}}
{{- if eq .process "flower" -}}
{{- $_ := set $env "FLOWER_ADDRESS" "0.0.0.0" -}}
{{- $_ := set $env "FLOWER_PORT" "5555" -}}
{{- $_ := set $env "FLOWER_MAX_TASKS" (int $values.flower.maxTasks | toString) -}}
{{- with $values.flower.urlPrefix }}{{ $_ := set $env "FLOWER_URL_PREFIX" (trimPrefix "/" .) }}{{ end -}}
{{- end -}}
{{- if and (eq .process "api") (hasKey $env "TRUSTED_HOSTS") }}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- end }}
{{- range $name := keys $env | sortAlpha }}
- {name: {{ $name }}, value: {{ get $env $name | quote }}}
{{- end }}
{{- end }}

{{/* Besides people's host names: probes and Prometheus ask by the pod's address, others in the cluster by the Service. */}}
{{- define "slipway.trustedHosts" -}}
{{- $service := include "slipway.name" . -}}
{{- $hosts := splitList "," (toString .Values.config.TRUSTED_HOSTS) -}}
{{- $hosts = concat $hosts (list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace)) -}}
{{- append $hosts "$(POD_IP)" | join "," -}}
{{- end }}
