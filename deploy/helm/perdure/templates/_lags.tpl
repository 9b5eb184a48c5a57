{{/*
What a component is scaled on, as `$c.lags`: the topic and the group of its role, or of each subscription that the values
tell of. Each has where the group begins that has stored nothing yet: else KEDA would take what is not read for lag.
(dict "root" $ "c" component)
*/}}
{{- define "perdure.lags" -}}
{{- $v := .root.Values -}}
{{- $c := .c -}}
{{- $lags := list -}}
{{- $ours := $v.topics.namespace -}}
{{- with $c.facts.topic -}}
{{- $suffix := empty $c.queue | ternary "" (printf ".%s" $c.queue) -}}
{{- $topic := printf "%s.%s%s" $ours . $suffix -}}
{{- $group := printf "%s.%s%s" $ours $c.facts.group $suffix -}}
{{- $lags = append $lags (dict "topic" $topic "group" $group "begin" "earliest") -}}
{{- end -}}
{{- if eq $c.role "subscriber" -}}
{{- range $name, $each := merge dict $v.subscriptions.inline $v.subscriptions.watched -}}
{{- $begin := ternary "earliest" "latest" (eq (default "now" $each.begin) "beginning") -}}
{{- $lags = append $lags (dict "topic" $each.topic "group" (printf "%s.subscription.%s" $ours $name) "begin" $begin) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $c "lags" $lags -}}
{{- end -}}
