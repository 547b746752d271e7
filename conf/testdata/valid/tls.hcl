source "dnstap" "anyone" {
  listen = "tcp://127.0.0.1:6000"
  tls {
    cert = "tls/cert.pem"
    key  = "/etc/dnstap-pdns/key.pem"
  }
}
source "dnstap" "resolvers" {
  tls {
    client_ca = "ca.pem"
    key       = "${env("PDNS_TEST_DIR")}/key.pem"
    cert      = "../cert.pem"
  }
  listen = "tcp://192.0.2.1:6000"
}
