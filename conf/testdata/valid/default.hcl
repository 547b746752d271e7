source "dnstap" "local" {
  listen = "unix:///run/dnstap-pdns/dnstap.sock"
}

sink "nmsg" "files" {
  to = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg"
}
