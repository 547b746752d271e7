# A sensor that sends to Kafka.
source "dnstap" "first" {
  listen = "unix:///run/first.sock"
  sensor {
    source = 11
  }
}
source "dnstap" "second" {
  listen = "unix:///run/second.sock"
  sensor {
    source = 12
  }
}

aggregate "rrsets" {
  window = "1m"
  release {
    sources = 2
  }
}
sink "nmsg" "raw" {
  to      = "kafka://kafka1.example.net,[2001:db8::1]:9094/dns.raw"
  message = "dnsobs"
  mtu     = "64KiB"
  zlib    = true
  tls {
    ca   = "ca.pem"
    cert = "/etc/dnstap-pdns/cert.pem"
    key  = file("key.txt")
  }
  sasl {
    mechanism = "SCRAM-SHA-256"
    user      = "sensor-7"
    password  = file("secret.txt")
  }
  spool {
    dir     = "/var/lib/dnstap-pdns/spool"
    max_age = "168h"
  }
}
sink "nmsg" "rrsets-to-kafka" {
  to      = "kafka://localhost/dns_rrsets"
  message = "dnsdedupe"
  sasl {
    mechanism = "PLAIN"
    user      = env("PDNS_TEST_NAME")
    password  = env("PDNS_TEST_HIDDEN")
  }
}
sink "nmsg" "plain" {
  to = "kafka://127.0.0.1:9092/dns"
}
