scrub {
  time_resolution = "1m"
}

sink "nmsg" "values" {
  to = "udp://192.0.2.1:9430"
  policy {
    names           = ["example.net", "."]
    except_names    = ["two words.example", 3]
    types           = ["a", "TYPE65536", "AAAAA", "TYPE-1", "TYPE"]
    rcodes          = ["BADVERS", "noerror"]
    time_resolution = "59s"
  }
}

sink "json" "long" {
  to = "stdout:"
  policy {
    types           = "A"
    time_resolution = "25h"
    qnames          = []
  }
}

source "dnstap" "ids" {
  listen = "unix:///run/tap.sock"
  sensor {
    source   = -1
    operator = "one"
    name     = "host.example"
  }
}
