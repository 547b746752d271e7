# Records to Kafka and from it, without encryption.
source "kafka" "plain" {
  brokers = ["127.0.0.1:9092", "203.0.113.9:9092"]
  topic   = "dns"
  group   = "collection"
  commit  = "1m"
  sasl {
    mechanism = "SCRAM-SHA-256"
    user      = "collection"
    password  = env("PDNS_TEST_HIDDEN")
  }
}
source "kafka" "here" {
  brokers = ["localhost", "[::1]:9092"]
  topic   = "dns"
  group   = "collection"
  commit  = "1m"
}
source "kafka" "encrypted" {
  brokers = ["203.0.113.9:9092"]
  topic   = "dns"
  group   = "collection"
  commit  = "10m"
  tls {}
}
scrub {
  local_names = ["corp.example"]
}

# Its window ends early at each commit of two of the sources.
aggregate "long" {}
aggregate "short" {
  window = "1m"
}
aggregate "gate" {
  window = "1m"
  release {
    sources = 3
  }
}
sink "nmsg" "released" {
  to      = "kafka://localhost/dns"
  message = "dnsdedupe"
  from    = "gate"
}
sink "nmsg" "raw" {
  to = "kafka://localhost,203.0.113.9/dns"
}
sink "nmsg" "scram" {
  to      = "kafka://203.0.113.9/dns"
  message = "dnsdedupe"
  from    = "short"
  sasl {
    mechanism = "SCRAM-SHA-512"
    user      = "sensor"
    password  = env("PDNS_TEST_HIDDEN")
  }
}
sink "nmsg" "password" {
  to      = "kafka://203.0.113.9/dns"
  message = "dnsdedupe"
  from    = "long"
  sasl {
    mechanism = "PLAIN"
    user      = "sensor"
    password  = env("PDNS_TEST_HIDDEN")
  }
}
