package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// markup lists names that would have an effect if the page did not escape them.
var markup = []string{`<img/src=x/onerror=alert(1)>`, `</code><script>alert(2)</script>`}

// presented returns a label in presentation form (RFC 1035 section 5.1).
func presented(label string) string {
	var b strings.Builder
	for _, c := range []byte(label) {
		if c == '(' || c == ')' || c == ';' {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// TestStatusPageInABrowser checks the status page of a sensor with a real resolver in a real
// browser.
func TestStatusPageInABrowser(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	config := unixSource + exactTimes + fileSink("first", "dnsqr") + "admin {\n  samples = true\n}\n"
	s := startSensor(t, w.Namespace, config)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	s.awaitLog(t, connected, 1)
	b := startBrowser(t, w.Namespace)
	tab := b.open(t, "http://"+adminAddr+"/", true)

	checkRefresh(t, tab, w, unbound)
	checkNoFetchWhileHidden(t, tab, func() {
		unbound.Stop(t)
		checkWidths(t, tab)
		checkThemes(t, tab)
		checkKeyboard(t, tab)
		checkAccessibility(t, tab)
	})
	checkFocusStays(t, tab)
	checkNews(t, tab)
	checkPause(t, tab)
	plain := b.open(t, "http://"+adminAddr+"/", false)
	checkWithoutScripting(t, plain)
	for _, p := range []*tabOf{{"the page", tab}, {"the page without scripting", plain}} {
		if wrong := p.complaints(); wrong != "" {
			t.Errorf("%s: the browser reports:\n%s", p.name, wrong)
		}
	}
	if got := ask[[]string](tab, `window.violations`); len(got) > 0 {
		t.Errorf("the content security policy blocked %q", got)
	}
	checkPolicy(t, tab)
	checkStale(t, tab, s, config)
}

// checkFocusStays checks that patch keeps the focus while elements before it are removed and
// added.
func checkFocusStays(t *testing.T, tab *tab) {
	t.Helper()
	for _, wrong := range ask[[]string](tab, `(() => {
		const old = document.createElement("div");
		document.body.append(old);
		const details = (id) => `+"`<details id=\"${id}\"><summary>${id}</summary></details>\n<p>between</p>`"+`;
		const made = (...ids) => new DOMParser().parseFromString("<div>" + ids.map(details).join("\n") + "</div>", "text/html").body.firstChild;
		const became = [["a", "b", "c"], ["b", "c"], ["c"], ["b", "c"], ["new", "c", "d"], ["c"]].map((ids) => {
			const fresh = made(...ids);
			patch(old, fresh);
			return [ids, old.innerHTML === fresh.innerHTML];
		});
		const moved = [];
		old.replaceChildren(...made("a", "b", "c").childNodes);
		old.querySelector("#c summary").focus({ preventScroll: true });
		for (const ids of [["b", "c"], ["c"], ["b", "c"], ["new", "c", "d"], ["c"]]) {
			patch(old, made(...ids));
			if (document.activeElement.textContent !== "c") {
				moved.push("focus lost before " + ids);
			}
		}
		old.remove();
		return [...became.filter(([, same]) => !same).map(([ids]) => "not made " + ids), ...moved];
	})()`) {
		t.Error(wrong)
	}
}

// A tabOf is a tab with a name for messages.
type tabOf struct {
	name string
	*tab
}

// figure is the number in the first row of the first table of the ledger.
const figure = `Number(document.querySelector("#flow .whole td").textContent.replaceAll(",", ""))`

// shownText is the visible text without the backslashes of presentation form.
const shownText = `document.querySelector("main").innerText.replaceAll("\\", "")`

// shownAt is the time of the shown data.
const shownAt = `document.querySelector("#asof time").textContent`

// checkRefresh checks the page while a resolver answers: figures grow, names are shown as
// text, and focus, open details and scroll position stay.
func checkRefresh(t *testing.T, tab *tab, w *lab.World, r *lab.Resolver) {
	t.Helper()
	const position = `JSON.stringify([document.activeElement.parentElement.id, document.querySelector("#none-messages").open, Math.abs(scrollY - 600) < 100])` // the content above may grow
	before := ask[int](tab, figure)
	ask[int](tab, `(() => {
		const d = document.querySelector("#none-messages");
		d.open = true;
		d.querySelector("summary").focus();
		scrollTo(0, 600);
		return 1;
	})()`)
	positionBefore := ask[string](tab, position)
	var questions []lab.Question
	for i := range 20 {
		questions = append(questions, lab.Question{Name: flowName(int64(i)), Type: dns.TypeA, From: lab.Client1})
	}
	for _, label := range markup {
		questions = append(questions, lab.Question{Name: presented(label) + ".wild.shop.com.", Type: dns.TypeA, From: lab.Client1})
	}
	for i, answer := range w.Ask(t, r, questions) {
		if answer == nil || len(answer.Answer) == 0 {
			t.Fatalf("%s: the world answers %v", questions[i].Name, answer)
		}
	}
	took := tab.await(fmt.Sprintf(`%s >= %d && document.querySelector("#samples ol")?.children.length === 20 &&
		%s.includes(%q) && %s.includes(%q)`, figure, before+40, shownText, markup[0], shownText, markup[1]))
	t.Logf("%d more messages were shown after %s", ask[int](tab, figure)-before, took.Round(time.Millisecond))
	if now := ask[string](tab, position); now != positionBefore || !strings.HasPrefix(positionBefore, `["none-messages",true,true]`) {
		t.Errorf("before a refresh focus, details and scroll position were %s, after it %s", positionBefore, now)
	}
	checkText(t, tab)
}

// checkText checks that names and identities from outside are shown as plain text.
func checkText(t *testing.T, tab *tab) {
	t.Helper()
	if said := ask[string](tab, `document.querySelector("#news").textContent`); said != "" {
		t.Errorf("a screen reader announces %q although nothing is new", said)
	}
	text := ask[string](tab, shownText)
	for _, want := range []string{markup[0] + ".wild.shop.com.", markup[1] + ".wild.shop.com.", "unbound 1.", lab.Identity} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not contain %q", want)
		}
	}
	if n := ask[int](tab, `document.querySelectorAll("main img, main script, main [onerror]").length`); n > 0 {
		t.Errorf("names created %d elements", n)
	}
}

// every is the refresh interval of the page.
const every = 3 * time.Second

// checkNoFetchWhileHidden checks that a hidden page fetches nothing while meanwhile runs, and
// fetches again when it becomes visible.
func checkNoFetchWhileHidden(t *testing.T, tab *tab, meanwhile func()) {
	t.Helper()
	const hide = `Object.defineProperty(document, "hidden", {value: %t, configurable: true});
		document.dispatchEvent(new Event("visibilitychange")), performance.now()`
	const fetches = `performance.getEntriesByType("resource").filter((e) => e.initiatorType === "fetch" && e.startTime >= %v).length`
	began, hidden := time.Now(), ask[float64](tab, fmt.Sprintf(hide, true))
	meanwhile()
	delayFor(time.Until(began.Add(every + time.Second)))
	if n := ask[int](tab, fmt.Sprintf(fetches, hidden)); n > 0 {
		t.Errorf("the page fetched itself %d times while it was hidden", n)
	}
	before := ask[string](tab, shownAt)
	ask[float64](tab, fmt.Sprintf(hide, false))
	tab.await(fmt.Sprintf(`%s !== %q`, shownAt, before))
	if n := ask[int](tab, fmt.Sprintf(fetches, hidden)); n == 0 {
		t.Error("the page did not fetch itself after it became visible")
	}
}

// checkNews checks that a new warning is announced once: the resolver has disconnected. Another
// one, that every user may write to the socket, was there before.
func checkNews(t *testing.T, tab *tab) {
	t.Helper()
	const gone = `source "tap": no resolver is connected`
	if warned := ask[string](tab, `document.querySelector("#warnings").innerText`); !strings.Contains(warned, gone) {
		t.Errorf("the page has no warning %q:\n%s", gone, warned)
	}
	if said := ask[string](tab, `document.querySelector("#news").textContent`); said != "Warnings: 2, new ones: 1" {
		t.Errorf("a screen reader announces %q", said)
	}
	ask[bool](tab, `document.querySelector("#news").textContent = "", true`)
	tab.await(fmt.Sprintf(`%s !== %q`, shownAt, ask[string](tab, shownAt)))
	if said := ask[string](tab, `document.querySelector("#news").textContent`); said != "" {
		t.Errorf("a screen reader announces %q although nothing is new", said)
	}
}

// checkPause pauses the refresh and checks that the page shows the age of its data.
func checkPause(t *testing.T, tab *tab) {
	t.Helper()
	const notice = `document.querySelector("#notice").innerText`
	ask[bool](tab, `document.querySelector("#pause").focus(), true`)
	do(tab, chromedp.KeyEvent(kb.Enter))
	if said, want := ask[string](tab, notice), "Refresh is paused. The values below are from "+ask[string](tab, shownAt)+"."; said != want {
		t.Errorf("paused, the page says %q, want %q", said, want)
	}
	do(tab, chromedp.KeyEvent(kb.Enter))
	tab.await(notice + ` === ""`)
}

// checkWidths checks that nothing is wider than its window, with all details open.
func checkWidths(t *testing.T, tab *tab) {
	t.Helper()
	ask[int](tab, `document.querySelectorAll("details").forEach((d) => { d.open = true; }), 1`)
	for _, width := range []int64{320, 390, 768, 1280, 2560} {
		do(tab, chromedp.EmulateViewport(width, 900))
		if got := ask[int64](tab, `document.documentElement.scrollWidth`); got > width {
			t.Errorf("in a window of %d px the page has %d: %s", width, got, ask[string](tab, wider))
		}
		shoot(t, tab, fmt.Sprintf("%d", width))
	}
	do(tab, chromedp.EmulateViewport(1280, 900))
}

// wider returns the first elements that do not fit.
const wider = `[...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll"))
	.slice(0, 3).map((e) => e.outerHTML.slice(0, 120)).join("\n")`

// checkThemes checks that light and dark differ, and the contrast of all text in both.
func checkThemes(t *testing.T, tab *tab) {
	t.Helper()
	grounds := map[string]string{}
	for _, theme := range []string{"light", "dark"} {
		call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		grounds[theme] = ask[string](tab, `getComputedStyle(document.documentElement).backgroundColor`)
		seen := ask[struct {
			Texts int
			Bad   []string
		}](tab, contrast)
		if seen.Texts < 200 {
			t.Errorf("%s: only %d texts were checked", theme, seen.Texts)
		}
		for _, b := range seen.Bad {
			t.Errorf("%s: too little contrast: %s", theme, b)
		}
		shoot(t, tab, theme)
	}
	if grounds["light"] == grounds["dark"] {
		t.Errorf("light and dark have the same background, %s", grounds["light"])
	}
	call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
}

// contrast finds text with a contrast below 4.5:1 to its background (WCAG 2.2, 1.4.3).
const contrast = `(() => {
	const rgba = (s) => {
		const n = s.match(/[\d.]+/g).map(Number);
		return [n[0], n[1], n[2], n[3] ?? 1];
	};
	const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3])).concat(1);
	const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const ground = (e) => {
		const layers = [];
		for (; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
		return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
	};
	const bad = [];
	let texts = 0;
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest("noscript, .unseen")) continue;
		texts++;
		const below = ground(e);
		const [a, b] = [light(over(rgba(getComputedStyle(e).color), below)), light(below)].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) bad.push(ratio.toFixed(2) + " of " + JSON.stringify(walk.currentNode.data.trim().slice(0, 60)));
	}
	return {Texts: texts, Bad: bad};
})()`

// checkKeyboard visits the page with Tab. The first element is the link that skips navigation.
func checkKeyboard(t *testing.T, tab *tab) {
	t.Helper()
	const focused = `document.activeElement.dataset.tried ?? ""`
	wanted := ask[[]string](tab, `(() => {
		const start = document.createElement("button"); // Tab goes on from where this was
		document.body.prepend(start);
		start.focus();
		start.remove();
		const all = [...document.querySelectorAll("a[href], button, summary, [tabindex='0']")].filter((e) => e.checkVisibility());
		all.forEach((e, i) => { e.dataset.tried = i + " " + e.textContent.trim().slice(0, 30); });
		return all.map((e) => e.dataset.tried);
	})()`)
	var got []string
	for range wanted {
		do(tab, chromedp.KeyEvent(kb.Tab))
		got = append(got, ask[string](tab, focused))
		if len(got) > 1 {
			continue
		}
		if seen := ask[string](tab, `(({top, bottom}) => top >= 0 && bottom > 0 ? document.activeElement.className : "unseen")(document.activeElement.getBoundingClientRect())`); seen != "skip" {
			t.Errorf("the first Tab focuses %q", seen)
		}
		if outline := ask[string](tab, `getComputedStyle(document.activeElement).outlineStyle`); outline != "solid" {
			t.Errorf("the focused element has outline %q", outline)
		}
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("Tab focuses %q, want %q", got, wanted)
	}
	ask[int](tab, `document.querySelector(".skip").focus(), 1`)
	do(tab, chromedp.KeyEvent(kb.Enter))
	if id := ask[string](tab, `document.activeElement.id`); id != "main" {
		t.Errorf("the skip link leads to %q", id)
	}
}

// checkAccessibility checks the page's accessibility tree.
func checkAccessibility(t *testing.T, tab *tab) {
	t.Helper()
	nodes := call(tab, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes
	roles, level := map[string]int{}, 0
	for _, n := range nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role, name := axText(n.Role), axText(n.Name)
		roles[role]++
		switch {
		case slices.Contains([]string{"image", "img", "region", "button", "link", "heading", "table"}, role) && name == "":
			t.Errorf("a screen reader finds a %s without a name", role)
		case role == "heading":
			for _, p := range n.Properties {
				if p.Name == "level" {
					next := 0
					fmt.Sscan(string(p.Value.Value), &next)
					if next > level+1 {
						t.Errorf("heading %q is of level %d below %d", name, next, level)
					}
					level = next
				}
			}
		}
	}
	for role, least := range map[string]int{"banner": 1, "main": 1, "contentinfo": 1, "region": 6, "heading": 12, "image": 5, "table": 5, "status": 2, "button": 1} {
		if roles[role] < least {
			t.Errorf("a screen reader finds %d of role %s, want %d: %v", roles[role], role, least, roles)
		}
	}
	if live := ask[int](tab, `document.querySelectorAll("main [aria-live], main [role=status], main [role=alert]").length`); live > 0 {
		t.Errorf("%d refreshed elements are announced at each refresh", live)
	}
}

func axText(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}

// checkWithoutScripting checks that the page has the same figures and asks for a reload.
func checkWithoutScripting(t *testing.T, p *tab) {
	t.Helper()
	text := strings.ReplaceAll(do(p, chromedp.OuterHTML(chromedp.CSS("html"))), "\\", "")
	for _, want := range []string{`http-equiv="refresh"`, "adds up", "no resolver is connected", "delivered", "&lt;img/src=x/onerror=alert(1)&gt;.wild.shop.com."} {
		if !strings.Contains(text, want) {
			t.Errorf("without scripting the page does not contain %q", want)
		}
	}
	if !strings.Contains(text, `id="pause" hidden`) {
		t.Error("without scripting the pause button is visible")
	}
}

// checkPolicy does what the content security policy forbids, and checks that violations are
// recorded. Otherwise the checks before would prove nothing.
func checkPolicy(t *testing.T, tab *tab) {
	t.Helper()
	ask[bool](tab, `(() => {
		const s = document.createElement("script");
		s.textContent = "window.broken = true";
		document.body.append(s);
		const i = document.createElement("img");
		i.src = "http://192.0.2.1/x.png";
		document.body.append(i);
		fetch("http://192.0.2.1/").catch(() => {});
		return true;
	})()`)
	tab.await(`window.violations.length >= 3`)
	if ask[bool](tab, `window.broken === true`) {
		t.Error("a script in the page ran")
	}
	if tab.complaints() == "" {
		t.Error("the browser reported no violation")
	}
}

// checkStale stops the sensor, checks the notice, and starts the sensor again.
func checkStale(t *testing.T, tab *tab, s *sensor, config string) {
	t.Helper()
	const stale = `document.documentElement.classList.contains("stale") && document.querySelector("#notice").innerText.includes(%q)`
	last := ask[string](tab, shownAt)
	s.stop(t)
	tab.await(fmt.Sprintf(stale, "The sensor does not answer. The values below are from "))
	if said := ask[string](tab, `document.querySelector("#notice").innerText`); ask[string](tab, shownAt) < last || !strings.Contains(said, ask[string](tab, shownAt)) {
		t.Errorf("the notice is %q", said)
	}
	shoot(t, tab, "stale")
	s.run(t, config)
	ask[bool](tab, `document.dispatchEvent(new Event("visibilitychange"))`) // makes the page fetch immediately
	tab.await(`document.querySelector("#notice").innerText === "" && !document.documentElement.classList.contains("stale")`)
}

// shoot saves a screenshot in the folder PAGE_SHOTS, if set.
func shoot(t *testing.T, tab *tab, name string) {
	t.Helper()
	folder := os.Getenv("PAGE_SHOTS")
	if folder == "" {
		return
	}
	png := do(tab, chromedp.FullScreenshot(100))
	if err := os.WriteFile(fmt.Sprintf("%s/page-%s.png", folder, name), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
