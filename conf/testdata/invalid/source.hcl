source "dnstap" "scheme" {
  listen = "/run/dnstap.sock"
}

source "dnstap" "relative" {
  listen = "unix://run/dnstap.sock"
}

source "dnstap" "folder" {
  listen = "unix:///run/dnstap/"
}

source "dnstap" "long" {
  listen = "unix:///0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/01234567"
}

source "dnstap" "control" {
  listen = "unix:///run/\u001b[2J"
}

source "dnstap" "portless" {
  listen = "tcp://127.0.0.1"
}

source "dnstap" "hostless" {
  listen = "tcp://:6000"
}

source "dnstap" "port" {
  listen = "tcp://127.0.0.1:0"
}

source "dnstap" "host" {
  listen = "tcp://my host:6000"
}

source "dnstap" "tcp" {
  listen = "tcp://[::1]:6000"
  mode   = "0660"
  owner  = "unbound"
  group  = "unbound"
}

source "dnstap" "mode-number" {
  listen = "unix:///run/1.sock"
  mode   = 0660
  owner  = 110
  group  = "no such group"
}

source "dnstap" "mode-digits" {
  listen = "unix:///run/2.sock"
  mode   = "0680"
}

source "dnstap" "mode-bits" {
  listen = "unix:///run/3.sock"
  mode   = "4660"
}

source "dnstap" "numbers" {
  listen            = "unix:///run/4.sock"
  max_connections   = 0
  max_frame         = "256KB"
  handshake_timeout = "5"
}

source "dnstap" "more-numbers" {
  listen            = "unix:///run/5.sock"
  max_connections   = 1.5
  max_frame         = 17000000
  handshake_timeout = 5
}

source "dnstap" "exposed" {
  listen    = "tcp://0.0.0.0:6000"
  max_frame = "511"
}
