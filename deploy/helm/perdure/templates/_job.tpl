{{/*
A Job that Helm runs before or after an install or an upgrade, with an account and a policy of its own: no right that it
does not need. (dict "root" $ "name" … "hook" … "given" its values "args" (list …) "env" text "egress" text "sides" (list …)
"deadlineSeconds" … "retries" … "weight" when among the Jobs of its hook, none is 0)
*/}}
{{- define "perdure.job" -}}
{{- $root := .root }}
{{- $given := .given }}
{{- $named := dict "root" $root "name" .name }}
{{- $files := dict }}
{{- include "perdure.files" (dict "root" $root "credentials" $given.credentials "sides" .sides "c" false "out" $files) }}
{{- $fullname := printf "%s-%s" (include "perdure.fullname" $root) .name }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $fullname }}
  labels:
    {{- include "perdure.labels" $named | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .hook }}
    helm.sh/hook-weight: "-10"
    helm.sh/hook-delete-policy: before-hook-creation
automountServiceAccountToken: false
{{- if $root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $fullname }}
  labels:
    {{- include "perdure.labels" $named | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .hook }}
    helm.sh/hook-weight: "-10"
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  podSelector:
    matchLabels:
      {{- include "perdure.selector" $named | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress: []
  egress:
    {{- .egress | nindent 4 }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $fullname }}
  labels:
    {{- include "perdure.labels" $named | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .hook }}
    helm.sh/hook-weight: {{ .weight | default "0" | quote }}
    # One that failed stays, for its log.
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: {{ .retries | int }}
  activeDeadlineSeconds: {{ .deadlineSeconds | int }}
  template:
    metadata:
      labels:
        {{- include "perdure.labels" $named | nindent 8 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ $fullname }}
      {{- include "perdure.pod.security" $root | nindent 6 }}
      containers:
        - name: {{ .name }}
          image: {{ include "perdure.image" (dict "root" $root "image" $given.image) | quote }}
          imagePullPolicy: {{ (mergeOverwrite (deepCopy $root.Values.image) (deepCopy $given.image)).pullPolicy }}
          command: [perdure]
          args:
            {{- toYaml .args | nindent 12 }}
          env:
            {{- .env | nindent 12 }}
          resources:
            {{- toYaml $given.resources | nindent 12 }}
          {{- include "perdure.container.security" $root | nindent 10 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- include "perdure.mounts" $files.list | nindent 12 }}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: 16Mi}
        {{- include "perdure.volumes" $files.list | nindent 8 }}
{{- end -}}
