# Messages must not show what is written as a secret.
sink "nmsg" "literal" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = "top-secret"
}

sink "nmsg" "template" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = "top-secret-${env("PDNS_TEST_HIDDEN")}"
}

sink "nmsg" "choice" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = true ? "top-secret" : env("PDNS_TEST_HIDDEN")
}

sink "nmsg" "condition" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = env("PDNS_TEST_HIDDEN") == "" ? "top-secret" : "top-secret-too"
}

sink "nmsg" "list" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = ["top-secret"]
}

sink "nmsg" "twice" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = env("PDNS_TEST_HIDDEN")
  api_key = "top-secret"
}

sink "nmsg" "password" {
  to = "wss://sensor:top-secret@submit.example.net/session/sensor"
}

sink "nmsg" "slash" {
  to = "ws://sensor:top/secret/top-secret@submit.example.net/session/sensor"
}

sink "nmsg" "query" {
  to = "wss://submit.example.net/session/sensor?key=top-secret"
}

sink "dnstap" "tcp" {
  to = "tcp://top-secret@192.0.2.1:6000"
}

sink "nmsg" "pem" {
  to      = "wss://submit.example.net/session/sensor"
  channel = 202
  api_key = env("PDNS_TEST_HIDDEN")
  tls {
    cert = "cert.pem"
    key  = "-----BEGIN PRIVATE KEY-----\ntop-secret\n-----END PRIVATE KEY-----\n"
  }
}
