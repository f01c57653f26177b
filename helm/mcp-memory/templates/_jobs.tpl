{{/* What the pods of jobs have in common. Their labels are not the service's, or they would get its requests. */}}
{{- define "mcp-memory.jobPodSpec" -}}
restartPolicy: Never
serviceAccountName: {{ include "mcp-memory.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A container that runs one of this chart's scripts: (dict "root" $ "name" "x" "script" "x.py" "resources" {}) */}}
{{- define "mcp-memory.scriptContainer" -}}
name: {{ .name }}
image: {{ include "mcp-memory.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [/usr/bin/python3, -I, -u, /scripts/{{ .script }}]
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
{{- with .resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "mcp-memory.url" -}}
http://{{ include "mcp-memory.fullname" . }}.{{ include "mcp-memory.namespace" . }}:{{ .Values.service.port }}
{{- end -}}

{{/* Volumes of such pods: the scripts, and the clients' key alone. */}}
{{- define "mcp-memory.scriptVolumes" -}}
- name: scripts
  configMap:
    name: {{ include "mcp-memory.fullname" . }}-scripts
{{- if not .Values.auth.anonymous }}
- name: key
  secret:
    secretName: {{ include "mcp-memory.secret" . }}
    defaultMode: 0440
    items:
      - {key: {{ .Values.auth.keys.api }}, path: api-key}
{{- end }}
- name: tmp
  emptyDir: {}
{{- end -}}
