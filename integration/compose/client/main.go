// Client asks a resolver the questions on its standard input, a name and a type per line, and
// prints each response code. It does not use package lab, because it runs in a container.
package main

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"github.com/miekg/dns"
)

const (
	askTime  = time.Second
	attempts = 20
)

func main() {
	if err := askAll(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func askAll(resolver string) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var name, qtype string
		if _, err := fmt.Sscan(lines.Text(), &name, &qtype); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		m := new(dns.Msg).SetQuestion(name, dns.StringToType[qtype])
		answer, err := ask(resolver, m)
		if err != nil {
			return fmt.Errorf("%s %s: no answer in %d attempts: %w", name, qtype, attempts, err)
		}
		fmt.Println(name, qtype, dns.RcodeToString[answer.Rcode])
	}
	return lines.Err()
}

// ask repeats the query if there is no answer, because a resolver needs time to start.
func ask(resolver string, m *dns.Msg) (answer *dns.Msg, err error) {
	for range attempts {
		began := time.Now()
		if answer, _, err = (&dns.Client{Timeout: askTime}).Exchange(m, resolver); err == nil {
			return answer, nil
		}
		time.Sleep(askTime - time.Since(began)) // if the query was refused immediately
	}
	return nil, err
}
