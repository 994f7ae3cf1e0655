// Command promcheck reads on standard input what Prometheus would read, with Prometheus' own packages, and fails where it
// would: "metrics" a scrape of the content type that follows, "rules" a rule file, "queries" one expression a line.
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	const usage = "metrics CONTENT-TYPE, rules or queries?"
	if len(os.Args) < 2 {
		fail(usage)
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err.Error())
	}
	var problems []string
	switch os.Args[1] {
	case "metrics":
		if len(os.Args) != 3 {
			fail(usage)
		}
		problems = metrics(input, os.Args[2])
	case "rules":
		problems = rules(input)
	case "queries":
		problems = queries(input)
	default:
		fail(usage)
	}
	if len(problems) > 0 {
		fail(strings.Join(problems, "\n"))
	}
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
}

// metrics prints each metric's name and number of series.
func metrics(input []byte, contentType string) []string {
	scrape, err := textparse.New(input, contentType, nil, textparse.ParserOptions{})
	if err != nil {
		return []string{err.Error()}
	}
	var problems []string
	helped, typed, series := map[string]bool{}, map[string]bool{}, map[string]int{}
	for {
		entry, err := scrape.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return []string{err.Error()}
		}
		switch entry {
		case textparse.EntryHelp:
			name, text := scrape.Help()
			helped[string(name)] = len(text) > 0
		case textparse.EntryType:
			name, kind := scrape.Type()
			typed[string(name)] = kind != model.MetricTypeUnknown
		case textparse.EntrySeries:
			var of labels.Labels
			scrape.Labels(&of)
			series[of.Get(model.MetricNameLabel)]++
		}
	}
	for name, count := range series {
		fmt.Println(name, count)
		family := name
		for _, end := range []string{"_total", "_bucket", "_sum", "_count"} {
			if cut := strings.TrimSuffix(name, end); typed[cut] {
				family = cut
			}
		}
		if !typed[family] || !helped[family] {
			problems = append(problems, name+": no type or no help")
		}
	}
	return problems
}

func rules(input []byte) []string {
	groups, found := rulefmt.Parse(input, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	var problems []string
	for _, problem := range found {
		problems = append(problems, problem.Error())
	}
	if len(problems) == 0 {
		for _, group := range groups.Groups {
			fmt.Println(group.Name, len(group.Rules))
		}
	}
	return problems
}

func queries(input []byte) []string {
	var problems []string
	for _, line := range strings.Split(strings.TrimSpace(string(input)), "\n") {
		if _, err := parser.NewParser(parser.Options{}).ParseExpr(line); err != nil {
			problems = append(problems, line+": "+err.Error())
		}
	}
	return problems
}
