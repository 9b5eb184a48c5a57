{{/*
The services that this release runs, each a dict: its entry over workerDefaults (for a pool) over defaults, and what
roles.yaml says of its role. Call with (dict "root" $ "out" $dict); then $dict.list has them in order.
*/}}
{{- define "perdure.components" -}}
{{- $root := .root -}}
{{- $out := .out -}}
{{- $_ := set $out "list" list -}}
{{- range $role, $facts := $root.Files.Get "roles.yaml" | fromYaml -}}
{{- if eq $role "activity-worker" -}}
{{- range $pool, $entry := $root.Values.workers -}}
{{- $given := mergeOverwrite (deepCopy $root.Values.workerDefaults) (deepCopy (default dict $entry)) -}}
{{- $name := printf "activity-worker-%s" $pool -}}
{{- include "perdure.component" (dict "root" $root "out" $out "role" $role "name" $name "facts" $facts "given" $given "at" (printf "workers.%s" $pool)) -}}
{{- end -}}
{{- else -}}
{{- $given := deepCopy (default dict (get $root.Values.services $role)) -}}
{{- include "perdure.component" (dict "root" $root "out" $out "role" $role "name" $role "facts" $facts "given" $given "at" (printf "services.%s" $role)) -}}
{{- end -}}
{{- end -}}
{{- include "perdure.check" (dict "root" $root "components" $out.list) -}}
{{- end -}}

{{- define "perdure.component" -}}
{{- $root := .root -}}
{{- $c := mergeOverwrite (deepCopy $root.Values.defaults) .given -}}
{{- if $c.enabled -}}
{{- $_ := set $c "role" .role -}}
{{- $_ := set $c "name" .name -}}
{{- $_ := set $c "at" .at -}}
{{- $_ := set $c "facts" .facts -}}
{{- $_ := set $c "queue" (default "" $c.queue) -}}
{{- $_ := set $c "app" (default $root.Values.app $c.app) -}}
{{- $_ := set $c "fullname" (printf "%s-%s" (include "perdure.fullname" $root) .name) -}}
{{- $least := .facts.replicasMin | int -}}
{{- $partitions := $root.Values.topics.partitions | int -}}
{{- $toZero := and (eq $least 0) $root.Values.autoscaling.keda.enabled -}}
{{- $min := ternary 0 (ternary 1 ($c.replicas | int) (eq $least 0)) $toZero -}}
{{- if not (kindIs "invalid" $c.scaling.min) -}}{{- $min = $c.scaling.min | int -}}{{- end -}}
{{- $max := max $min $partitions 1 -}}
{{- if not (kindIs "invalid" $c.scaling.max) -}}{{- $max = $c.scaling.max | int -}}{{- end -}}
{{- $_ := set $c "min" $min -}}
{{- $_ := set $c "max" $max -}}
{{- include "perdure.lags" (dict "root" $root "c" $c) -}}
{{- $_ := set .out "list" (append .out.list $c) -}}
{{- end -}}
{{- end -}}
