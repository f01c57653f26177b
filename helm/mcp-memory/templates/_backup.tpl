{{/* The pod of a backup: in the CronJob, and in the Job that makes the first one. */}}
{{- define "mcp-memory.backupPod" -}}
{{- with .Values.backup -}}
metadata:
  labels:
    {{- include "mcp-memory.podLabels" $ | nindent 4 }}
    app.kubernetes.io/component: backup
spec:
  {{- include "mcp-memory.jobPodSpec" $ | nindent 2 }}
  containers:
    - {{ include "mcp-memory.scriptContainer" (dict "root" $ "name" "backup" "script" "backup.py" "resources" .resources) | nindent 6 | trim }}
      env:
        - {name: URL, value: {{ include "mcp-memory.url" $ | quote }}}
        - {name: KEEP, value: {{ .keep | quote }}}
        {{- if not $.Values.auth.anonymous }}
        - {name: KEY_FILE, value: /key/api-key}
        {{- end }}
        {{- with .s3 }}
        {{- if .bucket }}
        - {name: S3_BUCKET, value: {{ .bucket | quote }}}
        - {name: S3_ENDPOINT, value: {{ .endpoint | quote }}}
        - {name: S3_REGION, value: {{ .region | quote }}}
        - {name: S3_PREFIX, value: {{ .prefix | default (printf "%s/%s" (include "mcp-memory.namespace" $) $.Release.Name) | quote }}}
        {{- end }}
        {{- end }}
      volumeMounts:
        - {name: scripts, mountPath: /scripts, readOnly: true}
        {{- if not $.Values.auth.anonymous }}
        - {name: key, mountPath: /key, readOnly: true}
        {{- end }}
        - {name: tmp, mountPath: /tmp}
        {{- if .s3.bucket }}
        - {name: s3, mountPath: /s3, readOnly: true}
        {{- else }}
        - {name: backup, mountPath: /backup}
        {{- end }}
  volumes:
    {{- include "mcp-memory.scriptVolumes" $ | nindent 4 }}
    {{- if .s3.bucket }}
    - name: s3
      secret:
        secretName: {{ .s3.existingSecret }}
        defaultMode: 0440
        items:
          - {key: access-key-id, path: access-key-id}
          - {key: secret-access-key, path: secret-access-key}
    {{- else }}
    - name: backup
      persistentVolumeClaim:
        claimName: {{ .volume.existingClaim | default (printf "%s-backup" (include "mcp-memory.fullname" $)) }}
    {{- end }}
{{- end }}
{{- end -}}
