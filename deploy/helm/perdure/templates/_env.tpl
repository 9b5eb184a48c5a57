{{/*
The environment of a process. Law: what is secret comes by secretKeyRef alone; every PERDURE_ name here is a setting of
the code, and every setting of a service is here (a test holds both).
*/}}

{{/* Of every process: the log. (dict "root" $ "credentials" … ) */}}
{{- define "perdure.env.log" -}}
{{- $v := .root.Values -}}
- {name: PYTHONHASHSEED, value: "0"}
- {name: PYTHONUNBUFFERED, value: "1"}
- {name: PYTHONDONTWRITEBYTECODE, value: "1"}
- {name: PERDURE_LOG, value: {{ printf "kafka://%s" (join "," $v.kafka.servers) | quote }}}
- {name: PERDURE_NAMESPACE, value: {{ $v.topics.namespace | quote }}}
- {name: PERDURE_LOG_LEVEL, value: {{ $v.log.level | quote }}}
- {name: PERDURE_LOG_FORMAT, value: {{ $v.log.format | quote }}}
{{- include "perdure.env.tls" (dict "side" "KAFKA" "tls" $v.kafka.tls "secret" (.credentials.kafkaTls | default $v.kafka.tls.existingSecret)) }}
{{- with .credentials.kafka | default $v.kafka.sasl.existingSecret }}
- {name: PERDURE_KAFKA_MECHANISM, value: {{ $v.kafka.sasl.mechanism | quote }}}
{{- include "perdure.env.secret" (list "PERDURE_KAFKA_USERNAME" . $v.kafka.sasl.usernameKey) }}
{{- include "perdure.env.secret" (list "PERDURE_KAFKA_PASSWORD" . $v.kafka.sasl.passwordKey) }}
{{- end }}
{{- end -}}

{{/* What bootstrap and services have besides: the store, the epoch. (dict "root" $ "credentials" … ) */}}
{{- define "perdure.env.store" -}}
{{- $v := .root.Values -}}
- {name: PERDURE_STORE, value: {{ printf "cassandra://%s/%s" (join "," $v.cassandra.hosts) $v.cassandra.keyspace | quote }}}
- {name: PERDURE_EPOCH, value: {{ $v.topics.epoch | int | quote }}}
{{- if $v.cassandra.datacenter }}
- {name: PERDURE_CASSANDRA_DATACENTER, value: {{ $v.cassandra.datacenter | quote }}}
{{- end }}
{{- include "perdure.env.tls" (dict "side" "CASSANDRA" "tls" $v.cassandra.tls "secret" (.credentials.cassandraTls | default $v.cassandra.tls.existingSecret)) }}
{{- with .credentials.cassandra | default $v.cassandra.auth.existingSecret }}
{{- include "perdure.env.secret" (list "PERDURE_CASSANDRA_USERNAME" . $v.cassandra.auth.usernameKey) }}
{{- include "perdure.env.secret" (list "PERDURE_CASSANDRA_PASSWORD" . $v.cassandra.auth.passwordKey) }}
{{- end }}
{{- end -}}

{{/* What bootstrap alone is told. */}}
{{- define "perdure.env.topics" -}}
- {name: PERDURE_PARTITIONS, value: {{ .Values.topics.partitions | int | quote }}}
- {name: PERDURE_REPLICATION, value: {{ .Values.topics.replication | int | quote }}}
{{- end -}}

{{/* A value as the text that was written: Helm takes every number for a float64, and would write a million as 1e+06. */}}
{{- define "perdure.text" -}}
{{- kindIs "float64" . | ternary (toJson .) (toString .) | quote -}}
{{- end -}}

{{/* (list NAME secret key) */}}
{{- define "perdure.env.secret" }}
- name: {{ index . 0 }}
  valueFrom: {secretKeyRef: {name: {{ index . 1 | quote }}, key: {{ index . 2 | quote }}}}
{{- end -}}

{{- define "perdure.env.tls" -}}
{{- if .tls.enabled }}
- {name: PERDURE_{{ .side }}_TLS, value: "true"}
{{- if .secret }}
{{- $folder := printf "/etc/perdure/%s" (lower .side) }}
{{- with .tls.caKey }}
- {name: PERDURE_{{ $.side }}_CA_FILE, value: {{ printf "%s/%s" $folder . | quote }}}
{{- end }}
{{- if .tls.certificateKey }}
- {name: PERDURE_{{ .side }}_CERTIFICATE_FILE, value: {{ printf "%s/%s" $folder .tls.certificateKey | quote }}}
- {name: PERDURE_{{ .side }}_KEY_FILE, value: {{ printf "%s/%s" $folder .tls.keyKey | quote }}}
{{- with .tls.keyPasswordKey }}
{{- include "perdure.env.secret" (list (printf "PERDURE_%s_KEY_PASSWORD" $.side) $.secret .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What a service has besides. (dict "root" $ "c" component) */}}
{{- define "perdure.env.service" -}}
{{- $v := .root.Values -}}
{{- $c := .c -}}
- {name: PERDURE_HEALTH_HOST, value: {{ $v.listenHost | quote }}}
- {name: PERDURE_HEALTH_PORT, value: {{ $c.facts.port | int | quote }}}
- {name: PERDURE_DRAIN_SECONDS, value: {{ include "perdure.text" $c.drainSeconds }}}
- {name: PERDURE_START_SECONDS, value: {{ include "perdure.text" $c.startSeconds }}}
- {name: PERDURE_STALL_SECONDS, value: {{ include "perdure.text" $c.stallSeconds }}}
{{- if and $c.facts.app $c.app }}
- {name: PERDURE_APP, value: {{ $c.app | quote }}}
{{- end }}
{{- if eq $c.role "activity-worker" }}
- {name: PERDURE_THREADS, value: {{ $c.threads | int | quote }}}
{{- with $c.queue }}
- {name: PERDURE_TASK_QUEUE, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- if eq $c.role "orchestrator" }}
{{- include "perdure.env.retention" .root }}
{{- end }}
{{- if $c.facts.registry }}
{{- include "perdure.env.registry" .root }}
{{- end }}
{{- if eq $c.role "gateway" }}
- {name: PERDURE_GATEWAY_HOST, value: {{ $v.listenHost | quote }}}
- {name: PERDURE_GATEWAY_PORT, value: {{ $v.gateway.port | int | quote }}}
- {name: PERDURE_GATEWAY_BODY_BYTES_MAX, value: {{ $v.gateway.bodyBytesMax | int64 | quote }}}
{{- include "perdure.env.gateway" $v.gateway }}
{{- end }}
{{- if and (eq $c.role "subscriber") (include "perdure.subscriptions" .root) }}
- {name: PERDURE_SUBSCRIPTIONS, value: {{ printf "/etc/perdure/subscriptions/%s" $v.subscriptions.key | quote }}}
{{- end }}
{{- include "perdure.env.otlp" .root }}
{{- range $name, $value := $c.env }}
- {name: {{ $name }}, value: {{ include "perdure.text" $value }}}
{{- end }}
{{- range $name, $from := $c.secretEnv }}
{{- include "perdure.env.secret" (list $name $from.secret $from.key) }}
{{- end }}
{{- end -}}

