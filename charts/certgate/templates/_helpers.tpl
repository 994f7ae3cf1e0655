{{/* The prefix of all names. The names themselves are fixed: what certgate configures exists once in a cluster. */}}
{{- define "certgate.name" -}}
{{- .Values.nameOverride | default "certgate" -}}
{{- end -}}

{{- define "certgate.webhook" -}}{{ include "certgate.name" . }}-webhook{{- end -}}
{{- define "certgate.controller" -}}{{ include "certgate.name" . }}-controller{{- end -}}

{{/* Secrets and the Lease that certgate keeps in its own namespace. */}}
{{- define "certgate.caSecret" -}}{{ include "certgate.name" . }}-ca{{- end -}}
{{- define "certgate.tlsSecret" -}}
{{- if eq .Values.webhook.servingCert.mode "files" -}}
{{ .Values.webhook.servingCert.secretName }}
{{- else -}}
{{ include "certgate.name" . }}-webhook-tls
{{- end -}}
{{- end -}}
{{- define "certgate.lease" -}}{{ include "certgate.name" . }}-controller{{- end -}}

{{- define "certgate.policyConfigMap" -}}
{{- include "certgate.name" . }}-policy
{{- end -}}

{{/* Labels that select Pods: never changed, for a Deployment's selector cannot be. */}}
{{- define "certgate.selectorLabels" -}}
app.kubernetes.io/name: certgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "certgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "certgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: certgate
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "certgate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* YAML 1.1 reads a bare off as false; both mean off. */}}
{{- define "certgate.word" -}}
{{- if kindIs "bool" . -}}{{ ternary "on" "off" . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{- define "certgate.policy" -}}
{{- $policy := deepCopy .Values.policy -}}
{{- if hasKey $policy "httpReach" -}}
{{- $_ := set $policy "httpReach" (include "certgate.word" $policy.httpReach) -}}
{{- end -}}
{{- if hasKey ($policy.gate | default dict) "mode" -}}
{{- $_ := set $policy.gate "mode" (include "certgate.word" $policy.gate.mode) -}}
{{- end -}}
{{- toYaml $policy -}}
{{- end -}}

{{/* "true" where policy holds CertificateRequests too, else nothing. */}}
{{- define "certgate.gated" -}}
{{- if not (has (include "certgate.word" ((.Values.policy.gate).mode | default "off")) (list "off")) -}}true{{- end -}}
{{- end -}}

{{/* What both Pods have in common. Call with a dict of root, role and values. */}}
{{- define "certgate.podSpec" -}}
{{- $root := .root -}}
{{- $values := .values -}}
serviceAccountName: {{ include "certgate.name" $root }}-{{ .role }}
automountServiceAccountToken: true
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- if $root.Values.priorityClass.create }}
priorityClassName: {{ $root.Values.priorityClass.name }}
{{- else if $root.Values.priorityClass.name }}
priorityClassName: {{ $root.Values.priorityClass.name }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $values.affinity }}
affinity:
  {{- toYaml $values.affinity | nindent 2 }}
{{- else if ne $values.antiAffinity "none" }}
affinity:
  podAntiAffinity:
    {{- if eq $values.antiAffinity "required" }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "certgate.selectorLabels" $root | nindent 12 }}
            app.kubernetes.io/component: {{ .role }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "certgate.selectorLabels" $root | nindent 14 }}
              app.kubernetes.io/component: {{ .role }}
    {{- end }}
{{- end }}
{{- with $values.topologySpread }}
topologySpreadConstraints:
  {{- range . }}
  - topologyKey: {{ .topologyKey }}
    maxSkew: {{ .maxSkew | default 1 }}
    whenUnsatisfiable: {{ .whenUnsatisfiable | default "ScheduleAnyway" }}
    labelSelector:
      matchLabels:
        {{- include "certgate.selectorLabels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ $.role }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "certgate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The Pod's own coordinates, and nothing else, come by environment. */}}
{{- define "certgate.env" -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- end -}}

{{- define "certgate.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{/* The status page's Service; empty: it has none. */}}
{{- define "certgate.pageService" -}}
{{- with .Values.controller.page }}{{ if and .enabled (eq .listen "service") }}{{ include "certgate.name" $ }}-page{{ end }}{{ end }}
{{- end -}}

{{/* Whether the status page asks who its visitors are; empty: no. */}}
{{- define "certgate.pageAsks" -}}
{{- with .Values.controller.page }}{{ if and .enabled (or (eq .auth "token") (and (eq .auth "auto") (eq .listen "service"))) }}yes{{ end }}{{ end }}
{{- end -}}

{{/* The names by which the status page may be called, as JSON. */}}
{{- define "certgate.pageHosts" -}}
{{- $hosts := .Values.controller.page.hosts }}
{{- with include "certgate.pageService" . }}
{{- $own := printf "%s.%s" . $.Release.Namespace }}
{{- $hosts = concat $hosts (list . $own (printf "%s.svc" $own)) }}
{{- end }}
{{- toJson $hosts }}
{{- end -}}

{{/* Where traces go; nothing: none are made. */}}
{{- define "certgate.tracingEnv" -}}
{{- with .Values.tracing }}{{- if .otlpEndpoint -}}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .otlpEndpoint | quote }}}
{{- if .sampler }}
- {name: OTEL_TRACES_SAMPLER, value: {{ .sampler | quote }}}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ .samplerArg | quote }}}
{{- end }}
{{- end }}{{- end }}
{{- end -}}
