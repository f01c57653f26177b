{{/* Names. The longest suffix, `-headless`, and the hash that a StatefulSet's pods are labelled with fit behind 43 characters. */}}

{{- define "mcp-memory.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A name that is cut gets six digits of its hash: releases whose long names begin alike don't meet. */}}
{{- define "mcp-memory.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Values.fullnameOverride | default (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) -}}
{{- if gt (len $full) 43 -}}
{{- printf "%s-%s" ($full | trunc 36 | trimSuffix "-") ($full | sha256sum | trunc 6) -}}
{{- else -}}
{{- $full | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mcp-memory.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "mcp-memory.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mcp-memory.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What never changes in the life of a release: selectors are immutable. */}}
{{- define "mcp-memory.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mcp-memory.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mcp-memory.serverLabels" -}}
{{ include "mcp-memory.selectorLabels" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "mcp-memory.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "mcp-memory.podLabels" . }}
{{- end -}}

{{/* Without the chart's version, so that a new one alone starts no pod anew. */}}
{{- define "mcp-memory.podLabels" -}}
{{ include "mcp-memory.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: (dict "root" $ "suffix" "-x" "annotations" {} "labels" {}), of which all but root may be left out. */}}
{{- define "mcp-memory.metadata" -}}
name: {{ include "mcp-memory.fullname" .root }}{{ .suffix | default "" }}
namespace: {{ include "mcp-memory.namespace" .root }}
labels:
  {{- include "mcp-memory.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
