{{/* What every pod has, bootstrap's too: no right that nothing needs. */}}
{{- define "perdure.pod.security" -}}
# Kubernetes would set PERDURE_GATEWAY_PORT and the like for every Service of the namespace: they are settings of ours.
enableServiceLinks: false
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{- define "perdure.container.security" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/*
Files of Secrets and ConfigMaps that Perdure itself reads, each in a folder below /etc/perdure: `.out.list`.
(dict "root" $ "credentials" … "sides" (list "kafka" …) "c" component, if it is one "out" dict); then `perdure.volumes` and
`perdure.mounts` of that list.
*/}}
{{- define "perdure.files" -}}
{{- $v := .root.Values -}}
{{- $credentials := .credentials -}}
{{- $list := list -}}
{{- range $side := .sides -}}
{{- $tls := (get $v $side).tls -}}
{{- if $tls.enabled -}}
{{- $secret := get $credentials (printf "%sTls" $side) | default $tls.existingSecret -}}
{{- $list = append $list (dict "name" (printf "%s-tls" $side) "folder" $side "secret" $secret "keys" (list $tls.caKey $tls.certificateKey $tls.keyKey)) -}}
{{- end -}}
{{- end -}}
{{- with .c -}}
{{- if $v.otlp.endpoint -}}
{{- $list = append $list (dict "name" "otlp-ca" "folder" "otlp" "secret" $v.otlp.caSecret "keys" (list $v.otlp.caKey)) -}}
{{- end -}}
{{- if and .facts.registry $v.schemaRegistry.url -}}
{{- $list = append $list (dict "name" "registry-ca" "folder" "registry" "secret" $v.schemaRegistry.caSecret "keys" (list $v.schemaRegistry.caKey)) -}}
{{- end -}}
{{- if eq .role "gateway" -}}
{{- $tls := $v.gateway.tls -}}
{{- $tokens := $v.gateway.tokens -}}
{{- $list = append $list (dict "name" "gateway-tokens" "folder" "tokens" "secret" $tokens.existingSecret "keys" (list $tokens.key)) -}}
{{- $list = append $list (dict "name" "gateway-tls" "folder" "gateway" "secret" $tls.existingSecret "keys" (list $tls.certificateKey $tls.keyKey)) -}}
{{- $list = append $list (dict "name" "gateway-clients" "folder" "clients" "secret" $tls.clientCaSecret "keys" (list $tls.clientCaKey)) -}}
{{- end -}}
{{- if eq .role "subscriber" -}}
{{- $map := include "perdure.subscriptions" $.root -}}
{{- $list = append $list (dict "name" "subscriptions" "folder" "subscriptions" "configMap" $map "keys" (list $v.subscriptions.key)) -}}
{{- end -}}
{{- end -}}
{{- $named := list -}}
{{- range $list -}}{{- if or .secret .configMap -}}{{- $named = append $named . -}}{{- end -}}{{- end -}}
{{- $_ := set .out "list" $named -}}
{{- end -}}

{{- define "perdure.volumes" -}}
{{- range . }}
- name: {{ .name }}
  {{- if .secret }}
  secret:
    secretName: {{ .secret | quote }}
  {{- else }}
  configMap:
    name: {{ .configMap | quote }}
  {{- end }}
    defaultMode: 0440
    items:
      {{- range compact .keys }}
      - {key: {{ . | quote }}, path: {{ . | quote }}}
      {{- end }}
{{- end }}
{{- end -}}

{{- define "perdure.mounts" -}}
{{- range . }}
- {name: {{ .name }}, mountPath: /etc/perdure/{{ .folder }}, readOnly: true}
{{- end }}
{{- end -}}

{{/* The ConfigMap with the file of subscriptions: the chart's own, one that is there, or none. */}}
{{- define "perdure.subscriptions" -}}
{{- if .Values.subscriptions.inline -}}
{{- printf "%s-subscriptions" (include "perdure.fullname" .) -}}
{{- else -}}
{{- .Values.subscriptions.existingConfigMap -}}
{{- end -}}
{{- end -}}

{{/* The probes of src/perdure/services/probes.py. /readyz answers within five seconds, whatever hangs. */}}
{{- define "perdure.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: probes}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ divf .startSeconds 2 | ceil | int }}
livenessProbe:
  httpGet: {path: /healthz, port: probes}
  periodSeconds: 10
  timeoutSeconds: 6
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: probes}
  periodSeconds: 10
  timeoutSeconds: 6
  failureThreshold: 2
{{- end -}}
