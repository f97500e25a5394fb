{{- define "prodsim.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "prodsim.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "prodsim.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "prodsim.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "prodsim.embedderName" -}}
{{- printf "%s-embedder" (include "prodsim.fullname" .) -}}
{{- end -}}

{{- define "prodsim.selectorLabels" -}}
app.kubernetes.io/name: {{ include "prodsim.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "prodsim.labels" -}}
{{ include "prodsim.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: prodsim
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "prodsim.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "prodsim.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "prodsim.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "prodsim.container" -}}
image: {{ include "prodsim.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.containerSecurityContext | nindent 2 }}
{{- end -}}

{{/* What every pod of the chart is allowed, and not. */}}
{{- define "prodsim.pod" -}}
serviceAccountName: {{ include "prodsim.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "prodsim.embedderUrl" -}}
{{- printf "%s://%s.%s.svc:%d" (ternary "https" "http" (ne .Values.embedder.tls.existingSecret "")) (include "prodsim.embedderName" .) .Release.Namespace (int .Values.embedder.port) -}}
{{- end -}}

{{/* Says in one line what can't go together. */}}
{{- define "prodsim.check" -}}
{{- if not .Values.opensearch.url }}{{ fail "opensearch.url is empty: name the cluster, as pods of this namespace reach it" }}{{ end }}
{{- range $name, $url := dict "opensearch.url" .Values.opensearch.url "opensearch.urlFromEngine" .Values.opensearch.urlFromEngine "embedder.urlFromEngine" .Values.embedder.urlFromEngine "tracing.endpoint" .Values.tracing.endpoint }}
{{- if contains "@" $url }}{{ fail (printf "%s holds a user or a password: name an existing secret instead" $name) }}{{ end }}
{{- end }}
{{- $auth := .Values.opensearch.auth }}
{{- if and (has $auth.type (list "basic" "clientCertificate")) (not $auth.existingSecret) }}{{ fail (printf "opensearch.auth.existingSecret is empty: opensearch.auth.type %s reads it" $auth.type) }}{{ end }}
{{- if and (eq $auth.type "sigv4") (not $auth.region) }}{{ fail "opensearch.auth.region is empty: opensearch.auth.type sigv4 signs for a region" }}{{ end }}
{{- if and (ne $auth.type "none") (not (hasPrefix "https://" .Values.opensearch.url)) }}{{ fail "opensearch.url is not https: opensearch.auth would send credentials in the clear" }}{{ end }}
{{- if and .Values.opensearch.ca.existingSecret .Values.opensearch.ca.existingConfigMap }}{{ fail "opensearch.ca.existingSecret and opensearch.ca.existingConfigMap exclude each other" }}{{ end }}
{{- $policy := .Values.networkPolicy }}
{{- if and $policy.enabled (not $policy.opensearch.cidrs) (not $policy.opensearch.podSelector) (not $policy.opensearch.namespaceSelector) }}{{ fail "networkPolicy.opensearch.podSelector is empty: every pod of the namespace would reach the embedder; name OpenSearch's labels or cidrs" }}{{ end }}
{{- if not .Values.embedder.models }}{{ fail "embedder.models is empty: declare at least one" }}{{ end }}
{{- if and (gt (len .Values.embedder.models) 1) (not .Values.embedder.model) }}{{ fail "embedder.model is empty: with several embedder.models, name the one that catalogs are embedded with" }}{{ end }}
{{- if and .Values.embedder.model (not (hasKey .Values.embedder.models .Values.embedder.model)) }}{{ fail (printf "embedder.model %s is not among embedder.models" .Values.embedder.model) }}{{ end }}
{{- if and (eq .Values.embedder.service.type "LoadBalancer") (not .Values.embedder.apiKeys.existingSecret) }}{{ fail "embedder.apiKeys.existingSecret is empty: embedder.service.type LoadBalancer would let strangers use the embedder" }}{{ end }}
{{- if and .Values.embedder.imageUrls.networks (not .Values.embedder.imageUrls.hosts) }}{{ fail "embedder.imageUrls.hosts is empty: embedder.imageUrls.networks is about those hosts" }}{{ end }}
{{- if gt (int .Values.embedder.autoscaling.minReplicas) (int .Values.embedder.autoscaling.maxReplicas) }}{{ fail "embedder.autoscaling.minReplicas is more than embedder.autoscaling.maxReplicas" }}{{ end }}
{{- if and (eq .Values.embedder.autoscaling.type "keda") (not .Values.embedder.autoscaling.prometheusAddress) }}{{ fail "embedder.autoscaling.prometheusAddress is empty: embedder.autoscaling.type keda asks it" }}{{ end }}
{{- $ray := eq .Values.mode "rayservice" }}
{{- $wanted := 0.0 }}
{{- range $name, $model := include "prodsim.models" . | fromYaml }}{{ $wanted = addf $wanted (mulf (default 0 $model.num_gpus) (default (ternary $.Values.rayservice.modelReplicas 1 $ray) $model.replicas)) }}{{ end }}
{{- $gpus := mul .Values.embedder.gpu.count (ternary .Values.rayservice.workers 1 $ray) }}
{{- if gt $wanted (float64 $gpus) }}{{ fail (printf "embedder.models want %v GPUs for all copies, embedder.gpu.count gives %d: set num_gpus of each, such as 0.5" $wanted $gpus) }}{{ end }}
{{- if $ray }}
{{- if ne .Values.embedder.autoscaling.type "none" }}{{ fail "embedder.autoscaling.type is for mode deployment: set rayservice.workers" }}{{ end }}
{{- if .Values.embedder.tls.existingSecret }}{{ fail "embedder.tls.existingSecret is for mode deployment: Ray Serve's proxies answer HTTP, use a service mesh" }}{{ end }}
{{- end }}
{{- end -}}

{{/* The models as the embedder reads them. In a RayService each is an application. A fused one is made of others and computes nothing. */}}
{{- define "prodsim.models" -}}
{{- range $name, $model := .Values.embedder.models }}
{{- $gpu := ternary (dict "num_gpus" 1) dict (and (gt (int $.Values.embedder.gpu.count) 0) (ne (default "text" $model.kind) "fused")) }}
{{ $name }}:
  {{- merge (dict) $model $gpu | toYaml | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "prodsim.modelVolume" -}}
{{- with .Values.embedder.modelVolume }}
{{- if .existingClaim }}
- name: models
  persistentVolumeClaim: {claimName: {{ .existingClaim | quote }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "prodsim.embedderVolumes" -}}
- name: tmp
  emptyDir: {}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: 512Mi}
- name: config
  configMap: {name: {{ include "prodsim.fullname" . }}}
{{- with .Values.embedder.apiKeys.existingSecret }}
- name: api-keys
  secret:
    secretName: {{ . | quote }}
    items: [{key: {{ $.Values.embedder.apiKeys.key | quote }}, path: keys}]
{{- end }}
{{- with .Values.embedder.tls.existingSecret }}
- name: tls
  secret: {secretName: {{ . | quote }}}
{{- end }}
{{- include "prodsim.modelVolume" . }}
{{- end -}}

{{- define "prodsim.embedderMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: shm, mountPath: /dev/shm}
- {name: config, mountPath: /etc/prodsim, readOnly: true}
{{- if .Values.embedder.apiKeys.existingSecret }}
- {name: api-keys, mountPath: /run/secrets/prodsim/api-keys, readOnly: true}
{{- end }}
{{- if .Values.embedder.tls.existingSecret }}
- {name: tls, mountPath: /run/secrets/prodsim/tls, readOnly: true}
{{- end }}
{{- if .Values.embedder.modelVolume.existingClaim }}
- {name: models, mountPath: {{ .Values.embedder.modelVolume.mountPath | quote }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "prodsim.embedderEnv" -}}
- {name: PRODSIM_LOG_LEVEL, value: {{ .Values.embedder.logLevel | quote }}}
- {name: PRODSIM_LOG_FORMAT, value: json}
{{- with .Values.tracing.endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
- {name: OTEL_SERVICE_NAME, value: prodsim-embedder}
{{- end }}
{{- with .Values.embedder.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "prodsim.resourcesWithGpu" -}}
{{- $resources := deepCopy .Values.embedder.resources -}}
{{- if gt (int .Values.embedder.gpu.count) 0 -}}
{{- $resources = mergeOverwrite $resources (dict "limits" (merge (dict .Values.embedder.gpu.resource (int .Values.embedder.gpu.count)) (default dict $resources.limits))) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{- define "prodsim.placement" -}}
{{- with .Values.embedder.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.embedder.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with .Values.embedder.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.embedder.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.embedder.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.embedder.topologySpread.enabled }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $.Values.embedder.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "prodsim.selectorLabels" $ | nindent 8 }}
        app.kubernetes.io/component: embedder
    {{- if eq $.Values.mode "deployment" }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* How jobs reach cluster and embedder. Secrets are references, never values. */}}
{{- define "prodsim.jobEnv" -}}
- {name: PRODSIM_CONFIG, value: /etc/prodsim/prodsim.yaml}
{{- $auth := .Values.opensearch.auth }}
{{- if eq $auth.type "basic" }}
- name: PRODSIM_ENGINE_USERNAME
  valueFrom: {secretKeyRef: {name: {{ $auth.existingSecret | quote }}, key: {{ $auth.usernameKey | quote }}}}
- {name: PRODSIM_ENGINE_PASSWORD_FILE, value: /run/secrets/prodsim/engine/password}
{{- end }}
{{- with .Values.opensearch.reader.existingSecret }}
- name: PRODSIM_READER_USERNAME
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $.Values.opensearch.reader.usernameKey | quote }}}}
- {name: PRODSIM_READER_PASSWORD_FILE, value: /run/secrets/prodsim/reader/password}
{{- end }}
{{- if .Values.embedder.apiKeys.existingSecret }}
- {name: PRODSIM_EMBEDDER_API_KEY_FILE, value: /run/secrets/prodsim/embedder/key}
{{- end }}
{{- with .Values.tracing.endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
- {name: OTEL_SERVICE_NAME, value: prodsim-admin}
{{- end }}
{{- with .Values.jobs.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "prodsim.jobVolumes" -}}
- name: tmp
  emptyDir: {}
- name: config
  configMap: {name: {{ include "prodsim.fullname" . }}}
- name: state
  {{- if .Values.jobs.state.existingClaim }}
  persistentVolumeClaim: {claimName: {{ .Values.jobs.state.existingClaim | quote }}}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- $auth := .Values.opensearch.auth }}
{{- if eq $auth.type "basic" }}
- name: engine-password
  secret: {secretName: {{ $auth.existingSecret | quote }}, items: [{key: {{ $auth.passwordKey | quote }}, path: password}]}
{{- else if eq $auth.type "clientCertificate" }}
- name: engine-client
  secret: {secretName: {{ $auth.existingSecret | quote }}}
{{- end }}
{{- with .Values.opensearch.reader.existingSecret }}
- name: reader-password
  secret: {secretName: {{ . | quote }}, items: [{key: {{ $.Values.opensearch.reader.passwordKey | quote }}, path: password}]}
{{- end }}
{{- with .Values.opensearch.ca }}
{{- if .existingSecret }}
- name: engine-ca
  secret: {secretName: {{ .existingSecret | quote }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- else if .existingConfigMap }}
- name: engine-ca
  configMap: {name: {{ .existingConfigMap | quote }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- with .Values.embedder.apiKeys.existingSecret }}
- name: embedder-key
  secret: {secretName: {{ . | quote }}, items: [{key: {{ $.Values.embedder.apiKeys.clientKey | quote }}, path: key}]}
{{- end }}
{{- with .Values.embedder.tls.caSecret }}
- name: embedder-ca
  secret: {secretName: {{ . | quote }}, items: [{key: {{ $.Values.embedder.tls.caKey | quote }}, path: ca.crt}]}
{{- end }}
{{- end -}}

{{- define "prodsim.jobMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: config, mountPath: /etc/prodsim, readOnly: true}
- {name: state, mountPath: /var/lib/prodsim}
{{- $auth := .Values.opensearch.auth }}
{{- if eq $auth.type "basic" }}
- {name: engine-password, mountPath: /run/secrets/prodsim/engine, readOnly: true}
{{- else if eq $auth.type "clientCertificate" }}
- {name: engine-client, mountPath: /run/secrets/prodsim/engine, readOnly: true}
{{- end }}
{{- if .Values.opensearch.reader.existingSecret }}
- {name: reader-password, mountPath: /run/secrets/prodsim/reader, readOnly: true}
{{- end }}
{{- if or .Values.opensearch.ca.existingSecret .Values.opensearch.ca.existingConfigMap }}
- {name: engine-ca, mountPath: /run/secrets/prodsim/engine-ca, readOnly: true}
{{- end }}
{{- if .Values.embedder.apiKeys.existingSecret }}
- {name: embedder-key, mountPath: /run/secrets/prodsim/embedder, readOnly: true}
{{- end }}
{{- if .Values.embedder.tls.caSecret }}
- {name: embedder-ca, mountPath: /run/secrets/prodsim/embedder-ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* A job's pod: (root, component, args, extra volumes, extra mounts) */}}
{{- define "prodsim.jobPod" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "prodsim.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    prodsim/role: job
    {{- with $root.Values.jobs.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "prodsim.config" $root | sha256sum }}
    {{- with $root.Values.jobs.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "prodsim.pod" $root | nindent 2 }}
  restartPolicy: {{ .restartPolicy }}
  {{- with $root.Values.jobs.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.jobs.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: prodsim-admin
      {{- include "prodsim.container" $root | nindent 6 }}
      args:
        {{- toYaml .args | nindent 8 }}
      env:
        {{- include "prodsim.jobEnv" $root | nindent 8 }}
      ports:
        - {name: metrics, containerPort: {{ $root.Values.jobs.metricsPort }}}
      resources:
        {{- toYaml $root.Values.jobs.resources | nindent 8 }}
      volumeMounts:
        {{- include "prodsim.jobMounts" $root | nindent 8 }}
        {{- with .mounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "prodsim.jobVolumes" $root | nindent 4 }}
    {{- with .volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Settings of the jobs and models of the embedder: what the ConfigMap holds. */}}
{{- define "prodsim.config" -}}
{{- $auth := .Values.opensearch.auth -}}
prodsim.yaml: |
  alias: {{ .Values.alias | quote }}
  home: /var/lib/prodsim
  engine_url: {{ .Values.opensearch.url | quote }}
  engine_timeout_s: {{ .Values.opensearch.timeoutSeconds }}
  {{- with .Values.opensearch.urlFromEngine }}
  engine_url_from_engine: {{ . | quote }}
  {{- end }}
  {{- if or .Values.opensearch.ca.existingSecret .Values.opensearch.ca.existingConfigMap }}
  engine_ca_file: /run/secrets/prodsim/engine-ca/ca.crt
  {{- end }}
  {{- if eq $auth.type "clientCertificate" }}
  engine_client_certificate: /run/secrets/prodsim/engine/tls.crt
  engine_client_key: /run/secrets/prodsim/engine/tls.key
  {{- end }}
  {{- if eq $auth.type "sigv4" }}
  engine_aws_region: {{ $auth.region | quote }}
  engine_aws_service: {{ $auth.service | quote }}
  {{- end }}
  embedder_url: {{ include "prodsim.embedderUrl" . | quote }}
  {{- with .Values.embedder.urlFromEngine }}
  embedder_url_from_engine: {{ . | quote }}
  {{- end }}
  {{- if .Values.embedder.tls.caSecret }}
  embedder_ca_file: /run/secrets/prodsim/embedder-ca/ca.crt
  {{- end }}
  {{- with .Values.embedder.model }}
  model: {{ . | quote }}
  {{- end }}
  query_timeout_s: {{ .Values.embedder.queryTimeoutSeconds }}
  log_level: {{ .Values.jobs.logLevel }}
  log_format: json
  metrics_port: {{ .Values.jobs.metricsPort }}
models.yaml: |
  models:
    {{- include "prodsim.models" . | nindent 4 }}
{{- with .Values.catalog }}
catalog.yaml: |
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
