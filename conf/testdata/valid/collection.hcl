# A collection, which reads what sensors send to Kafka.
source "kafka" "sensors" {
  brokers = ["kafka1.example.net", "kafka2.example.net:9094", env("PDNS_TEST_NAME")]
  topic   = "dns.rrsets"
  group   = "collection"
  commit  = "15m"
  tls {
    ca = "ca.pem"
  }
  sasl {
    mechanism = "SCRAM-SHA-512"
    user      = "collection"
    password  = file("secret.txt")
  }
  sensor {
    source = 99
  }
}
source "kafka" "own" {
  brokers = ["127.0.0.1:9092"]
  topic   = "raw"
  group   = "collection"
}
sensor {
  source   = 1
  operator = 2
}

aggregate "rrsets" {
  window = "1m"
  release {
    sources = 4
  }
}
sink "json" "cof" {
  to     = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.cof"
  format = "cof"
}