{{/* Who may ask, how often, and by what. */}}
{{- define "perdure.env.gateway" }}
- {name: PERDURE_GATEWAY_BODIES_BYTES_MAX, value: {{ .bodiesBytesMax | int64 | quote }}}
- {name: PERDURE_GATEWAY_HEAD_SECONDS, value: {{ include "perdure.text" .headSeconds }}}
- {name: PERDURE_GATEWAY_BODY_SECONDS, value: {{ include "perdure.text" .bodySeconds }}}
- {name: PERDURE_GATEWAY_REQUESTS_PER_SECOND, value: {{ include "perdure.text" .requestsPerSecond }}}
- {name: PERDURE_GATEWAY_REQUESTS_BURST, value: {{ .requestsBurst | int | quote }}}
{{- with .existingSecret }}
{{- include "perdure.env.secret" (list "PERDURE_GATEWAY_API_TOKEN" . $.tokenKey) }}
{{- end }}
{{- if .tokens.existingSecret }}
- {name: PERDURE_GATEWAY_TOKENS_FILE, value: {{ printf "/etc/perdure/tokens/%s" .tokens.key | quote }}}
{{- end }}
{{- with .tls }}
{{- if .existingSecret }}
- {name: PERDURE_GATEWAY_CERTIFICATE_FILE, value: {{ printf "/etc/perdure/gateway/%s" .certificateKey | quote }}}
- {name: PERDURE_GATEWAY_KEY_FILE, value: {{ printf "/etc/perdure/gateway/%s" .keyKey | quote }}}
{{- if .keyPasswordKey }}
{{- include "perdure.env.secret" (list "PERDURE_GATEWAY_KEY_PASSWORD" .existingSecret .keyPasswordKey) }}
{{- end }}
{{- if .clientCaSecret }}
- {name: PERDURE_GATEWAY_CLIENT_CA_FILE, value: {{ printf "/etc/perdure/clients/%s" .clientCaKey | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "perdure.env.retention" }}
{{- $ages := list }}
{{- range $status, $age := .Values.retention.ages }}{{ $ages = append $ages (printf "%s=%s" $status $age) }}{{ end }}
{{- with $ages }}
- {name: PERDURE_RETAIN, value: {{ join "," . | quote }}}
{{- end }}
- {name: PERDURE_RETAIN_PER_SECOND, value: {{ include "perdure.text" .Values.retention.perSecond }}}
- {name: PERDURE_HISTORY_HOURS, value: {{ include "perdure.text" .Values.retention.historyHours }}}
- {name: PERDURE_DEAD_LETTER_DAYS, value: {{ include "perdure.text" .Values.retention.deadLetterDays }}}
{{- end -}}

{{- define "perdure.env.registry" }}
{{- with .Values.schemaRegistry }}
{{- if .url }}
- {name: PERDURE_SCHEMA_REGISTRY, value: {{ .url | quote }}}
- {name: PERDURE_SCHEMA_REGISTRY_SECONDS, value: {{ include "perdure.text" .awaySeconds }}}
{{- if .caSecret }}
- {name: PERDURE_SCHEMA_REGISTRY_CA_FILE, value: {{ printf "/etc/perdure/registry/%s" .caKey | quote }}}
{{- end }}
{{- if .existingSecret }}
{{- include "perdure.env.secret" (list "PERDURE_SCHEMA_REGISTRY_USERNAME" .existingSecret .usernameKey) }}
{{- include "perdure.env.secret" (list "PERDURE_SCHEMA_REGISTRY_PASSWORD" .existingSecret .passwordKey) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "perdure.env.otlp" -}}
{{- with .Values.otlp }}
{{- if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: {{ .sampler | quote }}}
{{- if .samplerArg }}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ .samplerArg | quote }}}
{{- end }}
{{- if .resourceAttributes }}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: {{ .resourceAttributes | quote }}}
{{- end }}
{{- if .caSecret }}
- {name: OTEL_EXPORTER_OTLP_CERTIFICATE, value: {{ printf "/etc/perdure/otlp/%s" .caKey | quote }}}
{{- end }}
{{- if .headersSecret }}
{{- include "perdure.env.secret" (list "OTEL_EXPORTER_OTLP_HEADERS" .headersSecret .headersKey) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
