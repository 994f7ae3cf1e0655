// The peer: the same mutation in Go's standard framework for Kubernetes webhooks.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

type injector struct{ decoder admission.Decoder }

func (i *injector) Handle(_ context.Context, request admission.Request) admission.Response {
	ingress := &networkingv1.Ingress{}
	if err := i.decoder.Decode(request, ingress); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if len(ingress.Spec.TLS) != 0 {
		return admission.Allowed("")
	}
	for _, rule := range ingress.Spec.Rules {
		if rule.Host != "" {
			entry := networkingv1.IngressTLS{Hosts: []string{rule.Host}, SecretName: "certgate-" + rule.Host}
			ingress.Spec.TLS = append(ingress.Spec.TLS, entry)
		}
	}
	if ingress.Annotations == nil {
		ingress.Annotations = map[string]string{}
	}
	ingress.Annotations["cert-manager.io/cluster-issuer"] = "le"
	changed, err := json.Marshal(ingress)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(request.Object.Raw, changed)
}

func main() {
	folder := flag.String("d", ".", "folder with tls.crt and tls.key")
	flag.Parse()
	log.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	scheme := runtime.NewScheme()
	if err := networkingv1.AddToScheme(scheme); err != nil {
		panic(err)
	}
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: 19445, CertDir: *folder})
	server.Register("/mutate", &webhook.Admission{Handler: &injector{decoder: admission.NewDecoder(scheme)}})
	if err := server.Start(context.Background()); err != nil {
		panic(err)
	}
}
