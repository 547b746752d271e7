source "dnstap" "a" {
  listen = "unix:///run/a.sock
}
