sink "nmsg" "nothing" {
  to = "wss://submit.example.net/session/sensor"
}

sink "nmsg" "path" {
  to = "wss://submit.example.net"
}

sink "nmsg" "port" {
  to      = "wss://submit.example.net:0/session/sensor"
  channel = 0
  api_key = env("PDNS_TEST_EMPTY")
}

sink "nmsg" "scheme" {
  to      = "https://submit.example.net/session/sensor"
  channel = 4294967296
  api_key = env("PDNS_TEST_UNSET")
}

sink "nmsg" "lines" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = file("lines.list")
  rate    = 100
  rotate  = "1h"
  keep {}
}

sink "nmsg" "files" {
  to      = "file:///var/lib/x/%Y%m%dT%H%M%S.nmsg"
  channel = 202
  api_key = env("PDNS_TEST_HIDDEN")
  tls {}
  spool {
    dir = "/var/lib/x"
  }
}

sink "nmsg" "without-tls" {
  to      = "ws://localhost/session/sensor"
  channel = 202
  api_key = env("PDNS_TEST_HIDDEN")
  tls {
    ca = "ca.pem"
  }
}

sink "nmsg" "blocks" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = env("PDNS_TEST_HIDDEN")
  tls {
    cert = "cert.pem"
  }
  spool {
    dir       = "spool"
    max_bytes = "1MiB"
    max_age   = "1s"
  }
}

sink "nmsg" "no-folder" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = env("PDNS_TEST_HIDDEN")
  tls {
    ca   = "-----BEGIN CERTIFICATE-----"
    cert = "a\u0000b"
    key  = "key.pem"
  }
  spool {}
}
