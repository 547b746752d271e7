source "dnstap" "missing" {
  listen = credential("missing")
  owner  = credential("../missing")
}

source "dnstap" "text" {
  listen = "tcp://127.0.0.1:6001"
  tls {
    cert = "-----BEGIN CERTIFICATE-----"
    key  = "key.pem"
  }
}
