aggregate "all" {
  window         = "500ms"
  max_entries    = 0
  max_bytes      = "1MiB"
  insertions     = "no"
  state          = "rrsets.state"
  bailiwick_wait = "1h"
  root_zone      = "root\n.zone"
  mtu            = 1280
  policy {
    time_resolution = "1m"
  }
}

aggregate "first" {
  state = "/var/lib/x/../x/rrsets.state"
}

aggregate "second" {
  state = "/var/lib/x/rrsets.state"
}

aggregate "second" {}

aggregate "both names" {}

aggregate {}

sink "nmsg" "first" {
  to      = "stdout:"
  message = "dnsdedupe"
}

sink "nmsg" "unknown" {
  to      = "udp://127.0.0.1:9430"
  message = "dnsdedupe"
  from    = "third"
  policy {
    rcodes          = ["NOERROR"]
    time_resolution = "1ms"
  }
}

sink "nmsg" "records" {
  to   = "udp://127.0.0.1:9431"
  from = "first"
}

sink "json" "lines" {
  to      = "file:///var/lib/x/%Y%m%dT%H%M%S.json"
  format  = "cof"
  message = "dnsqr"
  from    = "first"
}

sink "json" "messages" {
  to   = "file:///var/lib/y/%Y%m%dT%H%M%S.json"
  from = "first"
}

sink "dnstap" "frames" {
  to   = "unix:///run/collector.sock"
  from = "first"
}
