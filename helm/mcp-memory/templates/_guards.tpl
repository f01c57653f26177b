{{/* Values that don't go together are refused before anything is rendered, with what to do. */}}
{{- define "mcp-memory.guards" -}}
{{- $several := or (gt (int .Values.replicaCount) 1) .Values.autoscaling.enabled -}}
{{- if and $several (ne .Values.mode "external") -}}
{{- fail (printf "mode=%s keeps memories in one pod's volume: set replicaCount=1 and autoscaling.enabled=false, or use mode=external with a Qdrant elsewhere" .Values.mode) -}}
{{- end -}}
{{- if and (eq .Values.mode "external") (not .Values.external.url) -}}
{{- fail "mode=external needs external.url, the address of Qdrant's REST API: --set external.url=http://qdrant:6333" -}}
{{- end -}}
{{- if and (ne .Values.mode "external") .Values.external.url -}}
{{- fail (printf "external.url is used with mode=external only, and mode is %s: set one of them differently" .Values.mode) -}}
{{- end -}}
{{- if and .Values.auth.anonymous (or .Values.auth.existingSecret .Values.auth.apiKey) (ne .Values.mode "sidecar") -}}
{{- fail "auth.anonymous=true asks no key of anybody: remove auth.existingSecret and auth.apiKey, or set auth.anonymous=false" -}}
{{- end -}}
{{- if and .Values.auth.anonymous .Values.auth.apiKey -}}
{{- fail "auth.anonymous=true asks no key of anybody: remove auth.apiKey, or set auth.anonymous=false" -}}
{{- end -}}
{{- if and .Values.auth.existingSecret .Values.auth.apiKey -}}
{{- fail "auth.existingSecret and auth.apiKey both give the clients' key: keep one of them" -}}
{{- end -}}
{{- if or (eq .Values.image.tag "latest") (hasPrefix "latest" .Values.qdrant.image.tag) -}}
{{- fail "the tag `latest` changes under a running release: name a version, or a digest" -}}
{{- end -}}
{{- if and (eq .Values.mode "sidecar") (not .Values.qdrant.image.digest) -}}
{{- $version := regexFind "^v?[0-9]+\\.[0-9]+(\\.[0-9]+)?" .Values.qdrant.image.tag -}}
{{- if and $version (semverCompare "<1.19.0-0" $version) -}}
{{- fail (printf "qdrant.image.tag=%s: v1.19.0 is the oldest that this chart runs (older ones abort on ARM64 kernels with pages of 16 and 64 kB)" .Values.qdrant.image.tag) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.persistence.existingClaim (not .Values.persistence.enabled) -}}
{{- fail "persistence.existingClaim is given and persistence.enabled is false: remove one of them" -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- if lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas) -}}
{{- fail "autoscaling.maxReplicas is less than autoscaling.minReplicas" -}}
{{- end -}}
{{- if not (or .Values.autoscaling.targetCPUUtilizationPercentage .Values.autoscaling.metrics) -}}
{{- fail "autoscaling needs something to scale on: autoscaling.targetCPUUtilizationPercentage or autoscaling.metrics" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts, because the service answers only to names that it knows: --set ingress.hosts[0].host=memory.example.org" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs, the Gateway: --set httpRoute.parentRefs[0].name=public" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.hostnames) (not .Values.allowedHosts) -}}
{{- fail "httpRoute.enabled needs httpRoute.hostnames or allowedHosts, because the service answers only to names that it knows" -}}
{{- end -}}
{{- $names := list -}}
{{- if .Values.ingress.enabled -}}{{- range .Values.ingress.hosts -}}{{- $names = append $names .host -}}{{- end -}}{{- end -}}
{{- if .Values.httpRoute.enabled -}}{{- $names = concat $names .Values.httpRoute.hostnames -}}{{- end -}}
{{- range $names -}}
{{- if and (hasPrefix "*." .) (not $.Values.allowedHosts) -}}
{{- fail (printf "the service can't check the wildcard %s: list the names that clients use in allowedHosts" .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor would scrape everything twice: enable one of them" -}}
{{- end -}}
{{- if and .Values.networkPolicy.egress.enabled (eq .Values.mode "external") (not .Values.networkPolicy.egress.to) -}}
{{- fail "networkPolicy.egress.enabled cuts the service off from the external Qdrant: allow it in networkPolicy.egress.to" -}}
{{- end -}}
{{- if and .Values.networkPolicy.qdrant.podSelector (ne .Values.mode "external") -}}
{{- fail "networkPolicy.qdrant.podSelector names pods of an external Qdrant: it is used with mode=external only" -}}
{{- end -}}
{{- if .Values.migration.enabled -}}
{{- if eq .Values.mode "embedded" -}}
{{- fail "the migration Job writes to Qdrant: use mode=sidecar or mode=external, or run `memory migrate sqlite` in an extraInitContainers entry" -}}
{{- end -}}
{{- if eq (empty .Values.migration.source.existingClaim) (empty .Values.migration.source.url) -}}
{{- fail "migration.enabled needs one source: migration.source.existingClaim or migration.source.url" -}}
{{- end -}}
{{- end -}}
{{- if .Values.backup.enabled -}}
{{- with .Values.backup.s3 -}}
{{- if and .bucket (or (not .endpoint) (not .existingSecret)) -}}
{{- fail "backup.s3.bucket needs backup.s3.endpoint, and backup.s3.existingSecret with access-key-id and secret-access-key" -}}
{{- end -}}
{{- if and .bucket $.Values.backup.volume.existingClaim -}}
{{- fail "backup.s3.bucket and backup.volume.existingClaim are both given: keep one of them" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasKey $.Values.settings .name -}}
{{- fail (printf "%s is in settings and in extraEnv: keep one of them" .name) -}}
{{- end -}}
{{- end -}}
{{- include "mcp-memory.modeGuard" . -}}
{{- end -}}

{{/* Another mode finds none of the memories that the one before kept. */}}
{{- define "mcp-memory.modeGuard" -}}
{{- if not .Values.allowModeChange -}}
{{- $name := include "mcp-memory.fullname" . -}}
{{- $namespace := include "mcp-memory.namespace" . -}}
{{- range list "StatefulSet" "Deployment" -}}
{{- $found := lookup "apps/v1" . $namespace $name -}}
{{- if $found -}}
{{- $was := dig "metadata" "labels" "mcp-memory/mode" "" $found -}}
{{- if and $was (ne $was $.Values.mode) -}}
{{- fail (printf "this release keeps its memories in mode %s, and %s would not find them. Export them (kubectl -n %s exec %s/%s -- memory export - >memories.jsonl), upgrade with --set allowModeChange=true, and import the file" $was $.Values.mode $namespace (lower .) $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether objects of the Prometheus operator are rendered. */}}
{{- define "mcp-memory.monitoring" -}}
{{- $known := .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" -}}
{{- if or $known (eq .Values.metrics.renderMode "alwaysRender") -}}
true
{{- else if eq .Values.metrics.renderMode "failIfMissing" -}}
{{- fail "this cluster doesn't know ServiceMonitor and its like: install the Prometheus operator, or set metrics.renderMode" -}}
{{- end -}}
{{- end -}}
