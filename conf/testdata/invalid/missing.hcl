source "dnstap" "a" {
}

sink "nmsg" "b" {
  flush = "1s"
}

source "dnstap" {
  listen = "unix:///run/a.sock"
}
