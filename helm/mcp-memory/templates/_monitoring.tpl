{{/* What ServiceMonitor and PodMonitor have in common. */}}
{{- define "mcp-memory.scrape" -}}
path: /metrics
interval: {{ .monitor.interval }}
{{- with .monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .root.Values.auth }}
{{- if not .anonymous }}
authorization:
  type: Bearer
  credentials:
    name: {{ include "mcp-memory.secret" $.root }}
    key: {{ .keys.metrics | default .keys.api }}
{{- end }}
{{- end }}
{{- with .monitor.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
