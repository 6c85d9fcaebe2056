{{- define "podwire.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "podwire.labels" -}}
app.kubernetes.io/name: podwire-agent
app.kubernetes.io/part-of: podwire
{{- end }}

{{- define "podwire.criSocket" -}}
{{- $usual := dict "containerd" "/run/containerd/containerd.sock" "k3s" "/run/k3s/containerd/containerd.sock" "crio" "/run/crio/crio.sock" -}}
{{ .Values.criSocket | default (get $usual .Values.runtime) }}
{{- end }}

{{- define "podwire.cniBinDir" -}}
{{ .Values.cni.binDir | default (eq .Values.runtime "k3s" | ternary "/var/lib/rancher/k3s/data/cni" "/opt/cni/bin") }}
{{- end }}

{{- define "podwire.cniConfDir" -}}
{{ .Values.cni.confDir | default (eq .Values.runtime "k3s" | ternary "/var/lib/rancher/k3s/agent/etc/cni/net.d" "/etc/cni/net.d") }}
{{- end }}
