aggregate "rrsets" {}

sink "nmsg" "no-topic" {
  to = "kafka://broker.example.net:9092"
}

sink "nmsg" "topic" {
  to = "kafka://broker.example.net/dns/queries"
}

sink "nmsg" "broker" {
  to = "kafka://broker.example.net,:9092/dns"
}

sink "nmsg" "user" {
  to = "kafka://sensor:top-secret@broker.example.net/dns"
}

sink "nmsg" "size" {
  to      = "kafka://127.0.0.1/dns"
  mtu     = "257KiB"
  channel = 202
  api_key = env("PDNS_TEST_HIDDEN")
  rate    = 100
  rotate  = "1h"
  keep {}
}

sink "nmsg" "without-password" {
  to = "kafka://127.0.0.1/dns"
  sasl {
    mechanism = "SCRAM-SHA-512"
    user      = "sensor"
  }
}

sink "nmsg" "without-user" {
  to = "kafka://127.0.0.1/dns"
  sasl {
    mechanism = "plain"
    password  = env("PDNS_TEST_HIDDEN")
  }
}

sink "nmsg" "kerberos" {
  to = "kafka://127.0.0.1/dns"
  sasl {
    mechanism = "GSSAPI"
    user      = ""
    password  = "top-secret"
  }
}

sink "nmsg" "empty" {
  to = "kafka://127.0.0.1/dns"
  sasl {}
  tls {
    key = "key.pem"
  }
  spool {
    dir = "spool"
  }
}

sink "nmsg" "datagrams" {
  to = "udp://127.0.0.1:9430"
  sasl {
    mechanism = "PLAIN"
    user      = "sensor"
    password  = env("PDNS_TEST_HIDDEN")
  }
  tls {}
  spool {
    dir = "/var/lib/x"
  }
}

sink "dnstap" "messages" {
  to = "kafka://127.0.0.1/dns"
}

sink "json" "lines" {
  to     = "kafka://127.0.0.1/dns"
  format = "cof"
}
