package main

import (
	"net/netip"
	"strings"

	"github.com/letsencrypt/boulder/iana"
	"github.com/letsencrypt/boulder/policy"
	"github.com/weppos/publicsuffix-go/publicsuffix"
)

// The rules of the CA's public suffix list, private ones included, in their ASCII form.
func suffixes() []string {
	var rules []string
	for _, rule := range publicsuffix.DefaultRules() {
		ascii, err := publicsuffix.ToASCII(strings.TrimPrefix(rule.Value, "*."))
		if err == nil {
			rules = append(rules, ascii)
		}
	}
	return rules
}

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
