package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// A browser is a Chromium that runs inside the namespace.
type browser struct {
	ctx context.Context
}

// startBrowser starts Chromium, which is controlled through two pipes. It and its children
// are killed after the test.
func startBrowser(t *testing.T, n *lab.Namespace) *browser {
	t.Helper()
	lab.RequirePrograms(t, "chromium")
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	commands, answers := pipe(t), pipe(t)
	cmd.ExtraFiles = []*os.File{commands.out, answers.in} // 3 and 4
	n.Start(t, "chromium", cmd)
	commands.out.Close()
	answers.in.Close()
	drive := chromedp.NewPipeConn(answers.out, commands.in)
	ctx, cancel := chromedp.NewAllocatorContext(context.Background(), driven{drive})
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("driving Chromium: %v", err)
	}
	return &browser{ctx}
}

// driven is a [chromedp.Allocator] for a browser that runs already.
type driven struct{ by chromedp.Transport }

func (d driven) Allocate(ctx context.Context, o ...chromedp.BrowserOption) (*chromedp.Browser, error) {
	return chromedp.NewBrowserTransport(ctx, d.by, o...)
}

func (driven) Wait() {}

func (driven) Attaches() bool { return true }

type pipeEnds struct{ out, in *os.File }

// pipe returns a pipe that is closed after the test.
func pipe(t *testing.T) pipeEnds {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close(); in.Close() })
	return pipeEnds{out, in}
}

// A tab shows a page and collects its problems.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// violations makes the page record what its content security policy blocked.
const violations = `window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.violations.push(e.violatedDirective + " " + e.blockedURI));`

// open shows a page in a new tab, with or without scripting.
func (b *browser) open(t *testing.T, url string, scripting bool) *tab {
	t.Helper()
	p := &tab{t: t}
	var cancel context.CancelFunc
	p.ctx, cancel = chromedp.NewContext(b.ctx, chromedp.WithListener(p.listen))
	t.Cleanup(cancel)
	if err := chromedp.Do(p.ctx); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	call(p, log.Enable, cdp.Empty{})
	call(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: violations})
	call(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripting})
	do(p, chromedp.Navigate(url))
	return p
}

// listen records the problems that the browser reports.
func (p *tab) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		p.problems = append(p.problems, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventConsoleAPICalled:
		p.problems = append(p.problems, fmt.Sprintf("console.%s %+v", e.Type, e.Args))
	case *runtime.EventExceptionThrown:
		p.problems = append(p.problems, fmt.Sprintf("an exception: %+v", e.ExceptionDetails))
	case *page.EventJavascriptDialogOpening:
		p.problems = append(p.problems, "a dialog: "+e.Message)
	}
}

// complaints returns the problems that the browser has reported since the last call.
func (p *tab) complaints() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.problems = nil }()
	return strings.Join(p.problems, "\n")
}

// do runs an action in the tab and returns its result.
func do[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, waitTime)
	defer cancel()
	answer, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// call runs a command of the protocol for which chromedp has no action.
func call[P, R any](p *tab, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	answer, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// ask evaluates an expression in the page.
func ask[T any](p *tab, expression string) T {
	p.t.Helper()
	return do(p, chromedp.Evaluate[T](expression))
}

// await waits until the expression is true, and returns how long that took.
func (p *tab) await(expression string) time.Duration {
	p.t.Helper()
	began := time.Now()
	await(p.t, expression, func() bool { return ask[bool](p, expression) })
	return time.Since(began)
}
