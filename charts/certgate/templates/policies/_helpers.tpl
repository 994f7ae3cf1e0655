{{/* Who the policies do not apply to: certgate itself and whom the values exempt. */}}
{{- define "certgate.policies.exempt" -}}
- name: not-by-certgate
  expression: request.userInfo.username != {{ printf "system:serviceaccount:%s:%s" .Release.Namespace (include "certgate.controller" .) | squote }}
{{- with .Values.admissionPolicy.exemptUsers }}
- name: not-by-an-exempt-user
  expression: '!(request.userInfo.username in {{ toJson . }})'
{{- end }}
{{- with .Values.admissionPolicy.exemptGroups }}
- name: not-by-an-exempt-group
  expression: '!(has(request.userInfo.groups) && request.userInfo.groups.exists(g, g in {{ toJson . }}))'
{{- end }}
{{- end -}}

{{/* Where they hold. */}}
{{- define "certgate.policies.namespaces" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values:
      {{- range (concat (list .Release.Namespace "kube-system") .Values.webhook.excludeNamespaces (.Values.policy.excludeNamespaces | default list) | uniq) }}
      - {{ . }}
      {{- end }}
  {{- with .Values.admissionPolicy.namespaceSelector.matchExpressions }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.admissionPolicy.namespaceSelector.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* warn → [Warn, Audit], deny → [Deny, Audit]. */}}
{{- define "certgate.policies.actions" -}}
[{{ ternary "Deny" "Warn" (eq . "deny") }}, Audit]
{{- end -}}

{{/* A policy that only warns must not refuse a write because it could not be evaluated. */}}
{{- define "certgate.policies.failure" -}}
{{ ternary "Fail" "Ignore" (eq . "deny") }}
{{- end -}}
