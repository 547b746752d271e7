source "kafka" "nothing" {}

source "dnstap" "tap" {
  listen = "unix:///run/tap.sock"
}

source "pcap" "span" {
  interface = "eth1"
  resolvers = ["192.0.2.53"]
}

source "kafka" "empty" {
  brokers = []
  topic   = ""
  group   = ""
  commit  = "500ms"
}

source "kafka" "wrong" {
  brokers = ["a.example:0", "a b", "[::1]", "kafka://a.example", ":9092", 9092]
  topic   = ".."
  group   = "a\u0000b"
  commit  = "2h"
  state   = "/var/lib/x/state"
}

source "kafka" "elements" {
  brokers = ["a.example:0", "a b", "[::1]", "kafka://a.example", ":9092", env("PDNS_TEST_HIDDEN"), ""]
  topic   = env("PDNS_TEST_HIDDEN")
  group   = "collection"
  sensor {
    source = -1
  }
  sasl {
    mechanism = "OAUTHBEARER"
    user      = "collection"
    password  = "top-secret"
  }
  tls {
    cert = "cert.pem"
  }
}

aggregate "rrsets" {
  state = "/var/lib/dnstap-pdns/rrsets.state"
}
