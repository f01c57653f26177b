{{- define "mcp-memory.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .flavor }}-{{ . }}{{ end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mcp-memory.qdrantImage" -}}
{{- with .Values.qdrant.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end -}}
{{- end -}}
