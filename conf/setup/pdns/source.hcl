source "dnstap" "pdns" {
  listen = "unix:///run/dnstap-pdns/dnstap.sock"
  group  = "pdns"
}
