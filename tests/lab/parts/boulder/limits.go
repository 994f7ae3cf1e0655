package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/jmhodges/clock"
	"github.com/letsencrypt/boulder/config"
	"github.com/letsencrypt/boulder/identifier"
	blog "github.com/letsencrypt/boulder/log"
	"github.com/letsencrypt/boulder/ratelimits"
	"github.com/prometheus/client_golang/prometheus"
)

// Within this time a certificate for the same names makes an order a renewal (wfe2 and ra, `FQDNSetTimestampsForWindow`).
const renewalWindow = 120 * 24 * time.Hour

type limitsRequest struct {
	// Limits by the names that Boulder gives them: how many in how many seconds.
	Rates map[string][2]int64 `json:"rates"`
}

type event struct {
	// Milliseconds of Unix time; they only grow.
	At      int64    `json:"at"`
	What    string   `json:"what"`
	Account int64    `json:"account"`
	Names   []string `json:"names"`
	// The order says which certificate it replaces, within the window that the CA suggested.
	Replaces bool `json:"replaces"`
}

// A CA with limits, as its front end (wfe2) and its registration authority (ra) use them.
type limits struct {
	clock   clock.FakeClock
	limiter *ratelimits.Limiter
	builder *ratelimits.TransactionBuilder
	issued  map[string]time.Time
	paused  map[string]bool
}

func newLimits(asked *limitsRequest) (*limits, error) {
	configs := ratelimits.LimitConfigs{}
	for name, rate := range asked.Rates {
		configs[name] = &ratelimits.LimitConfig{
			Burst: rate[0], Count: rate[0], Period: config.Duration{Duration: time.Duration(rate[1]) * time.Second},
		}
	}
	fake := clock.NewFake()
	limiter, err := ratelimits.NewLimiter(fake, ratelimits.NewInmemSource(), prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	builder, err := ratelimits.NewTransactionBuilder(configs, nil, prometheus.NewRegistry(), blog.NewMock())
	if err != nil {
		return nil, err
	}
	return &limits{fake, limiter, builder, map[string]time.Time{}, map[string]bool{}}, nil
}

func set(names []string) string {
	sorted := append([]string{}, names...)
	sort.Strings(sorted)
	return strings.Join(sorted, ",")
}

func (l *limits) isRenewal(names []string) bool {
	at, ok := l.issued[set(names)]
	return ok && l.clock.Now().Sub(at) <= renewalWindow
}

// The CA's refusal of each event; empty: it takes it.
func (l *limits) take(events []event) ([]string, error) {
	answers := make([]string, len(events))
	for i, event := range events {
		l.clock.Set(time.UnixMilli(event.At).UTC())
		var err error
		switch event.What {
		case "order":
			answers[i], err = l.order(event)
		case "validated":
			err = l.validated(event)
		case "issued":
			err = l.certify(event)
		case "failed":
			err = l.failed(event)
		default:
			err = fmt.Errorf("no such event: %q", event.What)
		}
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func pausedKey(account int64, name string) string {
	return fmt.Sprintf("%d %s", account, name)
}

func (l *limits) order(event event) (string, error) {
	for _, name := range event.Names {
		if l.paused[pausedKey(event.Account, name)] {
			return "Your account is temporarily prevented from requesting certificates for " + name, nil
		}
	}
	if event.Replaces {
		return "", nil
	}
	idents := identifier.NewDNSSlice(event.Names)
	transactions, err := l.builder.NewOrderLimitTransactions(event.Account, idents, l.isRenewal(event.Names))
	if err != nil {
		return "", err
	}
	decision, err := l.limiter.BatchSpend(context.Background(), transactions)
	if err != nil {
		return "", err
	}
	if refused := decision.Result(l.clock.Now()); refused != nil {
		return refused.Error(), nil
	}
	return "", nil
}

// A validation gives the name back its failures in a row.
func (l *limits) validated(event event) error {
	for _, ident := range identifier.NewDNSSlice(event.Names) {
		transactions, err := l.builder.NewPausingResetTransactions(event.Account, ident)
		if err != nil {
			return err
		}
		if err := l.limiter.BatchReset(context.Background(), transactions); err != nil {
			return err
		}
	}
	return nil
}

func (l *limits) certify(event event) error {
	idents := identifier.NewDNSSlice(event.Names)
	var transactions []ratelimits.Transaction
	if !l.isRenewal(event.Names) {
		domains, err := l.builder.CertificatesPerDomainSpendOnlyTransactions(event.Account, idents)
		if err != nil {
			return err
		}
		transactions = append(transactions, domains...)
	}
	transaction, err := l.builder.CertificatesPerFQDNSetSpendOnlyTransaction(idents)
	if err != nil {
		return err
	}
	l.issued[set(event.Names)] = l.clock.Now()
	_, err = l.limiter.BatchSpend(context.Background(), append(transactions, transaction))
	return err
}

func (l *limits) failed(event event) error {
	for _, ident := range identifier.NewDNSSlice(event.Names) {
		transaction, err := l.builder.FailedAuthorizationsPerDomainPerAccountSpendOnlyTransaction(event.Account, ident)
		if err != nil {
			return err
		}
		if _, err := l.limiter.Spend(context.Background(), transaction); err != nil {
			return err
		}
		transaction, err = l.builder.FailedAuthorizationsForPausingPerDomainPerAccountTransaction(event.Account, ident)
		if err != nil {
			return err
		}
		decision, err := l.limiter.Spend(context.Background(), transaction)
		if err != nil {
			return err
		}
		if decision.Result(l.clock.Now()) != nil {
			l.paused[pausedKey(event.Account, ident.Value)] = true
		}
	}
	return nil
}
