{{/* What the schema cannot say: each fault in a sentence that tells what to do. */}}
{{- define "perdure.check" -}}
{{- $root := .root -}}
{{- $v := $root.Values -}}
{{- $roles := $root.Files.Get "roles.yaml" | fromYaml -}}
{{- range $name, $_ := $v.services -}}
{{- if or (not (hasKey $roles $name)) (eq $name "activity-worker") -}}
{{- fail (printf "services.%s is no service of this chart: there are %s; activity workers are pools below workers" $name (keys (omit $roles "activity-worker") | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- if not $v.kafka.servers -}}
{{- fail "kafka.servers is empty: name the brokers, such as kafka.servers={kafka:9092}" -}}
{{- end -}}
{{- if not $v.cassandra.hosts -}}
{{- fail "cassandra.hosts is empty: name the nodes, such as cassandra.hosts={cassandra:9042}" -}}
{{- end -}}
{{- if and $v.bootstrap.enabled (not $v.bootstrap.development) (not $v.cassandra.datacenter) -}}
{{- fail "cassandra.datacenter is not set: the keyspace's copies lie in a data centre, and `nodetool status` tells its name; bootstrap.development=true makes one copy of everything instead" -}}
{{- end -}}
{{- range $side := list "kafka" "cassandra" -}}
{{- $tls := (get $v $side).tls -}}
{{- if and $tls.existingSecret (not $tls.enabled) -}}
{{- fail (printf "%s.tls.existingSecret is set, but TLS is off: set %s.tls.enabled=true" $side $side) -}}
{{- end -}}
{{- if ne (empty $tls.certificateKey) (empty $tls.keyKey) -}}
{{- fail (printf "mutual TLS needs both %s.tls.certificateKey and %s.tls.keyKey: set both or none" $side $side) -}}
{{- end -}}
{{- end -}}
{{- range $at, $credentials := dict "bootstrap" $v.bootstrap.credentials "upgrade" $v.upgrade.credentials "grow" $v.grow.credentials "restore" $v.restore.credentials "autoscaling.keda" $v.autoscaling.keda.credentials -}}
{{- include "perdure.checkCredentials" (dict "root" $root "at" $at "credentials" $credentials) -}}
{{- end -}}
{{- with $v.schemaRegistry -}}
{{- if and (or .existingSecret .caSecret) (not .url) -}}
{{- fail "schemaRegistry has Secrets but no address: set schemaRegistry.url" -}}
{{- end -}}
{{- if and .caSecret (not (hasPrefix "https://" .url)) -}}
{{- fail "schemaRegistry.caSecret is set, but schemaRegistry.url does not begin with https://: it would not be used" -}}
{{- end -}}
{{- end -}}
{{- include "perdure.checkSubscriptions" (dict "root" $root "components" .components) -}}
{{- with $v.gateway.tls -}}
{{- if and .clientCaSecret (not .existingSecret) -}}
{{- fail "gateway.tls.clientCaSecret is set, but the gateway speaks plain HTTP: set gateway.tls.existingSecret, too" -}}
{{- end -}}
{{- end -}}
{{- $queues := dict -}}
{{- range $c := .components -}}
{{- include "perdure.checkComponent" (dict "root" $root "c" $c) -}}
{{- if eq $c.role "activity-worker" -}}
{{- $known := printf "q:%s" $c.queue -}}
{{- if hasKey $queues $known -}}
{{- fail (printf "%s and %s serve the same task queue (%q): give one of them a queue of its own, or more replicas" (get $queues $known) $c.at $c.queue) -}}
{{- end -}}
{{- $_ := set $queues $known $c.at -}}
{{- end -}}
{{- end -}}
{{- if and $v.gateway.ingress.enabled $v.networkPolicy.enabled (not $v.networkPolicy.gatewayFrom) -}}
{{- fail "gateway.ingress.enabled is set, but no policy lets its controller in: name its pods in networkPolicy.gatewayFrom" -}}
{{- end -}}
{{- if and $v.gateway.ingress.enabled (not $v.gateway.ingress.host) -}}
{{- fail "gateway.ingress.host is not set: an Ingress without one takes requests for every name" -}}
{{- end -}}
{{- end -}}

{{- define "perdure.checkComponent" -}}
{{- $v := .root.Values -}}
{{- $c := .c -}}
{{- $least := $c.facts.replicasMin | int -}}
{{- $scaled := $v.autoscaling.enabled -}}
{{- $count := ternary $c.min ($c.replicas | int) $scaled -}}
{{- $setting := ternary (printf "%s.scaling.min" $c.at) (printf "%s.replicas" $c.at) $scaled -}}
{{- if lt $count $least -}}
{{- fail (printf "%s is %d: run at least %d of the %s, or a node that is drained stops every workflow" $setting $count $least $c.role) -}}
{{- end -}}
{{- if $c.facts.topic -}}
{{- $partitions := $v.topics.partitions | int -}}
{{- $bound := max $partitions $least 1 -}}
{{- $most := ternary $c.max $count $scaled -}}
{{- $setting := ternary (printf "%s.scaling.max" $c.at) (printf "%s.replicas" $c.at) $scaled -}}
{{- if gt $most $bound -}}
{{- fail (printf "%s is %d: the %s shares %d partitions (topics.partitions), and more processes than that get nothing to do; set %d or less" $setting $most $c.role $partitions $bound) -}}
{{- end -}}
{{- end -}}
{{- if and $scaled (or (gt $c.min $c.max) (lt $c.max 1)) -}}
{{- fail (printf "%s.scaling.min is %d and its max %d: the first may not be more than the second" $c.at $c.min $c.max) -}}
{{- end -}}
{{- if and $scaled (eq $c.min 0) (not $v.autoscaling.keda.enabled) -}}
{{- fail (printf "%s.scaling.min is 0: only KEDA goes down to nothing; set autoscaling.keda.enabled=true, or 1" $c.at) -}}
{{- end -}}
{{- if and $c.facts.app (not $c.app) -}}
{{- fail (printf "the %s runs your code: set app=module:app, or %s.app" $c.role $c.at) -}}
{{- end -}}
{{- if and (eq $c.role "gateway") (not $v.gateway.existingSecret) (not $v.gateway.tokens.existingSecret) -}}
{{- fail "gateway.existingSecret is not set: name a Secret with the API token, or one with named tokens in gateway.tokens.existingSecret, for the gateway listens to nobody beyond its pod without one" -}}
{{- end -}}
{{- if and (eq $c.role "gateway") $v.networkPolicy.enabled (ne $v.gateway.service.type "ClusterIP") (not $v.networkPolicy.gatewayFrom) -}}
{{- fail (printf "gateway.service.type is %s, but no policy lets anybody from outside in: name who may ask in networkPolicy.gatewayFrom, such as [{ipBlock: {cidr: 10.0.0.0/8}}]" $v.gateway.service.type) -}}
{{- end -}}
{{- include "perdure.checkCredentials" (dict "root" .root "at" $c.at "credentials" $c.credentials) -}}
{{- range $name, $value := $c.env -}}
{{- if and (kindIs "float64" $value) (or (gt $value 9007199254740991.0) (lt $value -9007199254740991.0)) -}}
{{- fail (printf "%s.env.%s is a number that Helm rounds: write it in quotes" $c.at $name) -}}
{{- end -}}
{{- end -}}
{{- range $c.mounts -}}
{{- if eq (empty .secret) (empty .configMap) -}}
{{- fail (printf "%s.mounts: %s names no secret and no configMap, or both: name one" $c.at .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Files that nobody would mount: a user whose certificate is left out is somebody else, or nobody. */}}
{{- define "perdure.checkCredentials" -}}
{{- range $side := list "kafka" "cassandra" -}}
{{- if and (get $.credentials (printf "%sTls" $side)) (not (get $.root.Values $side).tls.enabled) -}}
{{- fail (printf "%s.credentials.%sTls is set, but TLS is off: set %s.tls.enabled=true" $.at $side $side) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "perdure.checkSubscriptions" -}}
{{- $s := .root.Values.subscriptions -}}
{{- $served := false -}}
{{- range .components -}}{{- if eq .role "subscriber" -}}{{- $served = true -}}{{- end -}}{{- end -}}
{{- if and $s.inline $s.existingConfigMap -}}
{{- fail "subscriptions.inline and subscriptions.existingConfigMap are both set: a namespace follows one file, so give one of them" -}}
{{- end -}}
{{- if and (or $s.inline $s.existingConfigMap) (not $served) -}}
{{- fail "subscriptions are given, but nobody follows them: set services.subscriber.enabled=true" -}}
{{- end -}}
{{- range $name, $each := $s.inline -}}
{{- if hasKey $s.watched $name -}}
{{- fail (printf "subscriptions.watched.%s is in subscriptions.inline, too, and watched already: name there what comes from elsewhere" $name) -}}
{{- end -}}
{{- if eq (empty $each.workflow) (empty $each.event) -}}
{{- fail (printf "subscriptions.inline.%s either starts a workflow or raises an event: give one of workflow and event" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
