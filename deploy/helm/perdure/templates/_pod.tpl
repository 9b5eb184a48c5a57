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

{{/* Files of TLS, by side: (dict "root" $ "credentials" …). As `perdure.volumes` and `perdure.mounts`. */}}
{{- define "perdure.volumes" -}}
{{- range $side := list "kafka" "cassandra" }}
{{- $tls := (get $.root.Values $side).tls }}
{{- $secret := get $.credentials (printf "%sTls" $side) | default $tls.existingSecret }}
{{- if and $tls.enabled $secret }}
- name: {{ $side }}-tls
  secret:
    secretName: {{ $secret | quote }}
    defaultMode: 0440
    items:
      {{- range compact (list $tls.caKey $tls.certificateKey $tls.keyKey) }}
      - {key: {{ . | quote }}, path: {{ . | quote }}}
      {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "perdure.mounts" -}}
{{- range $side := list "kafka" "cassandra" }}
{{- $tls := (get $.root.Values $side).tls }}
{{- if and $tls.enabled (get $.credentials (printf "%sTls" $side) | default $tls.existingSecret) }}
- {name: {{ $side }}-tls, mountPath: /etc/perdure/{{ $side }}, readOnly: true}
{{- end }}
{{- end }}
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
