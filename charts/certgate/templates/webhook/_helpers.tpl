{{- define "certgate.webhook.client" -}}
clientConfig:
  service:
    name: {{ include "certgate.webhook" . }}
    namespace: {{ .Release.Namespace }}
    path: /mutate
    port: 443
  {{- if eq .Values.webhook.servingCert.mode "files" }}
  {{- with .Values.webhook.servingCert.caBundle }}
  caBundle: {{ b64enc . }}
  {{- end }}
  {{- else }}
  # No caBundle: {{ ternary "cert-manager's cainjector" "the controller" (eq .Values.webhook.servingCert.mode "cert-manager") }} publishes it. Until then calls fail, and writes pass.
  {{- end }}
{{- end -}}

{{/* A write is never refused for certgate's sake; what admission misses the controller repairs. */}}
{{- define "certgate.webhook.manners" -}}
failurePolicy: Ignore
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
sideEffects: None
reinvocationPolicy: IfNeeded
matchPolicy: Equivalent
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values:
        {{- range (concat (list .Release.Namespace "kube-system") .Values.webhook.excludeNamespaces | uniq) }}
        - {{ . }}
        {{- end }}
    {{- with .Values.webhook.namespaceSelector.matchExpressions }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.webhook.namespaceSelector.matchLabels }}
  matchLabels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
