package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/jmhodges/clock"
	"github.com/letsencrypt/boulder/bdns"
	"github.com/letsencrypt/boulder/core"
	corepb "github.com/letsencrypt/boulder/core/proto"
	"github.com/letsencrypt/boulder/identifier"
	blog "github.com/letsencrypt/boulder/log"
	"github.com/letsencrypt/boulder/va"
	vapb "github.com/letsencrypt/boulder/va/proto"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	accountURI = "https://acme-v02.api.letsencrypt.org/acme/acct/"
	parallel   = 32
)

// resolver asks one DNS server over UDP, and over TCP where an answer is cut.
type resolver struct {
	server string
}

func ask[R dns.RR](ctx context.Context, r resolver, name string, kind uint16) (*bdns.Result[R], string, error) {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	question.SetEdns0(4096, false)
	answer, _, err := (&dns.Client{Timeout: 20 * time.Second}).ExchangeContext(ctx, question, r.server)
	if err != nil {
		return nil, r.server, err
	}
	// What bdns itself makes of codes is not exported.
	missing := kind == dns.TypeCAA && answer.Rcode == dns.RcodeNameError && dns.CountLabel(question.Question[0].Name) > 1
	if answer.Truncated || (answer.Rcode != dns.RcodeSuccess && !missing) {
		return nil, r.server, &dns.Error{}
	}
	result := &bdns.Result[R]{Msg: answer}
	for _, record := range answer.Answer {
		if record, ok := record.(R); ok {
			result.Final = append(result.Final, record)
		}
	}
	return result, r.server, nil
}

func (r resolver) LookupA(ctx context.Context, name string) (*bdns.Result[*dns.A], string, error) {
	return ask[*dns.A](ctx, r, name, dns.TypeA)
}

func (r resolver) LookupAAAA(ctx context.Context, name string) (*bdns.Result[*dns.AAAA], string, error) {
	return ask[*dns.AAAA](ctx, r, name, dns.TypeAAAA)
}

func (r resolver) LookupCAA(ctx context.Context, name string) (*bdns.Result[*dns.CAA], string, error) {
	return ask[*dns.CAA](ctx, r, name, dns.TypeCAA)
}

func (r resolver) LookupTXT(ctx context.Context, name string) (*bdns.Result[*dns.TXT], string, error) {
	return ask[*dns.TXT](ctx, r, name, dns.TypeTXT)
}

// No address is reserved here: the lab's are loopback addresses.
func authority(server string) (*va.ValidationAuthorityImpl, error) {
	anyAddress := func(netip.Addr) error { return nil }
	return va.NewValidationAuthorityImpl(resolver{server}, nil, "oracle", "letsencrypt.org", prometheus.NewRegistry(),
		clock.New(), blog.NewMock(), []string{accountURI, "https://acme-v01.api.letsencrypt.org/acme/reg/"},
		"oracle", "ARIN", anyAddress, time.Second, true, nil, 0, 0)
}

type caaRequest struct {
	// The DNS server, as address and port.
	Server string `json:"server"`
	// The names, `*.` included.
	Names  []string `json:"names"`
	Method string   `json:"method"`
	// The number of the account.
	Account int64 `json:"account"`
}

func each(count int, work func(int) error) error {
	var group sync.WaitGroup
	slots := make(chan struct{}, parallel)
	failures := make(chan error, count)
	for i := range count {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := work(i); err != nil {
				failures <- err
			}
		})
	}
	group.Wait()
	close(failures)
	return <-failures
}

// The CA's objection for each name; empty: CAA lets it issue.
func caa(asked *caaRequest) ([]string, error) {
	validator, err := authority(asked.Server)
	if err != nil {
		return nil, err
	}
	answers := make([]string, len(asked.Names))
	return answers, each(len(asked.Names), func(i int) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		answer, err := validator.DoCAA(ctx, &vapb.IsCAAValidRequest{
			Identifier:       identifier.NewDNS(asked.Names[i]).ToProto(),
			ValidationMethod: asked.Method,
			AccountURIID:     asked.Account,
			AuthzID:          1,
		})
		if err == nil && answer.Problem != nil {
			answers[i] = answer.Problem.Detail
		}
		return err
	})
}

type fetchRequest struct {
	Server string `json:"server"`
	// The hosts.
	Names []string `json:"names"`
	// A challenge's token, and what its file must hold.
	Token string `json:"token"`
	Key   string `json:"key"`
	// In how many seconds each must be over.
	Seconds int `json:"seconds"`
}

// The CA's objection to HTTP-01 of each host; empty: it finds the file.
func fetch(asked *fetchRequest) ([]string, error) {
	validator, err := authority(asked.Server)
	if err != nil {
		return nil, err
	}
	answers := make([]string, len(asked.Names))
	return answers, each(len(asked.Names), func(i int) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(asked.Seconds)*time.Second)
		defer cancel()
		answer, err := validator.DoDCV(ctx, &vapb.PerformValidationRequest{
			Identifier: identifier.NewDNS(asked.Names[i]).ToProto(),
			Challenge: &corepb.Challenge{
				Id: 1, Type: string(core.ChallengeTypeHTTP01), Status: string(core.StatusPending), Token: asked.Token,
			},
			Authz:                    &vapb.AuthzMeta{Id: 1, RegID: 1},
			ExpectedKeyAuthorization: asked.Key,
		})
		if err == nil && answer.Problem != nil {
			answers[i] = answer.Problem.Detail
		}
		return err
	})
}
