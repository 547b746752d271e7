# Every type of sink, with every attribute that files.hcl and full.hcl lack.
source "dnstap" "first" {
  listen = "unix:///run/first.sock"
  sensor {
    source = 12
  }
}
source "pcap" "second" {
  interface = "eth1"
  resolvers = ["192.0.2.53"]
  sensor {
    source   = 0
    operator = 4294967295
    group    = 9
  }
}
sensor {
  source   = 1
  operator = 2
  group    = 3
}

sink "nmsg" "sie" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = file("secret.txt")
  zlib    = true
  tls {
    ca   = "ca.pem"
    cert = "/etc/dnstap-pdns/cert.pem"
    key  = file("key.txt")
  }
  spool {
    dir       = "/var/lib/dnstap-pdns/spool/"
    max_bytes = "2GiB"
    max_age   = "168h"
  }
  policy {
    names           = ["Example.NET.", "bücher.example"]
    except_names    = ["private.example.net"]
    types           = ["A", "aaaa", "TYPE65280"]
    rcodes          = ["NOERROR"]
    time_resolution = "1m"
  }
}
sink "nmsg" "test" {
  to      = "ws://[::1]:8080/session/sensor"
  channel = 4294967295
  api_key = env("PDNS_TEST_HIDDEN")
  mtu     = "64KiB"
}

sink "dnstap" "socket" {
  to       = "unix:///run/collector/../tap.sock"
  identity = "sensor-7"
  version  = "dnstap-pdns"
}
sink "dnstap" "stream" {
  to    = "tcp://collector.example.net:6000"
  flush = "1s"
  queue = "64MiB"
  tls {}
}
sink "dnstap" "frames" {
  to     = "file:///var/lib/pdns/%Y%m%dT%H%M.fstrm"
  rotate = "5m"
  keep {
    age = "24h"
  }
  policy {
    time_resolution = "1s"
  }
}

sink "json" "lines" {
  to          = "file:///var/lib/pdns/%Y%m%dT%H%M%S.json"
  message     = "dnsobs"
  rotate_size = "1MiB"
  on_rotate   = ["upload"]
  policy {
    rcodes = ["nxdomain", "SERVFAIL"]
  }
}
sink "json" "pipe" {
  to     = "stdout:"
  format = "nmsg"
}
