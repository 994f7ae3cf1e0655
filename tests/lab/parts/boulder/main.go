// Command boulder-oracle says what Let's Encrypt's own code makes of names, addresses, CAA records, orders and HTTP-01
// fetches. It reads one JSON request a line and answers each with one line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// A request has one of these members.
type request struct {
	Suffixes  bool           `json:"suffixes"`
	Names     []string       `json:"names"`
	Addresses []string       `json:"addresses"`
	CAA       *caaRequest    `json:"caa"`
	Fetch     *fetchRequest  `json:"fetch"`
	Limits    *limitsRequest `json:"limits"`
	Orders    []event        `json:"orders"`
}

func main() {
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	output := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(output)
	decoder := json.NewDecoder(input)
	var account *limits
	for decoder.More() {
		var asked request
		if err := decoder.Decode(&asked); err != nil {
			fail(err)
		}
		var answer any
		var err error
		switch {
		case asked.Suffixes:
			answer = suffixes()
		case asked.Names != nil:
			answer = names(asked.Names)
		case asked.Addresses != nil:
			answer = addresses(asked.Addresses)
		case asked.CAA != nil:
			answer, err = caa(asked.CAA)
		case asked.Fetch != nil:
			answer, err = fetch(asked.Fetch)
		case asked.Limits != nil:
			account, err = newLimits(asked.Limits)
			answer = []string{}
		case asked.Orders != nil && account != nil:
			answer, err = account.take(asked.Orders)
		default:
			err = fmt.Errorf("nothing is asked")
		}
		if err != nil {
			fail(err)
		}
		if err := encoder.Encode(answer); err != nil {
			fail(err)
		}
		if err := output.Flush(); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "boulder-oracle:", err)
	os.Exit(1)
}
