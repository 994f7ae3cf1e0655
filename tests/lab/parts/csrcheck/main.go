// Command csrcheck reads on standard input the spec.request of one CertificateRequest a line, as JSON, and prints for each
// which names Go finds in it, in the way of cert-manager (pki.DecodeX509CertificateRequestBytes, without its bound on size)
// and of Boulder.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

type found struct {
	DNS    []string `json:"dns,omitempty"`
	Common []string `json:"common,omitempty"`
	Others bool     `json:"others,omitempty"`
	Error  string   `json:"error,omitempty"`
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<24)
	output := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(output)
	for input.Scan() {
		names, err := read(input.Bytes())
		if err != nil {
			names = found{Error: err.Error()}
		}
		if err := encoder.Encode(names); err != nil {
			fail(err)
		}
	}
	if err := errors.Join(input.Err(), output.Flush()); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func read(line []byte) (found, error) {
	var request []byte
	if err := json.Unmarshal(line, &request); err != nil {
		return found{}, err
	}
	block, _ := pem.Decode(request)
	if block == nil {
		return found{}, errors.New("no PEM block")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return found{}, err
	}
	names := found{DNS: csr.DNSNames, Others: len(csr.EmailAddresses)+len(csr.IPAddresses)+len(csr.URIs) > 0}
	for _, part := range csr.Subject.Names {
		if text, ok := part.Value.(string); ok && part.Type.Equal(commonName) {
			names.Common = append(names.Common, text)
		}
	}
	return names, nil
}
