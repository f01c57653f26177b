{{/* The pod of the service: the same in a StatefulSet and in a Deployment. */}}
{{- define "mcp-memory.pod" -}}
{{- $sidecar := eq .Values.mode "sidecar" -}}
{{- $external := eq .Values.mode "external" -}}
{{- $volume := or (not $external) .Values.persistence.existingClaim -}}
metadata:
  labels:
    {{- include "mcp-memory.podLabels" . | nindent 4 }}
    app.kubernetes.io/component: server
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/keys: {{ include "mcp-memory.keysChecksum" . }}
    kubectl.kubernetes.io/default-container: memory
    {{- with merge (dict) .Values.podAnnotations .Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "mcp-memory.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds | default ($sidecar | ternary 90 30) }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .Values.schedulerName }}
  schedulerName: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.affinity }}
  affinity:
    {{- toYaml .Values.affinity | nindent 4 }}
  {{- else if and $external (or (gt (int .Values.replicaCount) 1) .Values.autoscaling.enabled) }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "mcp-memory.serverLabels" . | nindent 16 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ toYaml . | nindent 6 | trim }}
      {{- if not .labelSelector }}
      labelSelector:
        matchLabels:
          {{- include "mcp-memory.serverLabels" $ | nindent 10 }}
      {{- end }}
    {{- end }}
  {{- end }}
  {{- if or $volume .Values.extraInitContainers }}
  initContainers:
    {{- if $volume }}
    - {{ include "mcp-memory.prepareContainer" . | nindent 6 | trim }}
    {{- end }}
    {{- if $sidecar }}
    - {{ include "mcp-memory.qdrantContainer" . | nindent 6 | trim }}
    {{- end }}
    {{- with .Values.extraInitContainers }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - {{ include "mcp-memory.serverContainer" . | nindent 6 | trim }}
    {{- with .Values.extraContainers }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
  volumes:
    {{- if include "mcp-memory.hasKeys" . }}
    - {{ include "mcp-memory.keysVolume" (dict "root" . "clients" true) | nindent 6 | trim }}
    {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- if $sidecar }}
    - name: qdrant-config
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    - name: qdrant-tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- end }}
    {{- if .Values.persistence.existingClaim }}
    - name: storage
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
    {{- else if $external }}
    - name: data
      emptyDir: {}
    {{- else if not .Values.persistence.enabled }}
    - name: storage
      emptyDir: {}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Folders that are open to their owner alone, and Qdrant's configuration with its key. */}}
{{- define "mcp-memory.prepareContainer" -}}
{{- $sidecar := eq .Values.mode "sidecar" -}}
name: prepare
image: {{ include "mcp-memory.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [/usr/bin/python3, -I, /app/init.py]
args:
  - --data=/volumes/storage
  {{- if $sidecar }}
  - --qdrant=/volumes/storage
  - --qdrant-config=/volumes/qdrant-config
  - --qdrant-key=/keys/qdrant-api-key
  - {{ printf "--qdrant-host=%s" (include "mcp-memory.qdrantHost" .) | quote }}
  {{- end }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
resources:
  requests: {cpu: 50m, memory: 32Mi}
  limits: {memory: 128Mi}
volumeMounts:
  - {name: storage, mountPath: /volumes/storage}
  {{- if $sidecar }}
  - {name: qdrant-config, mountPath: /volumes/qdrant-config}
  - {name: keys, mountPath: /keys, readOnly: true}
  {{- end }}
{{- end -}}

{{/* Loopback: nothing but this pod reaches Qdrant. While a migration is asked for, its Job has to. */}}
{{- define "mcp-memory.qdrantHost" -}}
{{- if .Values.migration.enabled -}}
{{ .Values.listen }}
{{- else -}}
127.0.0.1
{{- end -}}
{{- end -}}

{{- define "mcp-memory.qdrantContainer" -}}
name: qdrant
image: {{ include "mcp-memory.qdrantImage" . }}
imagePullPolicy: {{ .Values.qdrant.image.pullPolicy }}
restartPolicy: Always
# Not the image's entrypoint.sh, which ends at SIGTERM without a graceful stop. The key is in the file, not in the environment.
command: [./qdrant]
args: [--config-path, /config/qdrant.yaml]
workingDir: /qdrant
env:
  - {name: QDRANT_INIT_FILE_PATH, value: /qdrant/storage/private/.initialized}
  # Also in the file; here for the case that it got lost. Only the file gives the snapshots' path: without it, Qdrant ends at its
  # start, because the root is read-only, and is not open to all.
  - {name: QDRANT__STORAGE__STORAGE_PATH, value: /qdrant/storage/private/data}
  - {name: QDRANT__TELEMETRY_DISABLED, value: "true"}
  {{- with .Values.qdrant.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
startupProbe:
  {{- if .Values.qdrant.probes.startup }}
  {{- toYaml .Values.qdrant.probes.startup | nindent 2 }}
  {{- else }}
  exec:
    {{- include "mcp-memory.qdrantCheck" . | nindent 4 }}
  periodSeconds: 2
  timeoutSeconds: 8
  failureThreshold: 300
  {{- end }}
readinessProbe:
  {{- if .Values.qdrant.probes.readiness }}
  {{- toYaml .Values.qdrant.probes.readiness | nindent 2 }}
  {{- else }}
  exec:
    {{- include "mcp-memory.qdrantCheck" . | nindent 4 }}
  periodSeconds: 15
  timeoutSeconds: 8
  failureThreshold: 3
  {{- end }}
{{- with .Values.qdrant.probes.liveness }}
livenessProbe:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
resources:
  {{- toYaml .Values.qdrant.resources | nindent 2 }}
volumeMounts:
  - {name: storage, mountPath: /qdrant/storage}
  - {name: qdrant-config, mountPath: /config, readOnly: true}
  - {name: qdrant-tmp, mountPath: /tmp}
{{- end -}}

{{/* Ready, and closed to those without the key: a Qdrant whose key got lost would be open to all, so it isn't healthy then. */}}
{{- define "mcp-memory.qdrantCheck" -}}
command:
  - bash
  - -c
  - |
    status() {
      exec 3<>/dev/tcp/127.0.0.1/6333 || return
      printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$1" >&3
      read -r -t 3 _ code _ <&3
      exec 3>&-
      echo "$code"
    }
    ready=$(status /readyz) open=$(status /collections)
    echo "ready: $ready, without a key: $open"
    [[ $ready == 200 && $open == 401 ]]
{{- end -}}

{{/* A probe of the service, by HTTPS where the settings say that it serves that. */}}
{{- define "mcp-memory.probe" -}}
{{- $enabled := get .root.Values.settings "MCP_HTTPS_ENABLED" -}}
{{- range .root.Values.extraEnv -}}
{{- if eq .name "MCP_HTTPS_ENABLED" -}}{{- $enabled = .value -}}{{- end -}}
{{- end -}}
{{- $probe := deepCopy .probe -}}
{{- if and $probe.httpGet (has ($enabled | toString | lower) (list "true" "1" "yes" "on" "t" "y")) (not $probe.httpGet.scheme) -}}
{{- $_ := set $probe.httpGet "scheme" "HTTPS" -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}

{{- define "mcp-memory.serverContainer" -}}
{{- $external := eq .Values.mode "external" -}}
name: memory
image: {{ include "mcp-memory.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [server, --http]
env:
  {{- include "mcp-memory.environment" . | nindent 2 }}
  {{- range $name, $value := .Values.settings }}
  {{- if not (kindIs "invalid" $value) }}
  - {name: {{ $name }}, value: {{ kindIs "string" $value | ternary $value ($value | toJson) | quote }}}
  {{- end }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- tpl (toYaml .) $ | nindent 2 }}
  {{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
ports:
  - {name: http, containerPort: 8000, protocol: TCP}
{{- with .Values.probes.startup }}
startupProbe:
  {{- include "mcp-memory.probe" (dict "root" $ "probe" .) | nindent 2 }}
{{- end }}
{{- with .Values.probes.liveness }}
livenessProbe:
  {{- include "mcp-memory.probe" (dict "root" $ "probe" .) | nindent 2 }}
{{- end }}
{{- with .Values.probes.readiness }}
readinessProbe:
  {{- include "mcp-memory.probe" (dict "root" $ "probe" .) | nindent 2 }}
{{- end }}
{{- if .Values.lifecycle }}
lifecycle:
  {{- toYaml .Values.lifecycle | nindent 2 }}
{{- else if and $external (or (gt (int .Values.replicaCount) 1) .Values.autoscaling.enabled) }}
lifecycle:
  # Balancers learn that this pod goes while it still answers.
  preStop: {exec: {command: [sleep, "3"]}}
{{- end }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
resources:
  {{- toYaml (eq .Values.mode "embedded" | ternary .Values.embedded.resources .Values.resources) | nindent 2 }}
volumeMounts:
  {{- if and $external (not .Values.persistence.existingClaim) }}
  - {name: data, mountPath: /data}
  {{- else }}
  - {name: storage, mountPath: /data, subPath: private/memory}
  {{- end }}
  {{- if include "mcp-memory.hasKeys" . }}
  - {name: keys, mountPath: /keys, readOnly: true}
  {{- end }}
  - {name: tmp, mountPath: /tmp}
  {{- with .Values.extraVolumeMounts }}
  {{- tpl (toYaml .) $ | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "mcp-memory.environment" -}}
- {name: MCP_HTTP_HOST, value: {{ .Values.listen | quote }}}
- {name: MCP_HTTP_PORT, value: "8000"}
- {name: MCP_ALLOWED_HOSTS, value: {{ include "mcp-memory.allowedHosts" . | quote }}}
{{- if .Values.auth.anonymous }}
- {name: MCP_ALLOW_ANONYMOUS_ACCESS, value: "true"}
{{- else }}
- {name: MCP_API_KEY_FILE, value: /keys/api-key}
{{- if .Values.auth.keys.metrics }}
- {name: MCP_METRICS_KEY_FILE, value: /keys/metrics-key}
{{- end }}
{{- end }}
{{- if eq .Values.mode "sidecar" }}
- {name: MCP_QDRANT_URL, value: "http://127.0.0.1:6333"}
{{- else if eq .Values.mode "external" }}
- {name: MCP_QDRANT_URL, value: {{ .Values.external.url | quote }}}
{{- with .Values.external.shardNumber }}
- {name: MCP_QDRANT_SHARD_NUMBER, value: {{ . | quote }}}
{{- end }}
{{- with .Values.external.replicationFactor }}
- {name: MCP_QDRANT_REPLICATION_FACTOR, value: {{ . | quote }}}
{{- end }}
{{- with .Values.external.writeConsistencyFactor }}
- {name: MCP_QDRANT_WRITE_CONSISTENCY_FACTOR, value: {{ . | quote }}}
{{- end }}
{{- with .Values.external.readConsistency }}
- {name: MCP_QDRANT_READ_CONSISTENCY, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- include "mcp-memory.qdrantKeyEnvironment" . }}
{{- end -}}

{{/* Names that clients may call the service by: the Service's, the Ingress's, the HTTPRoute's, and what is given. */}}
{{- define "mcp-memory.allowedHosts" -}}
{{- $name := include "mcp-memory.fullname" . -}}
{{- $namespace := include "mcp-memory.namespace" . -}}
{{- $hosts := list $name (printf "%s.%s" $name $namespace) (printf "%s.%s.svc" $name $namespace) (printf "%s.%s.svc.%s" $name $namespace .Values.clusterDomain) -}}
{{- if .Values.ingress.enabled -}}
{{- range .Values.ingress.hosts -}}
{{- $hosts = append $hosts .host -}}
{{- end -}}
{{- end -}}
{{- if .Values.httpRoute.enabled -}}
{{- $hosts = concat $hosts .Values.httpRoute.hostnames -}}
{{- end -}}
{{- $listed := list -}}
{{- range concat $hosts .Values.allowedHosts | uniq -}}
{{- if not (hasPrefix "*." .) -}}
{{- $listed = append $listed . -}}
{{- end -}}
{{- end -}}
{{- $listed | join "," -}}
{{- end -}}
