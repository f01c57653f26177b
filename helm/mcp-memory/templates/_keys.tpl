{{/* The Secret that keys are read from. */}}
{{- define "mcp-memory.secret" -}}
{{- .Values.auth.existingSecret | default (include "mcp-memory.fullname" .) -}}
{{- end -}}

{{/* Keys of the Secret that this chart makes, as JSON. Those in the cluster stay; missing ones are made, once in a rendering. */}}
{{- define "mcp-memory.generatedKeys" -}}
{{- if not (hasKey .Values "_keys") -}}
{{- $found := (lookup "v1" "Secret" (include "mcp-memory.namespace" .) (include "mcp-memory.fullname" .)).data | default dict -}}
{{- $names := eq .Values.mode "sidecar" | ternary (list .Values.auth.keys.qdrant) list -}}
{{- if not .Values.auth.anonymous -}}
{{- $names = append $names .Values.auth.keys.api -}}
{{- if .Values.auth.keys.metrics -}}
{{- $names = append $names .Values.auth.keys.metrics -}}
{{- end -}}
{{- end -}}
{{- $keys := dict -}}
{{- range $names -}}
{{- $_ := set $keys . (hasKey $found . | ternary (index $found . | default "" | b64dec) (randAlphaNum 43)) -}}
{{- end -}}
{{- if and .Values.auth.apiKey (not .Values.auth.anonymous) -}}
{{- $_ := set $keys .Values.auth.keys.api .Values.auth.apiKey -}}
{{- end -}}
{{- $_ := set .Values "_keys" $keys -}}
{{- end -}}
{{- .Values._keys | toJson -}}
{{- end -}}

{{/* Changes when keys change, so that pods start anew. A Secret of one's own is looked at where the cluster can be asked. */}}
{{- define "mcp-memory.keysChecksum" -}}
{{- if .Values.auth.existingSecret -}}
{{- (lookup "v1" "Secret" (include "mcp-memory.namespace" .) .Values.auth.existingSecret).data | default dict | toJson | sha256sum -}}
{{- else -}}
{{- include "mcp-memory.generatedKeys" . | sha256sum -}}
{{- end -}}
{{- end -}}

{{/* Volume `keys`: api-key, metrics-key, qdrant-api-key, qdrant-ca.crt, whatever they are called where they come from.
     (dict "root" $ "clients" true): with the clients' keys, or with what is needed for Qdrant alone. */}}
{{- define "mcp-memory.keysVolume" -}}
{{- with .root -}}
{{- $sidecar := eq .Values.mode "sidecar" -}}
{{- $clients := and $.clients (not .Values.auth.anonymous) -}}
name: keys
projected:
  defaultMode: 0440
  sources:
    {{- if or $sidecar $clients }}
    - secret:
        name: {{ include "mcp-memory.secret" . }}
        items:
          {{- if $clients }}
          - {key: {{ .Values.auth.keys.api }}, path: api-key}
          {{- with .Values.auth.keys.metrics }}
          - {key: {{ . }}, path: metrics-key}
          {{- end }}
          {{- end }}
          {{- if $sidecar }}
          - {key: {{ .Values.auth.keys.qdrant }}, path: qdrant-api-key}
          {{- end }}
    {{- end }}
    {{- if eq .Values.mode "external" }}
    {{- with .Values.external.existingSecret }}
    - secret:
        name: {{ . }}
        items:
          - {key: {{ $.root.Values.external.secretKey }}, path: qdrant-api-key}
    {{- end }}
    {{- with .Values.external.caConfigMap }}
    - configMap:
        name: {{ . }}
        items:
          - {key: ca.crt, path: qdrant-ca.crt}
    {{- end }}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* Whether there is anything for that volume, for the service and for Qdrant alone. */}}
{{- define "mcp-memory.hasQdrantKeys" -}}
{{- if or (eq .Values.mode "sidecar") (and (eq .Values.mode "external") (or .Values.external.existingSecret .Values.external.caConfigMap)) -}}
true
{{- end -}}
{{- end -}}

{{- define "mcp-memory.hasKeys" -}}
{{- if or (not .Values.auth.anonymous) (include "mcp-memory.hasQdrantKeys" .) -}}
true
{{- end -}}
{{- end -}}

{{/* How the service, and a migration, find their keys to Qdrant. */}}
{{- define "mcp-memory.qdrantKeyEnvironment" -}}
{{- if or (eq .Values.mode "sidecar") (and (eq .Values.mode "external") .Values.external.existingSecret) }}
- {name: MCP_QDRANT_API_KEY_FILE, value: /keys/qdrant-api-key}
{{- end }}
{{- if and (eq .Values.mode "external") .Values.external.caConfigMap }}
- {name: MCP_QDRANT_CA_FILE, value: /keys/qdrant-ca.crt}
{{- end }}
{{- end -}}
