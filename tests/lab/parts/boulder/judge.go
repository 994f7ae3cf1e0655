package main

import (
	"net/netip"

	"github.com/letsencrypt/boulder/iana"
	"github.com/letsencrypt/boulder/policy"
)

// The CA's objection to each name; empty: it issues for such a name.
func names(asked []string) []string {
	answers := make([]string, len(asked))
	for i, name := range asked {
		if err := policy.ValidDomain(name); err != nil {
			answers[i] = err.Error()
		}
	}
	return answers
}

// The registry that reserves each address; empty: none.
func addresses(asked []string) []string {
	answers := make([]string, len(asked))
	for i, text := range asked {
		address, err := netip.ParseAddr(text)
		if err == nil {
			err = iana.IsReservedAddr(address)
		}
		if err != nil {
			answers[i] = err.Error()
		}
	}
	return answers
}
