{{/* Where processes connect to: names and Kafka all of them, most Cassandra; services to the collector, too. */}}
{{- define "perdure.egress" -}}
{{- $v := .Values -}}
{{ include "perdure.egress.log" . }}
{{ include "perdure.egress.rule" (dict "to" $v.networkPolicy.cassandraTo "ports" $v.networkPolicy.cassandraPorts "servers" $v.cassandra.hosts) }}
{{- end -}}

{{- define "perdure.egress.log" -}}
{{- $v := .Values -}}
{{- $policy := $v.networkPolicy -}}
- to:
    {{- toYaml $policy.dnsTo | nindent 4 }}
  ports:
    {{- range $policy.dnsPorts }}
    - {protocol: UDP, port: {{ int . }}}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{ include "perdure.egress.rule" (dict "to" $policy.kafkaTo "ports" $policy.kafkaPorts "servers" $v.kafka.servers) }}
{{- end -}}

{{- define "perdure.egress.rule" -}}
{{- $ports := list -}}
{{- range .ports -}}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- if not $ports -}}
{{- range .servers -}}{{- $ports = append $ports (regexFind "[0-9]+$" . | int) -}}{{- end -}}
{{- end -}}
- ports:
    {{- range $ports | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* To one address of HTTP, none if it is empty: (dict "url" … "to" …) */}}
{{- define "perdure.egress.http" -}}
{{- with .url }}
{{- $url := urlParse . }}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{ include "perdure.egress.rule" (dict "to" $.to "ports" (list $port) "servers" list) }}
{{- end }}
{{- end -}}
