source "dnstap" "a" {
  listen = "unix:///run/dnstap.sock"
}

source "dnstap" "a" {
  listen = "unix:///run//dnstap.sock"
}

source "dnstap" "b" {
  listen = "tcp://127.0.0.1:6000"
}

source "dnstap" "c" {
  listen = "tcp://127.0.0.1:06000"
}

sink "nmsg" "a" {
  to = "file:///var/lib/x/%Y%m%dT%H%M%S.nmsg"
}

sink "nmsg" "a" {
  to = "file:///var/lib/x/../x/%Y%m%dT%H%M%S.nmsg"
}

sink "nmsg" "b" {
  to = "stdout:"
}

sink "nmsg" "c" {
  to = "stdout:"
}

log {
  level = "info"
}

log {
  format = "json"
}

pairing {
  timeout = "60s"
}
