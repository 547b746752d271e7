# RRsets: aggregate blocks, and the sinks that get their RRsets.
aggregate "all" {
  state     = "/var/lib/dnstap-pdns//all.state"
  root_zone = "root.zone"
}
aggregate "some" {
  window         = "1h"
  max_entries    = 5000
  max_bytes      = "8MiB"
  insertions     = true
  state          = ""
  bailiwick_wait = "1m"
  root_zone      = "/var/lib/dnstap-pdns/root.zone"
  flush          = "1s"
  queue          = "64MiB"
  policy {
    names        = ["example.net"]
    except_names = ["private.example.net"]
    types        = ["A"]
    rcodes       = ["NOERROR"]
  }
}
sink "nmsg" "database" {
  to      = "wss://submit.example.net/session/sensor"
  message = "dnsdedupe"
  from    = "all"
  channel = 204
  api_key = file("secret.txt")
  policy {
    names        = ["example.net"]
    except_names = ["Private.example.net"]
    types        = ["NS"]

    time_resolution = "1m"
  }
}
sink "nmsg" "records" {
  to = "udp://127.0.0.1:9430"
}
sink "json" "lines" {
  to     = "file:///var/lib/pdns/%Y%m%dT%H%M%S.json"
  format = "cof"
  from   = "some"
}
sink "json" "importer" {
  to     = "stdout:"
  format = "circl"
  from   = "some"
}
